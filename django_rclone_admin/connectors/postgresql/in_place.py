"""Restore PostgreSQL in place, in one transaction of one psql session.

pg_restore turns the archive into SQL; we put ``BEGIN`` and the emptying of the database before it, and ``COMMIT`` after
it only when every byte was checked. (``pg_restore`` with a connection of its own can't do this: objects that the archive
does not know, such as the tables of a newer migration with foreign keys to older ones, would make its ``--clean`` fail.)
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from ...exceptions import ProgramFailed, gettext_noop
from .libpq import literal, quote

LOCK_SECONDS = 30
"""How long the restore waits for the locks of others before it gives up."""
TAIL_BYTES = 4096
"""More than pg_restore writes from its COMMIT on: that, and a few lines of comment."""
MARK = "vanished: "
"""Before each table that the restore removed, in the output of psql; see ``COMMIT``."""

EMPTY = """
\\set ON_ERROR_STOP on
BEGIN;
SET LOCAL lock_timeout = '500ms';
SET LOCAL client_min_messages = warning;
CREATE TEMPORARY TABLE dra_before ON COMMIT DROP AS
    SELECT schemaname, tablename FROM pg_catalog.pg_tables
    WHERE schemaname !~ '^pg_' AND schemaname <> 'information_schema';
DO $lock$
DECLARE
    target record;
    deadline timestamp with time zone := pg_catalog.clock_timestamp() + '%(lock_seconds)ds'::interval;
BEGIN
    LOOP
        BEGIN
            FOR target IN
                SELECT pg_catalog.format('%%I.%%I', nspname, relname) AS name
                FROM pg_catalog.pg_class AS class JOIN pg_catalog.pg_namespace AS space ON space.oid = relnamespace
                WHERE relkind IN ('r', 'p') AND pg_catalog.pg_has_role(relowner, 'USAGE')
                    AND nspname !~ '^pg_' AND nspname <> 'information_schema' %(only_schemas)s
                    AND relname <> ALL (%(kept)s)
                ORDER BY class.oid
            LOOP
                EXECUTE pg_catalog.format('LOCK TABLE %%s IN ACCESS EXCLUSIVE MODE', target.name);
            END LOOP;
            EXIT;
        EXCEPTION
            WHEN lock_not_available THEN
                IF pg_catalog.clock_timestamp() > deadline THEN
                    RAISE;
                END IF;
            WHEN undefined_table THEN
                NULL; -- somebody has dropped it meanwhile
        END;
    END LOOP;
END
$lock$;
SET LOCAL lock_timeout = '%(lock_seconds)ds';
DO $empty$
DECLARE
    target record;
BEGIN
    FOR target IN
        SELECT pg_catalog.replace(object.type, 'statistics object', 'statistics') AS type, object.identity
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
    FOR target IN
        SELECT object.type, object.name
        FROM (
            SELECT 'PUBLICATION' AS type, pubname AS name, tableoid, oid FROM pg_catalog.pg_publication
            UNION ALL SELECT 'EVENT TRIGGER', evtname, tableoid, oid FROM pg_catalog.pg_event_trigger
            UNION ALL SELECT 'SERVER', srvname, tableoid, oid FROM pg_catalog.pg_foreign_server
            UNION ALL SELECT 'FOREIGN DATA WRAPPER', fdwname, tableoid, oid FROM pg_catalog.pg_foreign_data_wrapper
        ) AS object
        WHERE %(whole_database)s AND NOT EXISTS (
            SELECT FROM pg_catalog.pg_depend AS owner
            WHERE owner.classid = object.tableoid AND owner.objid = object.oid AND owner.deptype = 'e')
    LOOP
        BEGIN
            EXECUTE pg_catalog.format('DROP %%s IF EXISTS %%I CASCADE', target.type, target.name);
        EXCEPTION WHEN insufficient_privilege THEN
            NULL;
        END;
    END LOOP;
    IF %(whole_database)s THEN
        PERFORM pg_catalog.lo_unlink(oid) FROM pg_catalog.pg_largeobject_metadata
            WHERE pg_catalog.pg_has_role(lomowner, 'USAGE');
    END IF;
