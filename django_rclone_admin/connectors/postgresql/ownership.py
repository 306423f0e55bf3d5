"""Finds the objects of a database that the restoring role does not own, and what that means for a restore."""

from __future__ import annotations

from typing import Any

STAYS = """
SELECT kind, coalesce(schema, '-'), name, described FROM (
    SELECT 'SCHEMA' AS kind, NULL AS schema, nspname::text AS name, 'SCHEMA ' || quote_ident(nspname) AS described
        FROM pg_catalog.pg_namespace WHERE NOT pg_has_role(nspowner, 'USAGE')
    UNION ALL SELECT '', NULL, '', 'EXTENSION ' || quote_ident(extname)
        FROM pg_catalog.pg_extension WHERE NOT pg_has_role(extowner, 'USAGE')
    UNION ALL SELECT 'EVENT TRIGGER', NULL, evtname, 'EVENT TRIGGER ' || quote_ident(evtname)
        FROM pg_catalog.pg_event_trigger WHERE NOT pg_has_role(evtowner, 'USAGE')
    UNION ALL SELECT 'PUBLICATION', NULL, pubname, 'PUBLICATION ' || quote_ident(pubname)
        FROM pg_catalog.pg_publication WHERE NOT pg_has_role(pubowner, 'USAGE')
    UNION ALL SELECT 'SUBSCRIPTION', NULL, subname, 'SUBSCRIPTION ' || quote_ident(subname)
        FROM pg_catalog.pg_subscription JOIN pg_catalog.pg_database AS here ON here.oid = subdbid
        WHERE datname = current_database()
    UNION ALL SELECT 'FOREIGN DATA WRAPPER', NULL, fdwname, 'FOREIGN DATA WRAPPER ' || quote_ident(fdwname)
        FROM pg_catalog.pg_foreign_data_wrapper WHERE NOT pg_has_role(fdwowner, 'USAGE')
    UNION ALL SELECT 'SERVER', NULL, srvname, 'SERVER ' || quote_ident(srvname)
        FROM pg_catalog.pg_foreign_server WHERE NOT pg_has_role(srvowner, 'USAGE')
    UNION ALL SELECT 'USER MAPPING', NULL, 'USER MAPPING ' || usename || ' SERVER ' || mapping.srvname, NULL
        FROM pg_catalog.pg_user_mappings AS mapping JOIN pg_catalog.pg_foreign_server AS server ON server.oid = srvid
        WHERE NOT pg_has_role(srvowner, 'USAGE')
            AND NOT (usename = current_user AND has_server_privilege(srvid, 'USAGE'))
    UNION ALL SELECT 'PROCEDURAL LANGUAGE', NULL, lanname, 'LANGUAGE ' || quote_ident(lanname)
        FROM pg_catalog.pg_language WHERE NOT pg_has_role(lanowner, 'USAGE')
    UNION ALL SELECT 'ACCESS METHOD', NULL, amname, 'ACCESS METHOD ' || quote_ident(amname)
        FROM pg_catalog.pg_am JOIN pg_catalog.pg_roles ON rolname = current_user WHERE NOT rolsuper
    UNION ALL SELECT 'CAST', NULL, cast_name, cast_name
        FROM pg_catalog.pg_cast AS listed
        JOIN pg_catalog.pg_type AS source ON source.oid = castsource
        JOIN pg_catalog.pg_type AS target ON target.oid = casttarget
        CROSS JOIN LATERAL (SELECT 'CAST (' || format_type(castsource, NULL) || ' AS ' || format_type(casttarget, NULL) || ')')
            AS named (cast_name)
        WHERE listed.oid >= 16384 AND NOT pg_has_role(source.typowner, 'USAGE') AND NOT pg_has_role(target.typowner, 'USAGE')
    UNION ALL SELECT 'TRANSFORM', NULL, transform_name, transform_name
        FROM pg_catalog.pg_transform
        JOIN pg_catalog.pg_type AS type ON type.oid = trftype
        JOIN pg_catalog.pg_language AS language ON language.oid = trflang
        CROSS JOIN LATERAL (SELECT 'TRANSFORM FOR ' || format_type(trftype, NULL) || ' LANGUAGE ' || lanname)
            AS named (transform_name)
        WHERE NOT pg_has_role(typowner, 'USAGE')
    UNION ALL SELECT CASE relkind WHEN 'S' THEN 'SEQUENCE SET' ELSE 'TABLE DATA' END, nspname, relname, NULL
        FROM pg_catalog.pg_extension CROSS JOIN LATERAL unnest(extconfig) AS config (id)
        JOIN pg_catalog.pg_class AS class ON class.oid = config.id
        JOIN pg_catalog.pg_namespace AS space ON space.oid = relnamespace
        WHERE NOT CASE relkind WHEN 'S' THEN has_sequence_privilege(class.oid, 'UPDATE')
            ELSE has_table_privilege(class.oid, 'INSERT') AND has_table_privilege(class.oid, 'DELETE') END
) AS found
"""
"""Objects that our role can neither drop nor recreate: kind, schema and name in an archive, and their name in
comments."""


