"""PostgreSQL, by pg_dump, pg_restore and psql.

A restore is one transaction of one psql session. pg_restore turns the archive into SQL; we put ``BEGIN`` and the
emptying of the database before it, and ``COMMIT`` after it only when every byte was checked. (``pg_restore`` with a
connection of its own can't do this: objects that the archive does not know, such as the tables of a newer migration
with foreign keys to older ones, would make its ``--clean`` fail.)
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

from django.db import connections
from django.db.backends.postgresql.client import DatabaseClient

from ..engine.chain import ChainSink
from ..engine.command import Command, program_failed, run
from ..engine.control import Control
from ..engine.transfer import CommandSink, CommandSource, Sink, transfer
from ..exceptions import BackupError, WrongFormat
from ..exceptions import gettext_noop as _
from .base import Connector, Facts
from .postgresql_swap import Server, SwapSink, put_back

MAGIC = b"PGDMP"
LOCK_SECONDS = 30
"""How long the restore waits for the locks of others before it gives up."""
MARK = "vanished: "
"""Before each table that the restore removed, in the output of psql; see ``COMMIT``."""

LIBPQ = {
    "connect_timeout": "PGCONNECT_TIMEOUT",
    "options": "PGOPTIONS",
    "application_name": "PGAPPNAME",
    "sslcrl": "PGSSLCRL",
    "sslcompression": "PGSSLCOMPRESSION",
    "sslsni": "PGSSLSNI",
    "ssl_min_protocol_version": "PGSSLMINPROTOCOLVERSION",
    "ssl_max_protocol_version": "PGSSLMAXPROTOCOLVERSION",
    "sslnegotiation": "PGSSLNEGOTIATION",
    "sslcertmode": "PGSSLCERTMODE",
    "gssencmode": "PGGSSENCMODE",
    "krbsrvname": "PGKRBSRVNAME",
    "gsslib": "PGGSSLIB",
    "channel_binding": "PGCHANNELBINDING",
    "require_auth": "PGREQUIREAUTH",
    "target_session_attrs": "PGTARGETSESSIONATTRS",
    "load_balance_hosts": "PGLOADBALANCEHOSTS",
    "hostaddr": "PGHOSTADDR",
    "client_encoding": "PGCLIENTENCODING",
}
"""Connection options that Django's database client does not pass on → the environment variable that libpq reads.
Source: PostgreSQL's documentation, "Environment Variables" of libpq."""