END
$empty$;
"""
"""Takes all locks, then empties the database inside the transaction of the restore: everything that pg_dump would dump, but what extensions
brought, what belongs to others, and our history.

Locks are given back and asked for again every half a second. So they can't be a part of a deadlock, which takes a second to
be found, and somebody's long transaction on one table does not keep the others from all tables until it ends.
"""

COMMIT = """
SELECT 'vanished: ' || CASE schemaname WHEN 'public' THEN tablename ELSE schemaname || '.' || tablename END
    FROM pg_temp.dra_before AS old
    WHERE NOT EXISTS (SELECT FROM pg_catalog.pg_tables AS new
        WHERE new.schemaname = old.schemaname AND new.tablename = old.tablename)
    ORDER BY 1;
COMMIT;
"""
EPILOGUE = COMMIT.encode()


def prologue(*, role: str, schemas: Sequence[str], kept_tables: Sequence[str]) -> bytes:
    """Return the SQL that begins the transaction and empties the database.

    :param role: the role to act as; empty for the one that connects.
    :param schemas: what was dumped, if it was not the whole database; nothing else is touched then.
    :param kept_tables: tables that stay as they are.
    """
    values = {
        "lock_seconds": LOCK_SECONDS,
        "only_schemas": f"AND space.nspname = ANY ({_array(schemas)})" if schemas else "",
        "kept": _array(kept_tables),
        # pg_dump leaves out what is in no schema, large objects too, when it was told which schemas to dump
        "whole_database": "false" if schemas else "true",
    }
    return ((f"SET ROLE {quote(role)};\n" if role else "") + EMPTY % values).encode()


def vanished(output: str) -> list[str]:
    """Return the tables that the restore removed, by the output of psql."""
    return [line.removeprefix(MARK) for line in output.splitlines() if line.startswith(MARK)]


def _array(names: Sequence[str]) -> str:
    return f"ARRAY[{', '.join(map(literal, names))}]::text[]"


class OneTransaction:
    """Makes pg_restore's SQL a part of our own transaction. Expects that of ``pg_restore --single-transaction``.

    Its ``BEGIN`` and ``COMMIT`` are taken out: the commit is ours to give. (Without that option there would be a pair of
    them around every large object.) And two statements before the first row are changed: a schema that could not be
    dropped, because our history lives there, must not fail to be created; and only the owner of an extension may
    comment on it.
    """

    def __init__(self) -> None:
        self._line: bytes | None = b""
        """The last line before the first row, as far as it has come; ``None`` from the first row on."""
        self._tail = b""

    def feed(self, data: bytes) -> Iterator[bytes]:
        held = self._tail + (data if self._line is None else b"".join(self._before_data(data)))
        yield held[:-TAIL_BYTES]
        self._tail = held[-TAIL_BYTES:]

    def finish(self) -> bytes:
        head, commit, rest = (self._tail + (self._line or b"")).rpartition(b"\nCOMMIT;\n")
        if not commit or any(
            line and not line.startswith((b"--", b"\\unrestrict")) for line in rest.split(b"\n")
        ):
            raise ProgramFailed(
                gettext_noop("pg_restore did not end as expected, so nothing was committed."),
                hint=gettext_noop(
                    "Nothing was changed. RESTORE_ARGS may hold an option that changes its output."
                ),
            )
        return head + b"\n" + rest

    def _before_data(self, data: bytes) -> Iterator[bytes]:
        *lines, last = ((self._line or b"") + data).split(b"\n")
        for index, line in enumerate(lines):
            if line.startswith((b"COPY ", b"-- Data for Name: ")):
                self._line = None
                yield b"\n".join([*lines[index:], last])
                return
            if line.startswith(b"CREATE SCHEMA "):
                yield line.replace(b"CREATE SCHEMA ", b"CREATE SCHEMA IF NOT EXISTS ", 1) + b"\n"
            elif line != b"BEGIN;" and not (
                line.startswith(b"COMMENT ON EXTENSION ") and line.endswith(b";")
            ):
                yield line + b"\n"
        self._line = last
