"""MySQL and MariaDB, by mysqldump or mariadb-dump and the client program, depending on what is installed."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Mapping
from pathlib import Path
from typing import Any

from django.db import connections
from django.db.backends.mysql.client import DatabaseClient

from ...core.command import Command, find_program
from ...core.control import Control
from ...core.engines import engine_name
from ...core.findings import Finding
from ...core.programs import Completed, run
from ...core.transfer import Sink, Source
from ...exceptions import UsageError, WrongFormat, gettext_noop
from ..base import Connector, Contents, Facts
from . import examination, integrity, swap
from .arguments import check_restore_arguments, without_leaving_out
from .dump import DumpPlan, DumpSource
from .errors import explain
from .examiner import Examiner
from .in_place import InPlaceSink
from .opened import Places
from .server import KEPT, Server
from .text import HEAD

CLIENT, DUMP = ("mariadb", "mysql"), ("mariadb-dump", "mysqldump")
"""The two names of each program."""
QUIET = (
    "--batch",
    "--binary-mode",
    "--comments",
    "--skip-force",
    "--local-infile=0",
    "--skip-named-commands",
    "--skip-reconnect",
)
"""Keeps bytes unchanged, disables client commands and file access in the text, and keeps comments in routine bodies."""
TABLES = """
    SELECT TABLE_NAME FROM information_schema.TABLES
    WHERE TABLE_SCHEMA = DATABASE() AND TABLE_TYPE IN ('BASE TABLE', 'SYSTEM VERSIONED') ORDER BY TABLE_NAME
