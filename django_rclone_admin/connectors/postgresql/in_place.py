"""Restores PostgreSQL in place, in one transaction of one psql session.

pg_restore converts the archive to SQL; we send ``BEGIN`` and SQL that empties the database before it, and ``COMMIT``
after it only when every byte was checked. (``pg_restore`` with its own connection can't do this: objects that the
archive does not contain, such as the tables of a newer migration with foreign keys to older ones, make its ``--clean``
fail.)
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
"""How long the restore waits for locks of other sessions before it gives up."""
MARK = "vanished: "
"""Precedes each table that the restore dropped, in the output of psql; see ``FINISH``."""

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
"""Records values for the end. A session whose client is gone should end by itself, even while it builds an index."""

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
                NULL; -- another session has dropped it meanwhile
        END;
    END LOOP;
END
$lock$;
SET LOCAL lock_timeout = '%(lock_seconds)ds';
"""
"""Takes all locks.

They are released and requested again every half second. So they can't be part of a deadlock, which is detected after a
second, and a long transaction on one table does not block all other tables until it ends.
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
"""Completes the transaction, except for its commit."""
READY = "ready"


def prologue(*, role: str, schemas: Sequence[str], kept_tables: Sequence[str]) -> bytes:
    """Return the SQL that begins the transaction and empties the database.

    :param role: the role to switch to; empty for the connecting role.
    :param schemas: the dumped schemas, which are the only ones touched; empty for the whole database.
    :param kept_tables: tables that stay unchanged.
    """
    values = {
        "lock_seconds": LOCK_SECONDS,
        "only_schemas": f"AND space.nspname = ANY ({_array(schemas)})" if schemas else "",
        "kept": _array(kept_tables),
        # With a list of schemas, pg_dump omits objects outside of schemas, including large objects.
        "whole_database": "false" if schemas else "true",
        "outside": OUTSIDE % {"schemas": _array(schemas)},
    }
    act = f"SET LOCAL ROLE {quote(role)};\n" if role else ""
    return b"BEGIN;\n" + NOTE + (act + NOTES + (LOCK + EMPTY) % values).encode()


class Transaction(CommandSink):
    """psql in our transaction, which ``commit`` completes. If the outcome is unclear, the server is queried.

    :param begin: the result of :func:`prologue`.
    :param cursor: opens a connection to the server that is independent of psql's.
    :param control: is asked right before the commit whether the work may continue.
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
        """Whether the outcome of the commit is unknown; and whether it was committed."""

    @property
    def vanished(self) -> list[str]:
        """The tables that the restore has dropped, from psql's output."""
        return [line.removeprefix(MARK) for line in self.output.splitlines() if line.startswith(MARK)]

    def commit(self) -> None:
        self.write((RESET + FINISH).encode())
        self._wait_until_ready()
        self._outer.confirm()
        self.is_unknown = True  # until it is confirmed: an interrupt may come at any moment
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
        """Wait until psql has executed everything before the commit.

        :raises BackupError: psql ended instead.
        """
        assert self._process is not None
        while READY not in self.output.splitlines():
            if self._has_ended:
                raise ended_early(self._process)
            self._heard.wait()
            self._heard.clear()


def _array(names: Sequence[str]) -> str:
    return f"ARRAY[{', '.join(map(literal, names))}]::text[]"
