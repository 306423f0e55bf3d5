"""Fills a new database on the server of the live one, for a swap or an opened backup.

The rows are loaded over several connections if no function could look from one table into another, and if there is room
for the archive, see :mod:`.spooling`. Indexes and
constraints are then built in parallel, for which pg_restore needs only the archive's table of contents, which is at its
head.
"""

from __future__ import annotations

import contextlib
import os
from typing import Any

from django.db import DatabaseError

from ...core.command import Command
from ...core.control import Control
from ...core.programs import run_to_end
from ...core.transfer import CommandSink, Sink
from .contents import Archive, Head, entries, parts
from .search_path import reset_search_paths, set_search_paths
from .server import IN_PLACE, Server, explained
from .spooling import Spool

FUNCTIONS = ("FUNCTION ", "PROCEDURE ", "EXTENSION ")
"""The beginnings of the entries of an archive that bring functions."""


class Filling:
    """Creates a database and fills it; after ``commit`` it is complete. ``close`` drops a database that is not kept.

    :param connector: the :class:`~django_rclone_admin.connectors.postgresql.PgDumpConnector` it works for.
    :param name: of the new database.
    """

    hint = IN_PLACE
    """The hint where the server does not allow its creation."""

    def __init__(self, connector: Any, control: Control, name: str) -> None:
        self._connector, self._control, self._new = connector, control, name
        self._server = Server(connector.alias)
        self._live: str = connector.database_name
        self._archive = Archive(connector.list_contents, self._load)
        self._contents: list[str] = []
        """The entries that pg_restore loads."""
        self._functions: list[str] = []
        """Functions that have a search path for the duration of the load."""

    def open(self) -> None:
        with explained(self.hint):
            self._server.create_like(self._live, self._new)
        self._connector.prepare(self._new)
        self._archive.open()

    def write(self, data: bytes) -> None:
        self._archive.write(data)

    def _load(self, head: Head, listing: bytes) -> Sink:
        """Create the objects that precede the rows, and return the sink that loads the rows."""
        wanted = self._connector.choice(self._new).lines(listing)
        for part in parts(listing if wanted is None else wanted):
            self._contents = head.choose(part)
            run_to_end(self._pg_restore("--section=pre-data", str(head.path)), self._control)
            with explained(self.hint):
                self._functions += set_search_paths(self._server, self._live, self._new)
        # The extensions exist by now, with tables that our role may not write.
        self._contents = head.choose(self._connector.choice(self._new).lines(listing))
        if not _may_load_in_any_order(listing):
            return CommandSink(self._pg_restore("--section=data"), control=self._control)
        return Spool(
            head.path.with_name("archive"),
            lambda path: self._pg_restore("--section=data", _jobs(), str(path)),
            lambda: self._pg_restore("--section=data"),
            self._control,
        )

    def _pg_restore(self, *arguments: str) -> Command:
        command: Command = self._connector.pg_restore(
            self._new, "--exit-on-error", *self._contents, *arguments
        )
        return command

    def commit(self) -> None:
        self._archive.commit()
        indexes = ("--section=post-data", _jobs(), str(self._archive.head.path))
        run_to_end(self._pg_restore(*indexes), self._control)
        # One message, so that a pooler in between can't separate them. ANALYZE also calls the functions of indexes.
        analyze = "--command=SET statement_timeout = 0; ANALYZE"
        run_to_end(self._connector.psql(self._new, analyze), self._control)
        with explained(self.hint):
            reset_search_paths(self._server, self._new, self._functions)

    def _is_kept(self) -> bool:
        """Whether the database stays."""
        return False

    def abort(self) -> None:
        self._archive.abort()

    def close(self) -> None:
        self._archive.close()
        if not self._is_kept():
            # Only logged: the next sweep drops the database, and the first error is more important.
            with contextlib.suppress(DatabaseError):
                self._server.drop(self._new)


def _may_load_in_any_order(listing: bytes) -> bool:
    """Whether the rows of a table are certain to load without those of another.

    A function that a CHECK constraint or a generated column calls may read other tables. Then the order of the archive counts.
    """
    found = entries(listing)
    return bool(found) and not any(each.text.startswith(FUNCTIONS) for each in found)


def _jobs() -> str:
    """Return how many connections pg_restore may use."""
    return f"--jobs={max(1, min(4, os.cpu_count() or 1))}"
