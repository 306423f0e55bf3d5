"""What can be known before a restore: why it would fail in the place that the backup came from, and the way out."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from typing import Any

Cursor = Callable[[], AbstractContextManager[Any]]
SHOWN = 5
"""How many names a sentence has."""

LOCKS = """
SELECT 2 * (
        SELECT count(DISTINCT (classid, objid)) FROM pg_catalog.pg_depend AS member
        WHERE objid >= 16384 AND objsubid = 0 AND NOT EXISTS (SELECT FROM pg_catalog.pg_depend AS owner
            WHERE owner.classid = member.classid AND owner.objid = member.objid AND owner.deptype = 'e')
    ) + (SELECT count(*) FROM pg_catalog.pg_largeobject_metadata),
    current_setting('max_locks_per_transaction')::bigint * (SELECT sum(setting::bigint) FROM pg_catalog.pg_settings
        WHERE name IN ('max_connections', 'max_prepared_transactions', 'autovacuum_max_workers', 'max_worker_processes',
            'max_wal_senders'))
"""
"""How many locks a restore in place takes, and how many the server has room for. Each object is dropped and created; the formula
of the room is that of ``NLOCKENTS`` in PostgreSQL's lock.c."""

OF_OTHERS = """
SELECT class.oid::regclass::text, pg_get_userbyid(relowner) FROM pg_catalog.pg_class AS class
JOIN pg_catalog.pg_namespace AS space ON space.oid = relnamespace
WHERE relkind IN ('r', 'p', 'v', 'm', 'S', 'f') AND nspname !~ '^pg_' AND nspname <> 'information_schema'
    AND NOT pg_has_role(relowner, 'USAGE') AND NOT pg_has_role(nspowner, 'USAGE') AND NOT EXISTS (SELECT FROM pg_catalog.pg_depend AS owner
        WHERE owner.classid = 'pg_class'::regclass AND owner.objid = class.oid AND owner.deptype IN ('e', 'i', 'a'))
UNION ALL SELECT function.oid::regprocedure::text, pg_get_userbyid(proowner) FROM pg_catalog.pg_proc AS function
JOIN pg_catalog.pg_namespace AS space ON space.oid = pronamespace
WHERE function.oid >= 16384 AND nspname !~ '^pg_' AND nspname <> 'information_schema'
    AND NOT pg_has_role(proowner, 'USAGE') AND NOT pg_has_role(nspowner, 'USAGE') AND NOT EXISTS (SELECT FROM pg_catalog.pg_depend AS owner
        WHERE owner.classid = 'pg_proc'::regclass AND owner.objid = function.oid AND owner.deptype IN ('e', 'i'))
ORDER BY 1
"""
"""What is dumped, and can neither be dropped nor created anew in place."""

PUBLISHED = """
SELECT DISTINCT pubname::text FROM pg_catalog.pg_publication_rel
JOIN pg_catalog.pg_publication AS publication ON publication.oid = prpubid
WHERE NOT pg_has_role(pubowner, 'USAGE') ORDER BY 1
"""
"""Publications of others, which lose their tables in place."""

CONFIGURED = """
SELECT class.oid::regclass::text, condition FROM pg_catalog.pg_extension
CROSS JOIN LATERAL ROWS FROM (unnest(extconfig), unnest(extcondition)) AS config (id, condition)
JOIN pg_catalog.pg_class AS class ON class.oid = config.id
WHERE relkind = 'r' AND has_table_privilege(class.oid, 'SELECT')
    AND NOT (has_table_privilege(class.oid, 'INSERT') AND has_table_privilege(class.oid, 'DELETE'))
"""
"""Tables of extensions that the site may have added rows to, and our role may not write."""


def why_not_in_place(cursor: Any) -> str:
    """Return why a restore in place would fail, as a sentence; an empty string when nothing is known against it."""
    cursor.execute(LOCKS)
    needed, room = cursor.fetchone()
    if needed <= room:
        return ""
    return (
        f"A restore in place takes about {needed} locks, and the lock table of the server has room for {room}: "
        "raise max_locks_per_transaction."
    )


def warnings(cursor: Any) -> list[str]:
    """Return what would not restore into the live database, and the way out, as sentences."""
    found = [why_not_in_place(cursor)]
    cursor.execute(OF_OTHERS)
    if others := cursor.fetchall():
        owners = ", ".join(sorted({owner for _name, owner in others}))
        found.append(
            f"{_shown([name for name, _owner in others])} belong to {owners}: a restore in place can't replace them and "
            "fails. Let the role of the database be a member of their owner, or restore with the strategy swap."
        )
    cursor.execute(PUBLISHED)
    if publications := [name for (name,) in cursor.fetchall()]:
        found.append(
            f"The publications {_shown(publications)} belong to another role, which has to add the tables again: a "
            "restore in place fails. Let the role of the database own them."
        )
    if tables := _unwritable(cursor):
        found.append(
            f"The rows of {_shown(tables)}, tables of extensions, are in the backup but are not restored: the role of "
            "the database needs INSERT and DELETE on them."
        )
    return [each for each in found if each]


def through_pooler(first: Cursor, second: Cursor) -> list[str]:
    """Return what is to be said of a dump through a pooler that gives each transaction another session.

    :param first: gives a connection to what is dumped; ``second`` opens another one.
    """
    with first() as idle:
        idle.execute("SELECT pg_backend_pid()")
        (session,) = idle.fetchone()
        if session == idle.db.connection.info.backend_pid:
            return []  # the server itself has given us the number of our session
        with second() as busy:
            busy.execute("BEGIN")
            busy.execute("SELECT pg_backend_pid()")
            is_shared = busy.fetchone()[0] == session
            busy.execute("ROLLBACK")
    sentence = (
        "The database is dumped through a pooler in transaction mode. pg_dump is not made for that: on a busy site its "
        "settings may reach other clients. Name the server itself in CONNECTION."
    )
    return [sentence] if is_shared else []


def _unwritable(cursor: Any) -> list[str]:
    cursor.execute(CONFIGURED)
    tables = []
    for table, condition in cursor.fetchall():
        cursor.execute(f"SELECT EXISTS (SELECT FROM {table} {condition or ''})")
        if cursor.fetchone()[0]:
            tables.append(table)
    return tables


def _shown(names: Sequence[str]) -> str:
    more = len(names) - SHOWN
    return ", ".join(names[:SHOWN]) + (f" and {more} more" if more > 0 else "")
