"""Restore PostgreSQL beside the live database, then swap the two by renaming them in one transaction.

The site keeps working until the swap, and what was replaced is kept under another name: undo is a rename. The data is
streamed once; indexes and constraints are then built in parallel, for which pg_restore needs no more than the
archive's table of contents, and that is at its head.
"""

from __future__ import annotations

import contextlib
import logging
import os
import uuid
from datetime import datetime
from typing import Any

from django.db import DatabaseError

from ...core.chain import ChainSink
from ...core.control import Control
from ...core.programs import run_to_end
from ...exceptions import BackupError, BackupNotFound, gettext_noop
from .contents import Head
from .libpq import quote
from .server import Server, explained, name_beside

logger = logging.getLogger("django_rclone_admin")

NEW, KEPT = "_dra_new_", "_dra_kept_"
"""In the names of the database that is being filled, and of the one that was replaced."""


class SwapSink:
    """Fills a new database; ``commit`` puts it in the place of the live one.

    :param connector: the :class:`~django_rclone_admin.connectors.postgresql.PgDumpConnector` it works for.
    """

    def __init__(self, connector: Any, control: Control) -> None:
        self._connector, self._control = connector, control
        self._server = Server(connector.alias)
        self._live: str = connector.live["NAME"]
        self._new = name_beside(self._live, NEW, uuid.uuid4().hex[:8])
        self.kept = name_to_keep(self._live)
        self.vanished: list[str] = []
        self._loader: ChainSink | None = None
        self._head = Head()
        self._is_done = False

    def open(self) -> None:
        with explained():
            for left in self._server.names_like(self._live, NEW):
                self._server.drop(left)
            self._server.create_like(self._live, self._new)
        self._connector.prepare(self._new)
        self._head.open()
        loader: ChainSink = self._connector.loader(self._new, self._control)
        loader.open()
        self._loader = loader

    def write(self, data: bytes) -> None:
        assert self._loader is not None
        self._head.keep(data)
        self._loader.write(data)

    def commit(self) -> None:
        assert self._loader is not None
        self._loader.commit()
        jobs = max(1, min(4, os.cpu_count() or 1))
        indexes = ("--exit-on-error", "--section=post-data", f"--jobs={jobs}", str(self._head.path))
        run_to_end(self._connector.pg_restore(self._new, *indexes), self._control)
        analyze = ("--command=SET statement_timeout = 0", "--command=ANALYZE")
        run_to_end(self._connector.psql(self._new, *analyze), self._control)
        history = History(self._connector, self._server)
        with explained():
            before, after = (set(self._connector.tables(each)) for each in (self._live, self._new))
            self.vanished = sorted(before - after)
            history.copy(self._live, self._new)
        self._control.confirm()
        self._server.rename([(self._live, self.kept), (self._new, self._live)])
        self._is_done = True
        history.catch_up(self.kept, self._live)
        self._drop_older()

    def _drop_older(self) -> None:
        """Drop what earlier swaps kept; the swap is done, whatever becomes of this."""
        try:
            self._control.confirm()  # what is kept now may be what a later restore kept
            for name in self._server.names_like(self._live, KEPT):
                if name != self.kept:
                    self._server.drop(name)
        except (BackupError, DatabaseError) as error:
            logger.warning("What an earlier restore kept could not be dropped: %s", error)

    def abort(self) -> None:
        if self._loader:
            self._loader.abort()

    def close(self) -> None:
        if self._loader:
            self._loader.close()
        self._head.close()
        if not self._is_done:
            # The next restore drops it otherwise; what has failed already is what people must hear of.
            with contextlib.suppress(DatabaseError):
                self._server.drop(self._new)


class History:
    """Carries the history of the runs from one database to the other: it never travels in backups."""

    def __init__(self, connector: Any, server: Server) -> None:
        self._tables: tuple[str, ...] = connector.history_tables
        self._connector, self._server = connector, server
        self._copied_at: datetime | None = None

    def copy(self, source: str, target: str) -> None:
        """Replace the history tables of the target by those of the source, with all their rows."""
        with self._server.cursor(source) as cursor:  # heartbeats are written by the server's clock, too
            cursor.execute("SELECT clock_timestamp() - interval '5s'")
            (self._copied_at,) = cursor.fetchone()
        for table in self._tables:
            if self._exists(table, source):
                self._connector.copy_table(table, source, target)
            else:  # a dump of another program may have brought one
                with self._server.cursor(target) as cursor:
                    cursor.execute(f"DROP TABLE IF EXISTS {quote(table)}")

    def catch_up(self, source: str, target: str) -> None:
        """Bring over what was written since :meth:`copy`: the last heartbeats of the runs at work.

        The swap is done; a beat that is lost must not make it look like a failure.
        """
        try:
            for table in self._tables:
                if self._exists(table, source):
                    self._catch_up(table, source, target)
        except DatabaseError as error:
            logger.warning("The last heartbeats were not carried over: %s", error)

    def _catch_up(self, table: str, source: str, target: str) -> None:
        with self._server.cursor(source) as cursor:
            cursor.execute(f"SELECT * FROM {quote(table)} WHERE heartbeat_at >= %s", [self._copied_at])
            names, rows = [column[0] for column in cursor.description], cursor.fetchall()
        columns, marks = ", ".join(map(quote, names)), ", ".join(["%s"] * len(names))
        newer = "EXCLUDED.heartbeat_at > live.heartbeat_at"
        changes = ", ".join(f"{quote(name)} = EXCLUDED.{quote(name)}" for name in names)
        with self._server.cursor(target) as cursor:
            cursor.executemany(
                f"INSERT INTO {quote(table)} AS live ({columns}) VALUES ({marks})"
                f" ON CONFLICT (id) DO UPDATE SET {changes} WHERE {newer} OR live.finished_at IS NULL",
                rows,
            )

    def _exists(self, table: str, database: str) -> bool:
        with self._server.cursor(database) as cursor:
            cursor.execute("SELECT to_regclass(%s) IS NOT NULL", [quote(table)])
            return bool(cursor.fetchone()[0])


def name_to_keep(live: str) -> str:
    """Return a new name for what is live now."""
    return name_beside(live, KEPT, uuid.uuid4().hex[:8])


def put_back(connector: Any, kept: str, aside: str) -> None:
    """Swap the live database with a kept one; what was live is then kept as ``aside``."""
    server, live = Server(connector.alias), connector.live["NAME"]
    history = History(connector, server)
    with explained():
        if not server.exists(kept):
            raise BackupNotFound(
                gettext_noop("The database %(name)s, which the restore had kept, is gone."),
                hint=gettext_noop(
                    "Nothing was changed. Restore the backup that was made before the restore."
                ),
                name=kept,
            )
        history.copy(live, kept)
    server.rename([(live, aside), (kept, live)])
    history.catch_up(aside, live)
