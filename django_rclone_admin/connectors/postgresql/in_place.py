"""Restore PostgreSQL in place, in one transaction of one psql session.

pg_restore turns the archive into SQL; we put ``BEGIN`` and the emptying of the database before it, and ``COMMIT`` after
it only when every byte was checked. (``pg_restore`` with a connection of its own can't do this: objects that the archive
does not know, such as the tables of a newer migration with foreign keys to older ones, would make its ``--clean`` fail.)
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from typing import Any

from ...core.command import Command
from ...core.control import Control
from ...core.transfer import CommandSink, ended_early
from ...exceptions import OutcomeUnknown, gettext_noop
from .emptying import EMPTY, OUTSIDE
from .libpq import literal, quote
from .outcome import NOTE, was_committed
from .search_path import RESET

LOCK_SECONDS = 30
"""How long the restore waits for the locks of others before it gives up."""
MARK = "vanished: "
"""Before each table that the restore removed, in the output of psql; see ``FINISH``."""

NOTES = r"""
SELECT pg_catalog.set_config(name, '2s', true) FROM pg_catalog.pg_settings
    WHERE name = 'client_connection_check_interval' \g /dev/null
SELECT pg_catalog.set_config('django_rclone_admin.search_path', pg_catalog.current_setting('search_path'), true),
    pg_catalog.set_config('django_rclone_admin.tables', (
        SELECT pg_catalog.jsonb_agg(pg_catalog.jsonb_build_array(schemaname, tablename))::text
        FROM pg_catalog.pg_tables WHERE schemaname !~ '^pg_' AND schemaname <> 'information_schema'), true) \g /dev/null
SET LOCAL search_path = '';
SET LOCAL lock_timeout = '500ms';
SET LOCAL client_min_messages = warning;
"""
"""Notes what is needed at the end. A session whose client is gone shall end by itself, even while it builds an index."""

LOCK = """
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
"""
"""Takes all locks.

They are given back and asked for again every half a second. So they can't be a part of a deadlock, which takes a second to
be found, and somebody's long transaction on one table does not keep the others from all tables until it ends.
"""

FINISH = """
SET CONSTRAINTS ALL IMMEDIATE;
SELECT 'ready';
SELECT 'vanished: ' || CASE old ->> 0 WHEN 'public' THEN old ->> 1 ELSE (old ->> 0) || '.' || (old ->> 1) END
    FROM pg_catalog.jsonb_array_elements(
        nullif(pg_catalog.current_setting('django_rclone_admin.tables'), '')::jsonb) AS old
    WHERE NOT EXISTS (SELECT FROM pg_catalog.pg_tables AS new
        WHERE new.schemaname = old ->> 0 AND new.tablename = old ->> 1)
    ORDER BY 1;
"""
"""Ends the work of the transaction, but for its commit."""
READY = "ready"


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
        "outside": OUTSIDE % {"schemas": _array(schemas)},
    }
    act = f"SET LOCAL ROLE {quote(role)};\n" if role else ""
    return b"BEGIN;\n" + NOTE + (act + NOTES + (LOCK + EMPTY) % values).encode()


class Transaction(CommandSink):
    """psql in our transaction, which its ``commit`` ends. When that end is not clear, the server is asked.

    :param begin: what :func:`prologue` returned.
    :param cursor: opens a connection to the server, whatever became of psql's.
    :param control: is asked right before the commit whether the work may go on.
    """

    def __init__(
        self,
        command: Command,
        *,
        begin: bytes,
        cursor: Callable[[], AbstractContextManager[Any]],
        control: Control,
    ) -> None:
        super().__init__(command, prologue=begin, epilogue=b"COMMIT;\n")
        self._cursor = cursor
        self._outer = control
        self.is_unknown = self.is_committed = False
        """Whether it may have been committed, and nobody knows; and whether it was."""

    @property
    def vanished(self) -> list[str]:
        """The tables that the restore has removed, by what psql said."""
        return [line.removeprefix(MARK) for line in self.output.splitlines() if line.startswith(MARK)]

    def commit(self) -> None:
        self.write((RESET + FINISH).encode())
        self._wait_until_ready()
        self._outer.confirm()
        self.is_unknown = True  # until somebody has told: what interrupts us may do so at any moment
        try:
            super().commit()
        except BaseException as error:
            self.close()
            outcome = was_committed(self.output, self._cursor)
            if outcome is None:
                raise OutcomeUnknown(
                    gettext_noop(
                        "The connection to the database broke while the restore was being committed."
                    )
                ) from error
            self.is_unknown = False
            if not outcome:
                raise
        self.is_unknown, self.is_committed = False, True

    def _wait_until_ready(self) -> None:
        """Wait until psql has carried out all but the commit.

        :raises BackupError: it ended instead.
        """
        assert self._process is not None
        while READY not in self.output.splitlines():
            if self._has_ended:
                raise ended_early(self._process)
            self._heard.wait()
            self._heard.clear()


def _array(names: Sequence[str]) -> str:
    return f"ARRAY[{', '.join(map(literal, names))}]::text[]"
