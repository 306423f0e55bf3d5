"""PostgreSQL, by pg_dump, pg_restore and psql."""

from __future__ import annotations

import functools
import os
from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Any

from django.db import connections

from ...core.chain import ChainSink
from ...core.command import Command
from ...core.control import Control
from ...core.findings import Finding
from ...core.transfer import CommandSink, CommandSource, Sink, Source, transfer
from ...exceptions import UsageError, WrongFormat, gettext_noop
from ..base import Connector, Contents, Facts
from . import examination, integrity
from .arguments import EVERYTHING, check_restore, narrowed, whole
from .contents import Archive, Choice, Head
from .dumping import DumpSource, Judge
from .examiner import Examiner
from .foresight import why_not_in_place
from .in_place import Transaction, prologue
from .libpq import ServiceFile, conninfo, explain, password, pattern, quote
from .opened import Places
from .ownership import entries_of_others
from .pooler import past_pooler
from .search_path import BEFORE_DATA
from .server import Server
from .swap import SwapSink, name_to_keep, put_back
from .text import OneTransaction

MAGIC = b"PGDMP"
TABLES = """
SELECT CASE WHEN schemaname = ANY (current_schemas(false)) THEN tablename ELSE schemaname || '.' || tablename END,
    format('%I.%I', schemaname, tablename)
FROM pg_catalog.pg_tables WHERE schemaname !~ '^pg_' AND schemaname <> 'information_schema'
    AND NOT EXISTS (SELECT FROM pg_catalog.pg_depend AS owner WHERE owner.classid = 'pg_class'::regclass
        AND owner.objid = format('%I.%I', schemaname, tablename)::regclass AND owner.deptype = 'e')
ORDER BY 1
"""


