"""PostgreSQL, by pg_dump, pg_restore and psql."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from django.db import connections

from ...core.chain import ChainSink
from ...core.command import Command
from ...core.control import Control
from ...core.programs import run
from ...core.transfer import CommandSink, CommandSource, Sink, transfer
from ...exceptions import UsageError, WrongFormat, gettext_noop
from ..base import Connector, Facts
from .contents import WithoutTables
from .in_place import EPILOGUE, OneTransaction, prologue, vanished
from .libpq import connection_environment, explain, quote
from .server import Server
from .swap import SwapSink, name_to_keep, put_back

MAGIC = b"PGDMP"
HARMLESS = frozenset(
    {
        "--verbose",
        "-v",
        "--no-comments",
        "--no-publications",
        "--no-security-labels",
        "--no-subscriptions",
        "--no-table-access-method",
        "--no-tablespaces",
        "--no-owner",
        "-O",
        "--no-privileges",
        "--no-acl",
        "-x",
        "--no-policies",
        "--no-statistics",
        "--statistics",
        "--role",
        "--superuser",
        "--disable-triggers",
        "--enable-row-security",
        "--use-set-session-authorization",
        "--restrict-key",
        "--exit-on-error",
        "-e",
    }
)
"""Arguments of pg_restore that leave out no table and no row. Others make it restore a part, and end well."""
TABLES = """
SELECT CASE WHEN schemaname = ANY (current_schemas(false)) THEN tablename ELSE schemaname || '.' || tablename END
FROM pg_catalog.pg_tables WHERE schemaname !~ '^pg_' AND schemaname <> 'information_schema' ORDER BY 1
"""


class PgDumpConnector(Connector):
    """Stores pg_dump's custom format, uncompressed: compressing in the stream uses more than its one core."""

    engine = "postgresql"
    vendor_name = "PostgreSQL"
    extension = "dump"
    needs_server_of_dump = True
    strategies = ("in_place", "swap")
    may_have_extensions = False
    """Whether :meth:`prepare` creates the extensions that our role could not create in a new database."""

    def dump_command(self) -> Command:
        return self._program(
            "pg_dump",
            "--format=custom",
            "--compress=0",
            "--no-password",
            *(f"--exclude-table=*.{quote(table)}" for table in self.history_tables),
            *(f"--exclude-table-data={table}" for table in self.list_option("EXCLUDE_TABLES")),
            *(f"--schema={schema}" for schema in self.list_option("SCHEMAS")),
            *_role_argument(self.replica),
            *self.list_option("DUMP_ARGS"),
            settings=self.replica,
        )

    def check_head(self, head: bytes) -> None:
        if not head.startswith(MAGIC):
            raise WrongFormat(gettext_noop("The backup is not in the custom format of pg_dump."))

    def why_not(self, strategy: str) -> str:
        if strategy != "swap":
            return ""
        if self.list_option("SCHEMAS"):
            return gettext_noop("Only some of the schemas are backed up, so there can be no swap.")
        return Server(self.alias).why_no_swap(self.live["NAME"], may_have_extensions=self.may_have_extensions)

    def sink(self, head: bytes, control: Control, strategy: str) -> Sink:
        self.check_head(head)
        if strategy == "swap":
            return SwapSink(self, control)
        self.prepare(self.live["NAME"])
        begin = prologue(
            role=_role(self.live), schemas=self.list_option("SCHEMAS"), kept_tables=self.history_tables
        )
        begin += self.empty_more()
        self._psql = CommandSink(self.psql(self.live["NAME"], "--file=-"), prologue=begin, epilogue=EPILOGUE)

        def load(*arguments: str) -> Sink:
            return ChainSink(self._to_sql(*arguments), self._psql, control, stages=[OneTransaction()])

        return (
            WithoutTables(self._list_contents, load, self.history_tables) if self.history_tables else load()
        )

    def loader(self, database: str, control: Control) -> ChainSink:
        """Return what loads an archive into an empty database of this server, but for its indexes and constraints."""
        begin = self._set_role() + b"BEGIN;\n"
        psql = CommandSink(self.psql(database, "--file=-"), prologue=begin, epilogue=b"\nCOMMIT;\n")
        restore = self._to_sql("--section=pre-data", "--section=data")
        return ChainSink(restore, psql, control, stages=[OneTransaction()])

    def prepare(self, database: str) -> None:
        """Do what must be done in a database of this server before an archive is loaded into it."""

    def empty_more(self) -> bytes:
        """Return SQL that empties what an extension brought and the archive fills again, for a restore in place."""
        return b""

    def kept(self, sink: Sink) -> str:
        return sink.kept if isinstance(sink, SwapSink) else ""

    def has_kept(self, name: str) -> bool:
        return Server(self.alias).exists(name)

    def name_to_keep(self) -> str:
        return name_to_keep(self.live["NAME"])

    def put_back(self, kept: str, aside: str) -> None:
        put_back(self, kept, aside)

    def discard(self, kept: str) -> None:
        Server(self.alias).drop(kept)

    def vanished(self, sink: Sink) -> list[str]:
        if isinstance(sink, SwapSink):
            return sink.vanished
        return [
            each for each in vanished(self._psql.output) if each.split(".")[-1] not in self.history_tables
        ]

    def facts(self) -> Facts:
        connection = connections[self.alias]
        with connection.cursor() as cursor:
            names = self._tables(cursor)
        tool = run(self._program("pg_dump", "--version", connect=False), timeout=30).output.decode(
            errors="replace"
        )
        found = re.search(r"\d+(\.\d+)*", tool)
        return Facts(
            server_version=".".join(map(str, connection.get_database_version())),
            tool_version=found[0] if found else "",
            tables=names,
        )

    def psql(self, database: str, *arguments: str, settings: Any = None) -> Command:
        """Return psql for one database of this server, which stops at the first error."""
        quiet = ("--no-psqlrc", "--quiet", "--no-align", "--tuples-only", "--no-password")
        where = {**(settings or self.live), "NAME": database}
        return self._program("psql", *quiet, "--set=ON_ERROR_STOP=1", *arguments, settings=where)

    def pg_restore(self, database: str, *arguments: str) -> Command:
        """Return pg_restore into one database of this server."""
        return self._program(
            "pg_restore",
            "--no-owner",
            "--no-acl",
            "--no-password",
            f"--dbname={database}",
            *_role_argument(self.live),
            *self.list_option("RESTORE_ARGS"),
            *arguments,
        )

    def tables(self, database: str) -> list[str]:
        """Return the tables of a database of this server, with their schema where it is not the usual one."""
        with Server(self.alias).cursor(database) as cursor:
            return self._tables(cursor)

    def _tables(self, cursor: Any) -> list[str]:
        cursor.execute(TABLES)
        return [name for (name,) in cursor.fetchall() if name.split(".")[-1] not in self.history_tables]

    def copy_table(self, table: str, source: str, target: str) -> None:
        """Replace a table of one database by that of another, with its rows."""
        only = (f"--table={quote(table)}", "--no-owner", "--no-acl", "--no-password")
        dump = self._program("pg_dump", *only, settings={**self.live, "NAME": source})
        begin = self._set_role() + f"BEGIN;\nDROP TABLE IF EXISTS {quote(table)};\n".encode()
        load = CommandSink(self.psql(target, "--file=-"), prologue=begin, epilogue=b"\nCOMMIT;\n")
        transfer(CommandSource(dump), load)

    def _to_sql(self, *arguments: str) -> Command:
        """Return pg_restore from its input to SQL."""
        options = ("--single-transaction", "--no-owner", "--no-acl", "--file=-")
        return self._program(
            "pg_restore", *options, *self.list_option("RESTORE_ARGS"), *arguments, connect=False
        )

    def _list_contents(self, file: str) -> Command:
        return self._program("pg_restore", "--list", file, connect=False)

    def check_restore_options(self) -> None:
        for argument in self.list_option("RESTORE_ARGS"):
            if argument.partition("=")[0] not in HARMLESS:
                raise UsageError(
                    gettext_noop(
                        "RESTORE_ARGS of “%(database)s” contains %(argument)s, which could restore only part of the backup."
                    ),
                    hint=gettext_noop("These are allowed: %(allowed)s."),
                    database=self.alias,
                    argument=argument.partition("=")[0],
                    allowed=", ".join(sorted(HARMLESS)),
                )

    def _set_role(self) -> bytes:
        role = _role(self.live)
        return f"SET ROLE {quote(role)};\n".encode() if role else b""

    def _program(self, name: str, *arguments: str, settings: Any = None, connect: bool = True) -> Command:
        env = connection_environment(settings or self.live) if connect else {}
        return self.command(name, *arguments, env=env, explain=explain)


def _role(settings: Mapping[str, Any]) -> str:
    return str(settings.get("OPTIONS", {}).get("assume_role") or "")


def _role_argument(settings: Mapping[str, Any]) -> list[str]:
    return [f"--role={role}"] if (role := _role(settings)) else []
