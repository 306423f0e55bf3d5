"""MySQL and MariaDB, by mysqldump or mariadb-dump and the client program, whichever is there."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from django.db import connections
from django.db.backends.mysql.client import DatabaseClient

from ...core.command import Command, find_program, program_failed
from ...core.control import Control
from ...core.programs import run
from ...core.transfer import Sink, Source
from ...exceptions import BackupError, UsageError, WrongFormat, gettext_noop
from ..base import Connector, Facts
from . import swap
from .in_place import InPlaceSink
from .server import KEPT, Server
from .streams import HEAD, DumpSource

CLIENT, DUMP = ("mariadb", "mysql"), ("mariadb-dump", "mysqldump")
"""The two names of each program."""
QUIET = ("--batch", "--binary-mode", "--comments")
"""Bytes stay as they are, no text can give the client commands, and the comments in a routine's body stay there."""
PACKET = "--max-allowed-packet=1G"
"""The most that these programs can do; the server has its own limit."""

HINTS: tuple[tuple[tuple[int, ...], str], ...] = (
    ((1045, 1698), gettext_noop("Nothing was changed. Check USER and PASSWORD.")),
    (
        (2002, 2003, 2005),
        gettext_noop("Nothing was changed. Check HOST and PORT, and that the database server runs."),
    ),
    (
        (2006, 2013, 1927, 1053),
        gettext_noop("Nothing was changed. The connection to the server broke; look into the server's log."),
    ),
    (
        (1227,),
        gettext_noop(
            "Nothing was changed. A view, trigger, routine or event belongs to another account: "
            "grant SET USER (MariaDB) or SET_USER_ID (MySQL)."
        ),
    ),
    ((1418, 1419), gettext_noop("Nothing was changed. Set log_bin_trust_function_creators on the server.")),
    (
        (1044, 1142, 1143, 1370),
        gettext_noop("Nothing was changed. The database user lacks a right; see the message."),
    ),
    ((1205,), gettext_noop("Nothing was changed. Another connection holds a table; end long transactions.")),
    ((1153, 2020), gettext_noop("Nothing was changed. Raise max_allowed_packet on the server.")),
    (
        (1115, 1273),
        gettext_noop(
            "Nothing was changed. This server does not know a character set or collation of the backup."
        ),
    ),
)
"""Error numbers of server and client → what to do."""
NUMBER = re.compile(r"(?:ERROR|[Ee]rror:?) (\d{4})\b|\((\d{4})\)$|^(\d{4}) ", re.MULTILINE)


def explain(name: str, status: int, output: str) -> BackupError:
    """Explain a failure of the programs. They repeat the statement before the error, with rows of the database in it."""
    errors = [
        line
        for line in output.splitlines()
        if re.match(r"ERROR \d|\S*dump: ", line) and "[Warning]" not in line
    ]
    told = "\n".join(errors[-2:]) or "\n".join(output.splitlines()[-3:])
    error = program_failed(name, status, told)
    if hint := hint_for(told):
        error.hint_template = hint
    return error


def hint_for(told: str) -> str:
    """Return what to do about an error, by the number in its message; an empty string when it has no known one."""
    found = NUMBER.search(told)
    number = int(found[1] or found[2] or found[3]) if found else 0
    return next((hint for numbers, hint in HINTS if number in numbers), "")