"""
"""Tables with rows of their own."""
NARROWING = frozenset({"EXCLUDE_TABLES", "SCHEMAS", "DUMP_ARGS", "CONNECTION"})
"""Options that may make a dump incomplete, or take it from another server than the live one."""
PACKET = "--max-allowed-packet=1G"
"""The upper limit of these programs; the server has a separate limit."""


class MysqlDumpConnector(Connector):
    """Stores SQL text.

    The password is passed in the programs' environment, as in Django's own client: other users can't read it, and no
    file with it can be left behind by a killed run.
    """

    engine = "mysql"
    extension = "sql"
    strategies = ("swap", "in_place")

    @property
    def vendor_name(self) -> str:  # type: ignore[override]
        """“MariaDB” or “MySQL”: as reported by the server in this process, else by the names of the installed
        programs."""
        told = vars(connections[self.alias]).get("mysql_server_data")
        if told:
            return engine_name(self.engine, str(told["version"]))
        return engine_name("mariadb" if Path(self._find(DUMP)).name.startswith("mariadb") else self.engine)

    @classmethod
    def safety_options(cls, options: Mapping[str, Any]) -> dict[str, Any]:
        kept = {key: value for key, value in options.items() if key not in NARROWING}
        if isinstance(arguments := options.get("DUMP_ARGS"), list | tuple):
            kept["DUMP_ARGS"] = without_leaving_out(arguments)
        return kept

    def source(self) -> Source:
        if self.list_option("SCHEMAS"):
            raise UsageError(
                gettext_noop(
                    "SCHEMAS in CONNECTOR_OPTIONS is not for MySQL, which has one in each database."
                ),
                hint=gettext_noop("Remove SCHEMAS. To leave tables out, use EXCLUDE_TABLES."),
            )
        plan = DumpPlan(self)
        plan.refuse_endless()
        return DumpSource([self._dump(*each) for each in plan.dumps()], plan.check, packet=plan.packet)

    def contents(self, source: Source) -> Contents:
        assert isinstance(source, DumpSource)
        return source.contents

    def check_head(self, head: bytes) -> None:
        if not HEAD.match(head):
            raise WrongFormat(gettext_noop("The backup is not SQL text of mysqldump or mariadb-dump."))

    def places(self) -> Places:
        return Places(self)

    def examiner(self, head: bytes, control: Control, tables: Collection[str]) -> Examiner:
        self.check_head(head)
        return Examiner()

    def count_rows(self, using: str) -> dict[str, int]:
        with connections[using].cursor() as cursor:
            found = integrity.count_rows(cursor)
        return {name: count for name, count in found.items() if name not in self.history_tables}

    def broken(self, using: str) -> list[str]:
        with connections[using].cursor() as cursor:
            return integrity.broken(cursor)

    def behind(self, using: str, columns: Iterable[tuple[str, str]]) -> list[str]:
        with connections[using].cursor() as cursor:
            return integrity.behind(cursor, columns)

    def sink(self, head: bytes, control: Control, strategy: str) -> Sink:
        self.check_head(head)
        return swap.SwapSink(self, control) if strategy == "swap" else InPlaceSink(self)

    def is_atomic(self, strategy: str) -> bool:
        return strategy == "swap"

    def is_half_done(self, sink: Sink) -> bool:
        if isinstance(sink, InPlaceSink):
            return sink.is_begun
        return isinstance(sink, swap.SwapSink) and (sink.swap.is_unknown or sink.swap.is_half_done)

    def is_committed(self, sink: Sink) -> bool:
        if not isinstance(sink, swap.SwapSink):
            return False
        exchange = sink.swap
        return exchange.is_done or (exchange.is_unknown and self.has_kept(exchange.kept))

    def vanished(self, sink: Sink) -> list[str]:
        assert isinstance(sink, swap.SwapSink | InPlaceSink)
        return sink.swap.vanished if isinstance(sink, swap.SwapSink) else sink.vanished

    def kept(self, sink: Sink) -> str:
        return sink.swap.kept if isinstance(sink, swap.SwapSink) else ""

    def has_kept(self, name: str) -> bool:
        server = Server(self)
        with server.cursor() as cursor:
            return server.has_kept(cursor, name)

    def name_to_keep(self) -> str:
        return Server(self).new_name() + KEPT

    def put_back(self, kept: str, aside: str) -> None:
        swap.put_back(self, kept, aside)

    def discard(self, kept: str) -> None:
        Server(self).drop(kept)

    def examine_programs(self) -> Finding:
        connection: Any = connections[self.alias]
        connection.ensure_connection()

        def ask(role: str) -> Completed:
            names = DUMP if role == "dump" else CLIENT
            return run(self._program(names, "--version", settings=None), timeout=30)

        return examination.programs(
            ask, connection.get_database_version(), is_mariadb=connection.mysql_is_mariadb
        )

    def examine_rights(self, strategy: str | None) -> Finding:
        return examination.rights(Server(self), strategy)

    def examine_contents(self, strategy: str | None) -> Finding:
        return examination.contents(Server(self))

    @property
    def schema_of_dump(self) -> str:
        """The name of the dumped schema."""
        return schema_name(self.replica)

    def facts(self) -> Facts:
        connection = connections[self.alias]
        with connection.cursor() as cursor:
            cursor.execute(TABLES)
            names = [name for (name,) in cursor.fetchall() if name not in self.history_tables]
        tool = run(self._program(DUMP, "--version", settings=None), timeout=30).output.decode(
            errors="replace"
        )
        found = re.search(r"(?:Distrib|Ver) (\d+(?:\.\d+)+)(?!.*Distrib)", tool)
        return Facts(
            server_version=".".join(map(str, connection.get_database_version())),
            tool_version=found[1] if found else "",
            tables=names,
        )

    def load(self, schema: str) -> Command:
        """Return the client program that executes statements in a schema and stops at the first error."""
        return self._program(CLIENT, PACKET, *self.list_option("RESTORE_ARGS"), *QUIET, schema)

    def script(self, schema: str) -> Command:
        """Return the client program for our own statements, without the site's arguments."""
        return self._program(CLIENT, *QUIET, "--skip-column-names", "--unbuffered", schema)

    def check_restore_options(self) -> None:
        check_restore_arguments(self.alias, self.list_option("RESTORE_ARGS"))

    def _dump(self, *arguments: str) -> Command:
        return self._program(DUMP, PACKET, *arguments, settings=self.replica)

    def _program(self, names: tuple[str, str], *arguments: str, settings: Any = ...) -> Command:
        settings = self.live if settings is ... else settings
        given, env = connection_arguments(settings) if settings else ([], {})
        return self.command(self._find(names), *given, *arguments, env=env, explain=explain)

    def _find(self, names: tuple[str, str]) -> str:
        """Return which of a program's two names is installed; in ``BIN_DIR`` both take precedence over the PATH."""
        folder = self.options.get("BIN_DIR")
        here = [name for name in names if folder and (Path(folder) / name).exists()]
        return next(iter([*here, *(name for name in names if find_program(name) != name)]), names[0])


def schema_name(settings: Mapping[str, Any]) -> str:
    """Return the name of the schema that these database settings connect to."""
    options = settings.get("OPTIONS", {})
    return str(options.get("database") or options.get("db") or settings["NAME"])


def connection_arguments(settings: Mapping[str, Any]) -> tuple[list[str], dict[str, str]]:
    """Return the arguments and the environment by which the client programs connect to this database.

    Like Django's connection, they read no option file except the one in the settings. The character set is always
    utf8mb4, whatever the site uses: only that can represent every character of every column.
    """
    options = settings.get("OPTIONS", {})
    plain = {
        **settings,
        "NAME": "",
        "OPTIONS": {k: v for k, v in options.items() if k not in ("database", "db")},
    }
    (_program, *given), env = DatabaseClient.settings_to_cmd_args_env(plain, [])
    given = [each for each in given if not each.startswith("--default-character-set=")]
    if not options.get("read_default_file"):
        given.insert(0, "--no-defaults")
    if ssl_mode := options.get("ssl_mode"):
        given.append(f"--loose-ssl-mode={ssl_mode}")
        if ssl_mode in ("VERIFY_CA", "VERIFY_IDENTITY"):
            given.append("--loose-ssl-verify-server-cert")
    given.append("--default-character-set=utf8mb4")
    return given, dict(env or {})
