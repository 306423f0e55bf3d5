"""Runs the programs of one dump, and compares the dump with the live database."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Callable, Sequence
from typing import Any

from ...core.command import Command
from ...core.transfer import CommandSource
from ...exceptions import ProgramFailed, gettext_noop
from ..base import Contents
from .arguments import read_dump_arguments
from .contents import Live, check_complete, contents, hidden, look
from .server import Server
from .text import DumpText, is_complete

BASIS = (
    "--single-transaction",
    "--quick",
    "--triggers",
    "--hex-blob",
    "--no-tablespaces",  # tablespaces need the PROCESS privilege, which sites lack
    # An option file could contradict these.
    "--skip-no-data",
    "--skip-no-create-info",
    "--skip-insert-ignore",
    # Only MySQL's program knows these two; MariaDB's warns and continues.
    "--loose-column-statistics=0",
    "--loose-set-gtid-purged=OFF",
)
"""Arguments of the dump program before those of the site."""
ESSENTIAL = (
    "--add-drop-table",
    "--create-options",
    "--comments",
    "--quote-names",
    "--set-charset",
    "--tz-utc",
    "--skip-force",
    "--default-character-set=utf8mb4",
)
"""Arguments of the dump program after those of the site. A dump without one of them could not be restored."""
HISTORY_SINCE = (10, 11)
"""The first version of MariaDB whose programs dump the history of rows, and whose server loads it."""


class DumpPlan:
    """Decides how a database is dumped, and later what the dump contains.

    :param connector: the :class:`~django_rclone_admin.connectors.mysql.MysqlDumpConnector` it works for.
    """

    def __init__(self, connector: Any) -> None:
        self._connector = connector
        self._schema = connector.schema_of_dump
        self._excluded = connector.list_option("EXCLUDE_TABLES")
        self._arguments = read_dump_arguments(
            connector.alias, self._schema, connector.list_option("DUMP_ARGS")
        )
        self._server = Server(connector)
        self._before = self._look()
        self.packet = self._before.packet

    def dumps(self) -> list[list[str]]:
        """Return the arguments of each dump program: first for tables whose rows are excluded, then for everything else."""
        tables = self._before.objects.get("tables", ())
        empty = [name for name in self._excluded if name in tables]
        ignored = [*self._connector.history_tables, *self._excluded]
        more = [*self._arguments.arguments, *ESSENTIAL]
        whole = [
            *BASIS,
            "--routines",
            "--events",
            *(f"--ignore-table={self._schema}.{name}" for name in ignored),
        ]
        history = ["--loose-dump-history"] if self._has_history() else []
        first = [[*BASIS, "--no-data", *more, self._schema, *empty]] if empty else []
        return [*first, [*whole, *history, *more, self._schema]]

    def refuse_endless(self) -> None:
        """Refuse an event that mariadb-dump would never finish: it searches a delimiter that the event does not
        contain.

        :raises ProgramFailed: the database has such an event.
        """
        if "events" in self._arguments.kinds:
            return
        with self._server.cursor() as cursor:
            cursor.execute(
                "SELECT EVENT_NAME FROM information_schema.EVENTS"
                " WHERE EVENT_SCHEMA = %s AND EVENT_DEFINITION LIKE '%%;;%%'",
                [self._server.live],
            )
            names = [name for (name,) in cursor.fetchall()]
        if names:
            raise ProgramFailed(
                gettext_noop("Events with two semicolons in a row can't be dumped: %(names)s."),
                hint=gettext_noop(
                    "Nothing was stored. mariadb-dump would never end. Write the events without “;;”, or leave all events out with "
                    "--skip-events in DUMP_ARGS."
                ),
                names=", ".join(names),
            )

    def check(self, text: DumpText) -> Contents:
        """Return the contents of the dump.

        :raises ProgramFailed: an object is missing unintentionally.
        """
        after = self._look()
        # Objects that others create or drop during the dump may or may not be in it.
        both = {
            kind: set(names) & set(after.objects.get(kind, ()))
            for kind, names in self._before.objects.items()
        }
        live = dataclasses.replace(after, objects=both)
        check_complete(
            text,
            live,
            excluded=self._excluded,
            arguments=self._arguments,
            ours=self._connector.history_tables,
        )
        return contents(
            text,
            live,
            excluded=self._excluded,
            arguments=self._arguments,
            unseen=self._unseen(),
            ours=self._connector.history_tables,
        )

    def _look(self) -> Live:
        with self._server.cursor() as cursor:
            return look(cursor, self._server.live)

    def _has_history(self) -> bool:
        """Whether rows have a history that can be dumped: the programs refuse tables versioned by transactions."""
        with self._server.cursor() as cursor:
            cursor.execute(
                "SELECT VERSION(), (SELECT COUNT(*) FROM information_schema.COLUMNS WHERE TABLE_SCHEMA = %s"
                " AND GENERATION_EXPRESSION = 'ROW START' AND DATA_TYPE = 'bigint')",
                [self._server.live],
            )
            version, by_transaction = cursor.fetchone()
        return (
            bool(self._before.versioned)
            and not by_transaction
            and tuple(map(int, re.findall(r"\d+", version)[:2])) >= HISTORY_SINCE
        )

    def _unseen(self) -> set[str]:
        """Return the rights that neither the dumping user nor the site's user has."""
        live = self._grants(self._server)
        if live and self._connector.replica != self._connector.live:
            return live & self._grants(Server(self._connector, self._connector.replica))
        return live

    def _grants(self, server: Server) -> set[str]:
        with server.cursor() as cursor:
            cursor.execute("SHOW GRANTS")
            return hidden((grant for (grant,) in cursor.fetchall()), server.live)


class DumpSource:
    """The output of several dump programs, one after the other; each must succeed and end like a complete dump.

    :param packet: ``max_allowed_packet`` of the live server.
    :param check: called with the dumped text at the end; returns its contents, raises when something is missing.
    """

    def __init__(
        self, commands: Sequence[Command], check: Callable[[DumpText], Contents], *, packet: int
    ) -> None:
        self.text = DumpText(is_ours=True, packet=packet)
        self._sources = [CommandSource(each) for each in commands]
        self.contents = Contents()
        """The contents of the dump, once it is finished."""
        self._check = check
        self._position = 0
        self._aborted = False

    def open(self) -> None:
        self._sources[0].open()

    def read(self) -> bytes:
        while not self._aborted:
            source = self._sources[self._position]
            if data := source.read():
                for _passed_on in self.text.feed(data):
                    pass
                return data
            if self._position + 1 == len(self._sources):
                break
            self._finish_one()
            source.close()
            self._position += 1
            self._sources[self._position].open()
        return b""

    def finish(self) -> None:
        self._finish_one()
        self.text.finish()
        self.contents = self._check(self.text)

    def _finish_one(self) -> None:
        source = self._sources[self._position]
        source.finish()
        if not is_complete(self.text.tail):
            raise ProgramFailed(
                gettext_noop("%(program)s ended without the line that says its dump is complete."),
                hint=gettext_noop("Nothing was stored. Take --compact and --skip-comments out of DUMP_ARGS."),
                program=source.command.name,
            )

    def abort(self) -> None:
        self._aborted = True
        self._sources[self._position].abort()

    def close(self) -> None:
        self._sources[self._position].close()