class MysqlDumpConnector(Connector):
    """Stores SQL text.

    The password goes into the programs' environment, as in Django's own client: no other user can read that, and
    there is no file that a killed run could leave behind.
    """

    engine = "mysql"
    vendor_name = "MySQL"
    extension = "sql"
    strategies = ("swap", "in_place")

    def source(self) -> Source:
        return DumpSource(self._dumps())

    def check_head(self, head: bytes) -> None:
        if not HEAD.match(head):
            raise WrongFormat(gettext_noop("The backup is not SQL text of mysqldump or mariadb-dump."))

    def sink(self, head: bytes, control: Control, strategy: str) -> Sink:
        self.check_head(head)
        return swap.SwapSink(self, control) if strategy == "swap" else InPlaceSink(self)

    def is_atomic(self, strategy: str) -> bool:
        return strategy == "swap"

    def is_half_done(self, sink: Sink) -> bool:
        return isinstance(sink, InPlaceSink) and sink.is_begun

    def vanished(self, sink: Sink) -> list[str]:
        assert isinstance(sink, swap.SwapSink | InPlaceSink)
        return sink.vanished

    def kept(self, sink: Sink) -> str:
        return sink.kept if isinstance(sink, swap.SwapSink) else ""

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

    def facts(self) -> Facts:
        connection = connections[self.alias]
        with connection.cursor() as cursor:
            names = connection.introspection.table_names(cursor)
        tool = run(self._program(DUMP, "--version", settings=None), timeout=30).output.decode(
            errors="replace"
        )
        found = re.search(r"(?:Distrib|Ver) (\d+(?:\.\d+)+)(?!.*Distrib)", tool)
        return Facts(
            server_version=".".join(map(str, connection.get_database_version())),
            tool_version=found[1] if found else "",
            tables=sorted(set(names) - set(self.history_tables)),
        )

    def load(self, schema: str) -> Command:
        """Return the client program that carries out statements in a schema, and stops at the first that fails."""
        return self._program(
            CLIENT,
            *QUIET,
            PACKET,
            *self.list_option("RESTORE_ARGS"),
            "--skip-force",
            schema,
        )

    def script(self, schema: str) -> Command:
        """Return the client program for statements of our own, without anybody's arguments."""
        return self._program(CLIENT, *QUIET, "--skip-column-names", "--unbuffered", schema)

    def _dumps(self) -> list[Command]:
        """Return the dump of all rows, and before it that of the tables whose rows stay behind."""
        if self.list_option("SCHEMAS"):
            raise UsageError(
                gettext_noop(
                    "SCHEMAS in CONNECTOR_OPTIONS is not for MySQL, which has one in each database."
                ),
                hint=gettext_noop("Remove SCHEMAS. To leave tables out, use EXCLUDE_TABLES."),
            )
        schema = schema_name(self.replica)
        excluded = self.list_option("EXCLUDE_TABLES")
        common = [
            "--single-transaction",
            "--quick",
            "--triggers",
            "--hex-blob",
            "--no-tablespaces",  # these need a right that no site has
            PACKET,
            # MySQL's program alone knows these two; MariaDB's warns and goes on.
            "--loose-column-statistics=0",
            "--loose-set-gtid-purged=OFF",
        ]
        arguments = self.list_option("DUMP_ARGS")
        ignored = [f"--ignore-table={schema}.{table}" for table in (*self.history_tables, *excluded)]
        whole = self._dump(*common, "--routines", "--events", *ignored, *arguments, schema)
        return (
            [self._dump(*common, "--no-data", *arguments, schema, *excluded), whole] if excluded else [whole]
        )

    def _dump(self, *arguments: str) -> Command:
        return self._program(DUMP, *arguments, settings=self.replica)

    def _program(self, names: tuple[str, str], *arguments: str, settings: Any = ...) -> Command:
        settings = self.live if settings is ... else settings
        given, env = connection_arguments(settings) if settings else ([], {})
        return self.command(self._find(names), *given, *arguments, env=env, explain=explain)

    def _find(self, names: tuple[str, str]) -> str:
        """Return which of its two names a program has here; in ``BIN_DIR`` either comes before those on the PATH."""
        folder = self.options.get("BIN_DIR")
        here = [name for name in names if folder and (Path(folder) / name).exists()]
        return next(iter([*here, *(name for name in names if find_program(name) != name)]), names[0])


def schema_name(settings: Mapping[str, Any]) -> str:
    """Return the name of the schema that these settings of a database connect to."""
    options = settings.get("OPTIONS", {})
    return str(options.get("database") or options.get("db") or settings["NAME"])


def connection_arguments(settings: Mapping[str, Any]) -> tuple[list[str], dict[str, str]]:
    """Return the arguments and the environment by which the client programs reach this database.

    As Django's connection does, they read no option file but the one that the settings name. The text is always
    utf8mb4, whatever the site speaks: that alone can hold every character of every column.
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