UNMOVABLE = """
SELECT object.type || ' ' || object.identity FROM (
    SELECT tableoid, oid, evtowner AS owner FROM pg_catalog.pg_event_trigger
    UNION ALL SELECT tableoid, oid, fdwowner FROM pg_catalog.pg_foreign_data_wrapper
    UNION ALL SELECT tableoid, oid, srvowner FROM pg_catalog.pg_foreign_server
    UNION ALL SELECT tableoid, oid, lanowner FROM pg_catalog.pg_language
    UNION ALL SELECT tableoid, oid, pubowner FROM pg_catalog.pg_publication WHERE puballtables
    UNION ALL SELECT tableoid, oid, 10 FROM pg_catalog.pg_am -- the first superuser stands for all
    UNION ALL SELECT listed.tableoid, listed.oid, source.typowner FROM pg_catalog.pg_cast AS listed
        JOIN pg_catalog.pg_type AS source ON source.oid = castsource
        JOIN pg_catalog.pg_type AS target ON target.oid = casttarget
        WHERE NOT pg_has_role(target.typowner, 'USAGE')
    UNION ALL SELECT 'pg_subscription'::regclass, subscription.oid, NULL FROM pg_catalog.pg_subscription AS subscription
        JOIN pg_catalog.pg_database AS here ON here.oid = subdbid WHERE datname = current_database()
) AS listed
CROSS JOIN LATERAL pg_catalog.pg_identify_object(listed.tableoid, listed.oid, 0) AS object
WHERE listed.oid >= 16384 AND coalesce(NOT pg_has_role(owner, 'USAGE'), true) AND NOT EXISTS (
    SELECT FROM pg_catalog.pg_depend AS extension
    WHERE extension.classid = listed.tableoid AND extension.objid = listed.oid AND extension.deptype IN ('e', 'i'))
LIMIT 1
"""


def unmovable(cursor: Any) -> str:
    """Return an object of this database that our role can't create in another one, by kind and name; or an empty
    string.

    A subscription belongs to the database itself: a swap would leave it in the kept one.
    """
    cursor.execute(UNMOVABLE)
    row = cursor.fetchone()
    return str(row[0]) if row else ""


def entries_of_others(cursor: Any) -> list[str]:
    """Return the entries of an archive that a restore into this database omits, as ``kind schema name``.

    They describe existing objects of other roles or of extensions, which stay unchanged.
    """
    names = []
    cursor.execute("BEGIN")
    try:
        cursor.execute("SET LOCAL search_path = ''")  # pg_dump's search path, for the names of types
        cursor.execute(STAYS)
        for kind, schema, name, described in cursor.fetchall():
            names += [f"{kind} {schema} {name}"] if kind else []
            names += [f"{about} - {described}" for about in ("COMMENT", "SECURITY LABEL") if described]
    finally:
        cursor.execute("ROLLBACK")
    return names
