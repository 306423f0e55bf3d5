"""Predicts why a restore into the source database would fail, and names the remedy."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Any

from .emptying import LISTED

SHOWN = 5
"""How many names a sentence contains."""

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
"""How many locks a restore in place takes, and how many fit into the server's lock table. Each object is dropped and
created; the formula of the size is that of ``NLOCKENTS`` in PostgreSQL's lock.c."""

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
"""Dumped objects that can neither be dropped nor recreated in place."""

PUBLISHED = """
SELECT DISTINCT pubname::text FROM pg_catalog.pg_publication_rel
JOIN pg_catalog.pg_publication AS publication ON publication.oid = prpubid
WHERE NOT pg_has_role(pubowner, 'USAGE') ORDER BY 1
"""
"""Publications of other roles, which lose their tables in place."""

DEPENDENT = f"""
SELECT DISTINCT object.type || ' ' || object.identity FROM ({LISTED}) AS outside
JOIN pg_catalog.pg_namespace AS there ON there.oid = outside.space
JOIN pg_catalog.pg_depend ON classid = outside.tableoid AND objid = outside.oid AND objsubid = outside.part
JOIN ({LISTED}) AS inside ON refclassid = inside.tableoid AND refobjid = inside.oid AND inside.part = 0
JOIN pg_catalog.pg_namespace AS here ON here.oid = inside.space
CROSS JOIN LATERAL pg_catalog.pg_identify_object(outside.tableoid, outside.oid, outside.part) AS object
WHERE deptype IN ('n', 'a') AND here.nspname = ANY (%(schemas)s) AND there.nspname <> ALL (%(schemas)s)
    AND there.nspname !~ '^pg_' AND there.nspname <> 'information_schema' ORDER BY 1
"""
"""Objects of other schemas that would be dropped together with those of these schemas."""

GRANTEES = """
SELECT DISTINCT rolname::text FROM (
    SELECT relacl AS acl, relowner AS owner, relnamespace AS space FROM pg_catalog.pg_class
    UNION ALL SELECT attacl, relowner, relnamespace FROM pg_catalog.pg_attribute JOIN pg_catalog.pg_class AS class ON class.oid = attrelid
    UNION ALL SELECT proacl, proowner, pronamespace FROM pg_catalog.pg_proc
    UNION ALL SELECT typacl, typowner, typnamespace FROM pg_catalog.pg_type
    UNION ALL SELECT nspacl, nspowner, oid FROM pg_catalog.pg_namespace WHERE nspname <> 'public'
) AS granted
JOIN pg_catalog.pg_namespace AS space ON space.oid = granted.space
CROSS JOIN LATERAL pg_catalog.aclexplode(acl) JOIN pg_catalog.pg_roles AS role ON role.oid = grantee
WHERE grantee <> owner AND grantee <> 10 AND nspname !~ '^pg_' AND nspname <> 'information_schema'
    AND pg_catalog.pg_has_role(owner, 'USAGE') ORDER BY 1
"""
"""The roles with rights on restored objects that they do not own. The bootstrap superuser needs none."""

REFERRING = """
WITH named AS (
    SELECT class.oid, CASE WHEN nspname = ANY (current_schemas(false)) THEN relname ELSE nspname || '.' || relname END AS name
    FROM pg_catalog.pg_class AS class JOIN pg_catalog.pg_namespace AS space ON space.oid = relnamespace WHERE relkind IN ('r', 'p')
)
SELECT conrelid::regclass::text, (
        SELECT string_agg(format('%%I IS NOT NULL', attname), ' AND ') FROM pg_catalog.pg_attribute
        WHERE attrelid = conrelid AND attnum = ANY (conkey)), conname
FROM pg_catalog.pg_constraint
JOIN named AS source ON source.oid = conrelid JOIN named AS target ON target.oid = confrelid
WHERE contype = 'f' AND conparentid = 0 AND target.name = ANY (%(empty)s) AND source.name <> ALL (%(empty)s) ORDER BY 1, 3
"""
"""Foreign keys from tables with rows to tables whose rows are excluded."""

