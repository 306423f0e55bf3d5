"""PostgreSQL, by pg_dump, pg_restore and psql."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from django.db import connections

from ..engine.chain import ChainSink
from ..engine.command import Command, run
from ..engine.control import Control
from ..engine.transfer import CommandSink, CommandSource, Sink, transfer
from ..exceptions import WrongFormat
from ..exceptions import gettext_noop as _
from .base import Connector, Facts
from .libpq import connection_environment, explain, quote
from .postgresql_in_place import EPILOGUE, BeforeData, prologue, vanished
from .postgresql_swap import Server, SwapSink, put_back

MAGIC = b"PGDMP"
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

    def dump_command(self) -> Command:
        return self._program(
            "pg_dump",
            "--format=custom",
            "--compress=0",
            "--no-password",
            *(f"--exclude-table=*.{quote(table)}" for table in self.history_tables),
            *(f"--exclude-table-data={table}" for table in self.list_option("EXCLUDE_TABLES")),
            *(f"--schema={schema}" for schema in self.list_option("SCHEMAS")),
            *self._role(self.replica),
            *self.list_option("DUMP_ARGS"),
            settings=self.replica,
        )

    def check_head(self, head: bytes) -> None:
        if not head.startswith(MAGIC):
            raise WrongFormat(_("The backup is not in the custom format of pg_dump."))

    def why_not(self, strategy: str) -> str:
        if strategy != "swap" or Server(self.alias).may_create():
            return ""
        return _("The role of the database may not create databases, so there can be no swap.")

    def sink(self, head: bytes, control: Control, strategy: str) -> Sink:
        self.check_head(head)
        if strategy == "swap":
            return SwapSink(self, control)
        psql = self.psql(self.live["NAME"], "--file=-")
        restore = self._program(
            "pg_restore",
            "--no-owner",
            "--no-acl",
            *self.list_option("RESTORE_ARGS"),
            "--file=-",
            connect=False,
        )
        begin = prologue(
            role=next(iter(self._role(self.live, prefix="")), ""),
            schemas=self.list_option("SCHEMAS"),
            kept_tables=self.history_tables,
        )
        self._psql = CommandSink(psql, prologue=begin, epilogue=EPILOGUE)
        return ChainSink(restore, self._psql, control, stages=[BeforeData()])

    def kept(self, sink: Sink) -> str:
        return sink.kept if isinstance(sink, SwapSink) else ""

    def put_back(self, kept: str) -> None:
        put_back(self, kept)

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
            cursor.execute(TABLES)
            names = [name for (name,) in cursor.fetchall() if name not in self.history_tables]
        tool = run(self._program("pg_dump", "--version", connect=False), timeout=30).output.decode(
            errors="replace"
        )
        found = re.search(r"\d+(\.\d+)*", tool)
        return Facts(
            server_version=".".join(map(str, connection.get_database_version())),
            tool_version=found[0] if found else "",
            tables=names,
        )

    def psql(self, database: str, *arguments: str) -> Command:
        """Return psql for one database of this server, which stops at the first error."""
        quiet = ("--no-psqlrc", "--quiet", "--no-align", "--tuples-only", "--no-password")
        return self._program(
            "psql", *quiet, "--set=ON_ERROR_STOP=1", *arguments, settings={**self.live, "NAME": database}
        )

    def pg_restore(self, database: str, *arguments: str) -> Command:
        """Return pg_restore into one database of this server."""
        return self._program(
            "pg_restore",
            "--no-owner",
            "--no-acl",
            "--no-password",
            f"--dbname={database}",
            *self._role(self.live),
            *self.list_option("RESTORE_ARGS"),
            *arguments,
        )

    def copy_table(self, table: str, source: str, target: str) -> None:
        """Replace a table of one database by that of another, with its rows."""
        only = (f"--table={quote(table)}", "--no-owner", "--no-acl", "--no-password")
        dump = self._program("pg_dump", *only, settings={**self.live, "NAME": source})
        begin = f"BEGIN;\nDROP TABLE IF EXISTS {quote(table)};\n".encode()
        load = CommandSink(self.psql(target, "--file=-"), prologue=begin, epilogue=b"\nCOMMIT;\n")
        transfer(CommandSource(dump), load)

    @staticmethod
    def _role(settings: Mapping[str, Any], prefix: str = "--role=") -> list[str]:
        role = settings.get("OPTIONS", {}).get("assume_role")
        return [prefix + role] if role else []

    def _program(self, name: str, *arguments: str, settings: Any = None, connect: bool = True) -> Command:
        env = connection_environment(settings or self.live) if connect else {}
        return self.command(name, *arguments, env=env, explain=explain)