EMPTY = """
\\set ON_ERROR_STOP on
BEGIN;
SET LOCAL lock_timeout = '%(lock_seconds)ds';
SET LOCAL client_min_messages = warning;
CREATE TEMPORARY TABLE dra_before ON COMMIT DROP AS
    SELECT schemaname, tablename FROM pg_catalog.pg_tables
    WHERE schemaname !~ '^pg_' AND schemaname <> 'information_schema';
DO $empty$
DECLARE
    target record;
BEGIN
    FOR target IN
        SELECT object.type, object.identity
        FROM pg_catalog.pg_depend AS member
        JOIN pg_catalog.pg_namespace AS space ON space.oid = member.refobjid
        LEFT JOIN pg_catalog.pg_class AS class
            ON member.classid = 'pg_catalog.pg_class'::regclass AND class.oid = member.objid
        CROSS JOIN LATERAL pg_catalog.pg_identify_object(member.classid, member.objid, 0) AS object
        WHERE member.refclassid = 'pg_catalog.pg_namespace'::regclass
            AND member.deptype = 'n'
            AND member.classid::regclass::text IN (
                'pg_class', 'pg_proc', 'pg_type', 'pg_operator', 'pg_opclass', 'pg_opfamily', 'pg_collation',
                'pg_conversion', 'pg_statistic_ext', 'pg_ts_config', 'pg_ts_dict', 'pg_ts_parser', 'pg_ts_template')
            AND space.nspname !~ '^pg_' AND space.nspname <> 'information_schema' %(only_schemas)s
            AND (class.relname IS NULL OR class.relname <> ALL (%(kept)s))
            AND NOT EXISTS (
                SELECT FROM pg_catalog.pg_depend AS owner
                WHERE owner.classid = member.classid AND owner.objid = member.objid AND owner.deptype = 'e')
        ORDER BY class.relkind IN ('r', 'p', 'f') DESC NULLS LAST
    LOOP
        BEGIN
            EXECUTE pg_catalog.format('DROP %%s IF EXISTS %%s CASCADE', target.type, target.identity);
        EXCEPTION WHEN insufficient_privilege THEN
            NULL; -- it belongs to somebody else; if the backup has one of that name, the restore will fail
        END;
    END LOOP;
    FOR target IN
        SELECT nspname FROM pg_catalog.pg_namespace AS space
        WHERE nspname !~ '^pg_' AND nspname NOT IN ('public', 'information_schema') %(only_schemas)s
            AND NOT EXISTS (
                SELECT FROM pg_catalog.pg_depend AS owner
                WHERE owner.classid = 'pg_catalog.pg_namespace'::regclass
                    AND owner.objid = space.oid AND owner.deptype = 'e')
    LOOP
        BEGIN
            EXECUTE pg_catalog.format('DROP SCHEMA IF EXISTS %%I', target.nspname);
        EXCEPTION WHEN insufficient_privilege OR dependent_objects_still_exist THEN
            NULL;
        END;
    END LOOP;
    IF %(drop_large_objects)s THEN
        PERFORM pg_catalog.lo_unlink(oid) FROM pg_catalog.pg_largeobject_metadata
            WHERE pg_catalog.pg_has_role(lomowner, 'USAGE');
    END IF;
END
$empty$;
"""
"""Empties the database inside the transaction of the restore: everything that lives in its schemas, but what extensions
brought, what belongs to others, and our history."""

COMMIT = """
SELECT 'vanished: ' || CASE schemaname WHEN 'public' THEN tablename ELSE schemaname || '.' || tablename END
    FROM pg_temp.dra_before AS old
    WHERE NOT EXISTS (SELECT FROM pg_catalog.pg_tables AS new
        WHERE new.schemaname = old.schemaname AND new.tablename = old.tablename)
    ORDER BY 1;
COMMIT;
"""

TABLES = """
SELECT CASE WHEN schemaname = ANY (current_schemas(false)) THEN tablename ELSE schemaname || '.' || tablename END
FROM pg_catalog.pg_tables WHERE schemaname !~ '^pg_' AND schemaname <> 'information_schema' ORDER BY 1
"""

PROBLEMS: tuple[tuple[str, str], ...] = (
    (
        r"server version mismatch",
        _("Install client programs of the server's version, and set BIN_DIR to their folder."),
    ),
    (
        r"password authentication failed|no password supplied",
        _("Nothing was changed. Check USER and PASSWORD."),
    ),
    (
        r"connection to server .* failed|could not connect|Connection refused",
        _("Nothing was changed. Check HOST and PORT, and that the database server runs."),
    ),
    (
        r"lock timeout",
        _("Nothing was changed. Another connection holds a table; end long transactions and try again."),
    ),
    (
        r"permission denied|must be owner",
        _("Nothing was changed. The database role lacks a right; see the message."),
    ),
    (
        r"unrecognized configuration parameter",
        _("Nothing was changed. Use pg_restore of the server's own version."),
    ),
)