class PgDumpConnector(Connector):
    """Stores pg_dump's custom format, uncompressed: compression in the stream can use several cores."""

    engine = "postgresql"
    vendor_name = "PostgreSQL"
    extension = "dump"
    needs_server_of_dump = True
    strategies = ("in_place", "swap")
    may_have_extensions = False
    """Whether :meth:`prepare` creates the extensions that our role may not create in a new database."""

    def __init__(self, *arguments: Any, **more: Any) -> None:
        super().__init__(*arguments, **more)
        self._service_files: list[ServiceFile] = []

    @classmethod
    def safety_options(cls, options: Mapping[str, Any]) -> dict[str, Any]:
        arguments = options.get("DUMP_ARGS")
        harmless = {"DUMP_ARGS": whole(arguments)} if isinstance(arguments, list | tuple) else {}
        return super().safety_options(options) | harmless

    def source(self) -> Source:
        replica = None
        if self.options.get("CONNECTION"):
            other = Server(self.alias, self.options["CONNECTION"])
            replica = functools.partial(other.cursor, self.replica["NAME"])
        judge = Judge(
            live=functools.partial(Server(self.alias).cursor, self.database_name),
            replica=replica,
            history=self.history_tables,
            asked=self._narrowed(),
            schemas=self.list_option("SCHEMAS"),
        )
        return DumpSource(self.dump_command(), self.list_contents, judge)

    def contents(self, source: Source) -> Contents:
        return source.contents if isinstance(source, DumpSource) else Contents()

    def _narrowed(self) -> dict[str, Sequence[str]]:
        """Return the kinds that the options exclude, by option."""
        found = narrowed(self.alias, self.list_option("DUMP_ARGS"))
        if self.list_option("EXCLUDE_TABLES"):
            found["EXCLUDE_TABLES"] = ["rows"]
        if self.list_option("SCHEMAS"):
            found["SCHEMAS"] = [EVERYTHING]
        return found

    def dump_command(self) -> Command:
        return self._connected(
            "pg_dump",
            "--format=custom",
            "--compress=0",
            *(f"--exclude-table=*.{quote(table)}" for table in self.history_tables),
            *(f"--exclude-table-data={pattern(table)}" for table in self.list_option("EXCLUDE_TABLES")),
            *(f"--schema={schema}" for schema in self.list_option("SCHEMAS")),
            *_role_argument(self.replica),
            *self.list_option("DUMP_ARGS"),
            settings=past_pooler(self.alias, self.replica, self.replica["NAME"] or self.database_name),
        )

    def check_head(self, head: bytes) -> None:
        if not head.startswith(MAGIC):
            raise WrongFormat(gettext_noop("The backup is not in the custom format of pg_dump."))

    def examiner(self, head: bytes, control: Control, tables: Collection[str]) -> Examiner:
        self.check_head(head)
        return Examiner(self._to_sql(), control, tables)

    def count_rows(self, using: str) -> dict[str, int]:
        with connections[using].cursor() as cursor:
            return integrity.count_rows(cursor, self.identifiers(cursor))

    def broken(self, using: str) -> list[str]:
        with connections[using].cursor() as cursor:
            return integrity.broken(cursor)

    def behind(self, using: str, columns: Iterable[tuple[str, str]]) -> list[str]:
        with connections[using].cursor() as cursor:
            return integrity.behind(cursor, columns)

    def why_not(self, strategy: str) -> str:
        server = Server(self.alias)
        if strategy == "in_place":
            with server.cursor(self.database_name) as cursor:
                return why_not_in_place(cursor)
        if self.list_option("SCHEMAS"):
            return gettext_noop("Only some of the schemas are backed up, so there can be no swap.")
        try:
            past_pooler(self.alias, self.live, self.database_name)
        except UsageError as error:
            return f"{error} There can be no swap."
        return server.why_no_swap(self.database_name, may_have_extensions=self.may_have_extensions)

    def places(self) -> Places:
        return Places(self)

    def sink(self, head: bytes, control: Control, strategy: str) -> Sink:
        self.check_head(head)
        if strategy == "swap":
            return SwapSink(self, control)
        server, live = Server(self.alias), self.database_name
        self.prepare(live)
        self._transaction = Transaction(
            self.psql(live, "--file=-"),
            begin=prologue(
                role=role(self.live), schemas=self.list_option("SCHEMAS"), kept_tables=self.history_tables
            ),
            cursor=functools.partial(server.cursor, live),
            control=control,
        )

        choice = self.choice(live)

        def begin(head: Head, listing: bytes) -> Sink:
            arguments = head.choose(choice.lines(listing))
            # A killed process could not remove it.
            head.forget() if arguments else head.close()
            command = self._to_sql(*arguments)
            stage = OneTransaction(before_data=BEFORE_DATA.encode())
            return ChainSink(command, self._transaction, control, stages=[stage])

        return Archive(self.list_contents, begin)

    def choice(self, database: str) -> Choice:
        """Return which entries of an archive can be loaded into a database of this server."""
        with Server(self.alias).cursor(database) as cursor:
            return Choice(self.history_tables, entries_of_others(cursor))

    def prepare(self, database: str) -> None:
        """Prepare a database of this server for the load of an archive."""

    def is_half_done(self, sink: Sink) -> bool:
        return sink.swap.is_unknown if isinstance(sink, SwapSink) else self._transaction.is_unknown

    def is_committed(self, sink: Sink) -> bool:
        if isinstance(sink, SwapSink):
            swap = sink.swap
            return swap.is_done or (swap.is_unknown and self.has_kept(swap.kept))
        return self._transaction.is_committed

    def kept(self, sink: Sink) -> str:
        return sink.swap.kept if isinstance(sink, SwapSink) else ""

    def has_kept(self, name: str) -> bool:
        return Server(self.alias).exists(name)

    def name_to_keep(self) -> str:
        return name_to_keep(self.database_name)

    def put_back(self, kept: str, aside: str) -> None:
        put_back(self, kept, aside)

    def discard(self, kept: str) -> None:
        Server(self.alias).drop(kept)

    def vanished(self, sink: Sink) -> list[str]:
        if isinstance(sink, SwapSink):
            return sink.swap.vanished
        return [each for each in self._transaction.vanished if each.split(".")[-1] not in self.history_tables]

    def facts(self) -> Facts:
        connection = connections[self.alias]
        with connection.cursor() as cursor:
            names = self._tables(cursor)
        return Facts(server_version=".".join(map(str, connection.get_database_version())), tables=names)

    def examine_programs(self) -> Finding:
        connection = connections[self.alias]
        connection.ensure_connection()
        return examination.programs(self._program, connection.get_database_version()[0])

    def examine_rights(self, strategy: str | None) -> Finding:
        server = Server(self.alias)
        no_swap = server.why_no_swap(self.database_name, may_have_extensions=self.may_have_extensions)
        return examination.rights(no_swap, strategy)

    def examine_contents(self, strategy: str | None) -> Finding:
        with Server(self.alias).cursor(self.database_name) as cursor:
            return examination.contents(cursor, strategy)

    @functools.cached_property
    def database_name(self) -> str:
        """The name of the live database, which may come from a service file instead of the settings."""
        if name := self.live["NAME"]:
            return str(name)
        with connections[self.alias].cursor() as cursor:
            cursor.execute("SELECT current_database()")
            return str(cursor.fetchone()[0])

    def psql(self, database: str, *arguments: str, settings: Any = None) -> Command:
        """Return psql for one database of this server, which stops at the first error."""
        quiet = ("--no-psqlrc", "--quiet", "--no-align", "--tuples-only", "--set=ON_ERROR_STOP=1")
        return self._connected("psql", *quiet, *arguments, settings=settings or self.live, database=database)

    def pg_restore(self, database: str, *arguments: str) -> Command:
        """Return pg_restore into one database of this server."""
        options = ("--no-owner", "--no-acl", *_role_argument(self.live), *self.list_option("RESTORE_ARGS"))
        return self._connected("pg_restore", *options, *arguments, settings=self.live, database=database)

    def tables(self, database: str) -> list[str]:
        """Return the tables of a database of this server, schema-qualified unless on the search path."""
        with Server(self.alias).cursor(database) as cursor:
            return self._tables(cursor)

    def _tables(self, cursor: Any) -> list[str]:
        return list(self.identifiers(cursor))

    def identifiers(self, cursor: Any) -> dict[str, str]:
        """Return the SQL identifiers of the tables, by the names in manifests."""
        cursor.execute(TABLES)
        return {
            name: identifier
            for name, identifier in cursor.fetchall()
            if name.split(".")[-1] not in self.history_tables
        }

    def copy_table(self, table: str, source: str, target: str) -> None:
        """Replace a table of one database with that of another, with its rows."""
        only = (f"--table={quote(table)}", "--no-owner", "--no-acl")
        settings = {**past_pooler(self.alias, self.live, source), "NAME": source}
        dump = self._connected("pg_dump", *only, settings=settings, database=source)
        act = f"SET LOCAL ROLE {quote(role(self.live))};\n" if role(self.live) else ""
        begin = f"BEGIN;\n{act}DROP TABLE IF EXISTS {quote(table)};\n".encode()
        load = CommandSink(self.psql(target, "--file=-"), prologue=begin, epilogue=b"\nCOMMIT;\n")
        transfer(CommandSource(dump), load)

    def _to_sql(self, *arguments: str) -> Command:
        """Return pg_restore that converts its input to SQL."""
        options = ("--single-transaction", "--no-owner", "--no-acl", "--file=-")
        return self._program("pg_restore", *options, *self.list_option("RESTORE_ARGS"), *arguments)

    def list_contents(self, file: str) -> Command:
        """Return the pg_restore command that lists the contents of an archive."""
        return self._program("pg_restore", "--list", file)

    def check_restore_options(self) -> None:
        check_restore(self.alias, self.list_option("RESTORE_ARGS"))

    @property
    def secrets(self) -> frozenset[str]:
        found = {password(each) for each in (self.live, self.replica)}
        found |= {str(each.get("OPTIONS", {}).get("sslpassword") or "") for each in (self.live, self.replica)}
        return frozenset(found - {""})

    def _connected(
        self, name: str, *arguments: str, settings: Mapping[str, Any], database: str = ""
    ) -> Command:
        """Return one of PostgreSQL's programs with a connection to a database."""
        env = {"PGPASSWORD": secret} if (secret := password(settings)) else {}
        options = settings.get("OPTIONS", {})
        if passphrase := options.get("sslpassword"):
            file = ServiceFile(
                options.get("service", ""), passphrase, {**os.environ, **self.options.get("ENV", {})}
            )
            self._service_files.append(file)
            env["PGSERVICEFILE"] = str(file.path)
            settings = {**settings, "OPTIONS": {**options, "service": file.service}}
        where = f"--dbname={conninfo(settings, database)}"
        return self._program(name, "--no-password", where, *arguments, env=env)

    def _program(self, name: str, *arguments: str, env: Mapping[str, str] | None = None) -> Command:
        return self.command(name, *arguments, env=env or {}, explain=explain)


def role(settings: Mapping[str, Any]) -> str:
    """Return the role that Django switches to; an empty string for the connecting role."""
    return str(settings.get("OPTIONS", {}).get("assume_role") or "")


def _role_argument(settings: Mapping[str, Any]) -> list[str]:
    return [f"--role={name}"] if (name := role(settings)) else []