DEPENDING = """
WITH named AS (
    SELECT class.oid, CASE WHEN nspname = ANY (current_schemas(false)) THEN relname ELSE nspname || '.' || relname END AS name
    FROM pg_catalog.pg_class AS class JOIN pg_catalog.pg_namespace AS space ON space.oid = relnamespace
), uses AS (
    SELECT conrelid AS source, confrelid AS target, conname || ' on ' AS part FROM pg_catalog.pg_constraint WHERE contype = 'f'
    UNION SELECT ev_class, refobjid, '' FROM pg_catalog.pg_depend JOIN pg_catalog.pg_rewrite AS rule ON rule.oid = objid
    WHERE classid = 'pg_rewrite'::regclass AND refclassid = 'pg_class'::regclass
)
SELECT DISTINCT part || source.name FROM uses
JOIN named AS source ON source.oid = uses.source JOIN named AS target ON target.oid = uses.target
WHERE target.name = ANY (%(absent)s) AND source.name <> ALL (%(absent)s) ORDER BY 1
"""
"""Foreign keys and views that need excluded tables and views."""

CONFIGURED = """
SELECT class.oid::regclass::text, condition FROM pg_catalog.pg_extension
CROSS JOIN LATERAL ROWS FROM (unnest(extconfig), unnest(extcondition)) AS config (id, condition)
JOIN pg_catalog.pg_class AS class ON class.oid = config.id
WHERE relkind = 'r' AND has_table_privilege(class.oid, 'SELECT')
    AND NOT (has_table_privilege(class.oid, 'INSERT') AND has_table_privilege(class.oid, 'DELETE'))
"""
"""Tables of extensions that the site may have added rows to, and that our role may not write."""


def why_not_in_place(cursor: Any) -> str:
    """Return why a restore in place would fail, as a sentence; an empty string when no obstacle is known."""
    cursor.execute(LOCKS)
    needed, room = cursor.fetchone()
    if needed <= room:
        return ""
    return (
        f"A restore in place takes about {needed} locks, but the lock table of the server has room for {room}: "
        "raise max_locks_per_transaction."
    )


def warnings(cursor: Any, schemas: Sequence[str] = ()) -> list[str]:
    """Return sentences about what can't be restored into the live database, with the remedy.

    :param schemas: the dumped schemas; empty for the whole database.
    """
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
    cursor.execute(GRANTEES)
    if grantees := [name for (name,) in cursor.fetchall()]:
        found.append(
            f"The rights of other roles ({_shown(grantees)}) are not restored: grant them again after a restore."
        )
    if schemas:
        cursor.execute(DEPENDENT, {"schemas": list(schemas)})
        if dependents := [name for (name,) in cursor.fetchall()]:
            found.append(
                f"Other schemas depend on what is backed up ({_shown(dependents)}): a restore would drop that, and fails. Add "
                "their schemas to SCHEMAS in CONNECTOR_OPTIONS."
            )
    if tables := _unwritable(cursor):
        found.append(
            f"The rows of {_shown(tables)}, tables of extensions, are in the backup but are not restored: the role of "
            "the database needs INSERT and DELETE on them."
        )
    return [each for each in found if each]


def unmatched(cursor: Any, *, absent: Collection[str], without_rows: Collection[str]) -> list[str]:
    """Return warnings about objects that need excluded tables or rows: no restore can create them.

    :param absent: the excluded tables and views.
    :param without_rows: the tables whose rows are excluded.
    """
    found = []
    if absent:
        cursor.execute(DEPENDING, {"absent": list(absent)})
        found += [name for (name,) in cursor.fetchall()]
    if empty := set(without_rows) - set(absent):
        cursor.execute(REFERRING, {"empty": list(empty)})
        for table, condition, key in cursor.fetchall():
            cursor.execute(f"SELECT EXISTS (SELECT FROM {table} WHERE {condition})")
            if cursor.fetchone()[0]:
                found.append(f"{key} on {table}")
    if not found:
        return []
    sentence = (
        f"The backup holds foreign keys or views that need what the options leave out ({_shown(found)}): a restore can't create "
        "them and fails. Leave out less, or them as well."
    )
    return [sentence]


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