def explain(name: str, status: int, output: str) -> BackupError:
    """Explain a failure of PostgreSQL's programs by their last words."""
    # psql shows the position and the context of an error on further lines; the sentence is on the first
    lines = [re.sub(r"^psql:<stdin>:\d+: ", "", line) for line in output.splitlines()]
    errors = [line for line in lines if re.search(r"\b(error|ERROR|FATAL):", line)]
    error = program_failed(name, status, "\n".join(errors[:2]) or output)
    for pattern, hint in PROBLEMS:
        if re.search(pattern, output):
            error.hint_template = hint
            break
    return error


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
            *(f"--exclude-table=*.{_quote(table)}" for table in self.history_tables),
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
        self._psql = CommandSink(psql, prologue=self._prologue(), epilogue=COMMIT.encode())
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
        found = [line.removeprefix(MARK) for line in self._psql.output.splitlines() if line.startswith(MARK)]
        return [each for each in found if each.split(".")[-1] not in self.history_tables]

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
        """Replace a table of one database by that of another, with its rows; nothing happens where it is missing."""
        only = (f"--table={_quote(table)}", "--no-owner", "--no-acl", "--no-password")
        dump = self._program("pg_dump", *only, settings={**self.live, "NAME": source})
        begin = f"BEGIN;\nDROP TABLE IF EXISTS {_quote(table)};\n".encode()
        load = CommandSink(self.psql(target, "--file=-"), prologue=begin, epilogue=b"\nCOMMIT;\n")
        transfer(CommandSource(dump), load)

    def _prologue(self) -> bytes:
        schemas = self.list_option("SCHEMAS")
        role = [f"SET ROLE {_quote(role)};\n" for role in self._role(self.live, prefix="")]
        values = {
            "lock_seconds": LOCK_SECONDS,
            "only_schemas": f"AND space.nspname = ANY ({_array(schemas)})" if schemas else "",
            "kept": _array(self.history_tables),
            # pg_dump leaves large objects out when it was told which schemas to dump
            "drop_large_objects": "false" if schemas else "true",
        }
        return ("".join(role) + EMPTY % values).encode()

    @staticmethod
    def _role(settings: Mapping[str, Any], prefix: str = "--role=") -> list[str]:
        role = settings.get("OPTIONS", {}).get("assume_role")
        return [prefix + role] if role else []

    def _program(self, name: str, *arguments: str, settings: Any = None, connect: bool = True) -> Command:
        env = connection_environment(settings or self.live) if connect else {}
        return self.command(name, *arguments, env=env, explain=explain)


class BeforeData:
    """Changes two statements of a restore's SQL, before its first row.

    A schema that could not be dropped, because our history lives there, must not fail to be created; and only the
    owner of an extension may comment on it.
    """

    def __init__(self) -> None:
        self._rest: bytes | None = b""

    def feed(self, data: bytes) -> Iterator[bytes]:
        if self._rest is None:
            yield data
            return
        *lines, self._rest = (self._rest + data).split(b"\n")
        for index, line in enumerate(lines):
            if line.startswith((b"COPY ", b"-- Data for Name: ")):
                yield b"\n".join([*lines[index:], self._rest])
                self._rest = None
                return
            if line.startswith(b"CREATE SCHEMA "):
                yield line.replace(b"CREATE SCHEMA ", b"CREATE SCHEMA IF NOT EXISTS ", 1) + b"\n"
            elif not (line.startswith(b"COMMENT ON EXTENSION ") and line.endswith(b";")):
                yield line + b"\n"

    def finish(self) -> bytes:
        return self._rest or b""


def connection_environment(settings: Mapping[str, Any]) -> dict[str, str]:
    """Return the environment by which libpq's programs reach this database; nothing goes into argument lists."""
    options = settings.get("OPTIONS", {})
    _arguments, env = DatabaseClient.settings_to_cmd_args_env({**settings, "OPTIONS": options}, [])
    known = {
        variable: str(options[name]) for name, variable in LIBPQ.items() if options.get(name) is not None
    }
    places = {"PGHOST": "HOST", "PGPORT": "PORT", "PGUSER": "USER", "PGDATABASE": "NAME"}
    given = {variable: str(settings[key]) for variable, key in places.items() if settings.get(key)}
    return {"PGAPPNAME": "django-rclone-admin", **known, **given, **(env or {})}


def _quote(name: str) -> str:
    """Quote an identifier, for SQL and for pg_dump's patterns alike."""
    return '"' + name.replace('"', '""') + '"'


def _array(names: Any) -> str:
    quoted = ", ".join("'" + name.replace("'", "''") + "'" for name in names)
    return f"ARRAY[{quoted}]::text[]"
