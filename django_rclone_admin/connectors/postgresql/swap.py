"""Restores PostgreSQL into a new database, then swaps it with the live one by renaming both in one transaction.

The site keeps working until the swap, and the replaced database is kept under another name: undo is a rename.
"""

from __future__ import annotations

import logging
import uuid
from datetime import datetime
from typing import Any

from django.db import DatabaseError

from ...core.control import Control
from ...exceptions import BackupError, BackupNotFound, OutcomeUnknown, ProgramFailed, gettext_noop
from .filling import Filling
from .libpq import quote
from .server import Server, explained, name_beside

logger = logging.getLogger("django_rclone_admin")

NEW, KEPT = "_dra_new_", "_dra_kept_"
"""Marks in the names of the database being filled, and of the replaced one."""


class SwapSink(Filling):
    """Fills a new database; ``commit`` makes it the live one."""

    def __init__(self, connector: Any, control: Control) -> None:
        super().__init__(connector, control, name_beside(connector.database_name, NEW, uuid.uuid4().hex[:8]))
        self.swap = Swap(connector, self._new, name_to_keep(self._live), control)

    def open(self) -> None:
        with explained():
            for left in self._server.names_like(self._live, NEW):
                self._server.drop(left)
        super().open()

    def commit(self) -> None:
        super().commit()
        self.swap.carry_out()

    def _is_kept(self) -> bool:
        return self.swap.is_done or self.swap.is_unknown


class Swap:
    """Makes a filled database the live one; the old one is kept under another name."""

    def __init__(self, connector: Any, new: str, kept: str, control: Control) -> None:
        self._connector, self._control = connector, control
        self._server, self._live, self._new = Server(connector.alias), connector.database_name, new
        self.kept = kept
        self.vanished: list[str] = []
        self.is_done = self.is_unknown = False
        """Whether the databases were swapped; and whether that is unknown."""

    def carry_out(self) -> None:
        history = History(self._connector, self._server)
        with explained():
            before, after = (set(self._connector.tables(each)) for each in (self._live, self._new))
            self.vanished = sorted(before - after)
            history.copy(self._live, self._new)
        self._control.confirm()
        self.is_unknown = True  # until the server confirms: an interrupt may come at any moment
        try:
            self._server.rename([(self._live, self.kept), (self._new, self._live)])
        except ProgramFailed as error:
            self.is_unknown = isinstance(error, OutcomeUnknown)
            raise
        self.is_done, self.is_unknown = True, False
        history.catch_up(self.kept, self._live)
        self._drop_older()

    def _drop_older(self) -> None:
        """Drop the databases that earlier swaps kept. The swap is done, so failures are only logged."""
        try:
            self._control.confirm()  # the kept database may belong to a later restore by now
            for name in self._server.names_like(self._live, KEPT):
                if name != self.kept:
                    self._server.drop(name)
        except (BackupError, DatabaseError) as error:
            logger.warning("What an earlier restore kept could not be dropped: %s", error)


class History:
    """Copies the history tables from one database to the other, because no backup contains them."""

    def __init__(self, connector: Any, server: Server) -> None:
        self._tables: tuple[str, ...] = connector.history_tables
        self._connector, self._server = connector, server
        self._copied_at: datetime | None = None

    def copy(self, source: str, target: str) -> None:
        """Replace the history tables of the target with those of the source, with all rows."""
        with self._server.cursor(source) as cursor:  # heartbeats also use the server's clock
            cursor.execute("SELECT clock_timestamp() - interval '5s'")
            (self._copied_at,) = cursor.fetchone()
        for table in self._tables:
            if self._exists(table, source):
                self._connector.copy_table(table, source, target)
            else:  # a dump of another program may contain one
                with self._server.cursor(target) as cursor:
                    cursor.execute(f"DROP TABLE IF EXISTS {quote(table)}")

    def catch_up(self, source: str, target: str) -> None:
        """Copy the rows written since :meth:`copy`: the last heartbeats of active runs.

        The swap is done; a lost heartbeat must not make it fail.
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
            # A queued run writes no heartbeat. The other tables lack that column, and are small.
            recent = "WHERE heartbeat_at >= %s OR created_at >= %s" if "heartbeat_at" in names else ""
            times = [self._copied_at] * recent.count("%s")
            cursor.execute(f"SELECT * FROM {quote(table)} {recent}", times)
            rows = cursor.fetchall()
        columns, marks = ", ".join(map(quote, names)), ", ".join(["%s"] * len(names))
        on_conflict = "DO NOTHING"
        if recent:
            changes = ", ".join(f"{quote(name)} = EXCLUDED.{quote(name)}" for name in names)
            newer = "EXCLUDED.heartbeat_at > live.heartbeat_at"
            on_conflict = f"(id) DO UPDATE SET {changes} WHERE {newer} OR live.finished_at IS NULL"
        with self._server.cursor(target) as cursor:
            cursor.executemany(
                f"INSERT INTO {quote(table)} AS live ({columns}) VALUES ({marks}) ON CONFLICT {on_conflict}",
                rows,
            )

    def _exists(self, table: str, database: str) -> bool:
        with self._server.cursor(database) as cursor:
            cursor.execute("SELECT to_regclass(%s) IS NOT NULL", [quote(table)])
            return bool(cursor.fetchone()[0])


def name_to_keep(live: str) -> str:
    """Return a new name for the live database."""
    return name_beside(live, KEPT, uuid.uuid4().hex[:8])


def put_back(connector: Any, kept: str, aside: str) -> None:
    """Swap the live database with a kept one; the live one is then kept as ``aside``."""
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
