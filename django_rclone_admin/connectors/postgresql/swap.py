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

from ...core.command import Command
from ...core.control import Control
from ...core.programs import run_to_end
from ...core.transfer import CommandSink, Sink
from ...exceptions import BackupError, BackupNotFound, OutcomeUnknown, ProgramFailed, gettext_noop
from .contents import Archive, Head, parts
from .libpq import quote
from .search_path import reset_search_paths, set_search_paths
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
        self._live: str = connector.database_name
        self._new = name_beside(self._live, NEW, uuid.uuid4().hex[:8])
        self.kept = name_to_keep(self._live)
        self.vanished: list[str] = []
        self._archive = Archive(connector.list_contents, self._load)
        self._contents: list[str] = []
        """What pg_restore is told to load."""
        self._functions: list[str] = []
        """Functions that have a search path for as long as they are needed for the load."""
        self.is_done = self.is_unknown = False
        """Whether the databases were swapped; and whether they may have been, and nobody knows."""

    def open(self) -> None:
        with explained():
            for left in self._server.names_like(self._live, NEW):
                self._server.drop(left)
            self._server.create_like(self._live, self._new)
        self._connector.prepare(self._new)
        self._archive.open()

    def write(self, data: bytes) -> None:
        self._archive.write(data)

    def _load(self, head: Head, listing: bytes) -> Sink:
        """Create what is there before the rows, and return what loads those."""
        wanted = self._connector.choice(self._new).lines(listing)
        for part in parts(listing if wanted is None else wanted):
            self._contents = head.choose(part)
            run_to_end(self._pg_restore("--section=pre-data", str(head.path)), self._control)
            with explained():
                self._functions += set_search_paths(self._server, self._live, self._new)
        # Extensions are there now, with tables of theirs that may be closed to us.
        self._contents = head.choose(self._connector.choice(self._new).lines(listing))
        return CommandSink(self._pg_restore("--section=data"), control=self._control)

    def _pg_restore(self, *arguments: str) -> Command:
        command: Command = self._connector.pg_restore(
            self._new, "--exit-on-error", *self._contents, *arguments
        )
        return command

    def commit(self) -> None:
        self._archive.commit()
        jobs = max(1, min(4, os.cpu_count() or 1))
        indexes = ("--section=post-data", f"--jobs={jobs}", str(self._archive.head.path))
        run_to_end(self._pg_restore(*indexes), self._control)
        # One message, so that a pooler in between can't part them. It calls the functions of indexes, too.
        analyze = "--command=SET statement_timeout = 0; ANALYZE"
        run_to_end(self._connector.psql(self._new, analyze), self._control)
        with explained():
            reset_search_paths(self._server, self._new, self._functions)
        history = History(self._connector, self._server)
        with explained():
            before, after = (set(self._connector.tables(each)) for each in (self._live, self._new))
            self.vanished = sorted(before - after)
            history.copy(self._live, self._new)
        self._control.confirm()
        self.is_unknown = True  # until the server has told: what interrupts us may do so at any moment
        try:
            self._server.rename([(self._live, self.kept), (self._new, self._live)])
        except ProgramFailed as error:
            self.is_unknown = isinstance(error, OutcomeUnknown)
            raise
        self.is_done, self.is_unknown = True, False
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
        self._archive.abort()

    def close(self) -> None:
        self._archive.close()
        if not self.is_done and not self.is_unknown:
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
            cursor.execute(f"SELECT * FROM {quote(table)} LIMIT 0")
            names = [column[0] for column in cursor.description]
            # A run that waits for a queue of tasks has no heartbeat. Opened backups have none either, and are few.
            recent = "WHERE heartbeat_at >= %s OR created_at >= %s" if "heartbeat_at" in names else ""
            times = [self._copied_at] * recent.count("%s")
            cursor.execute(f"SELECT * FROM {quote(table)} {recent}", times)
            rows = cursor.fetchall()
        columns, marks = ", ".join(map(quote, names)), ", ".join(["%s"] * len(names))
        change = "NOTHING"
        if recent:
            changes = ", ".join(f"{quote(name)} = EXCLUDED.{quote(name)}" for name in names)
            newer = "EXCLUDED.heartbeat_at > live.heartbeat_at"
            change = f"UPDATE SET {changes} WHERE {newer} OR live.finished_at IS NULL"
        with self._server.cursor(target) as cursor:
            cursor.executemany(
                f"INSERT INTO {quote(table)} AS live ({columns}) VALUES ({marks}) ON CONFLICT (id) DO {change}",
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
    server, live = Server(connector.alias), connector.database_name
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
