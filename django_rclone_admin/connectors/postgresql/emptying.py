"""Empties a database inside the transaction of a restore, and checks that nothing else is dropped."""

from __future__ import annotations

LISTED = """
    SELECT class.tableoid, class.oid, 0 AS part, relnamespace AS space FROM pg_catalog.pg_class AS class
        WHERE relkind NOT IN ('t', 'i', 'I')
    UNION ALL SELECT class.tableoid, indexrelid, 0, relnamespace FROM pg_catalog.pg_index JOIN pg_catalog.pg_class AS class
        ON class.oid = indrelid
    UNION ALL SELECT class.tableoid, attrelid, attnum, relnamespace FROM pg_catalog.pg_attribute
        JOIN pg_catalog.pg_class AS class ON class.oid = attrelid WHERE attnum > 0 AND NOT attisdropped AND relkind IN ('r', 'p', 'f', 'c')
    UNION ALL SELECT setting.tableoid, setting.oid, 0, relnamespace FROM pg_catalog.pg_attrdef AS setting
        JOIN pg_catalog.pg_class AS class ON class.oid = adrelid
    UNION ALL SELECT trigger.tableoid, trigger.oid, 0, relnamespace FROM pg_catalog.pg_trigger AS trigger
        JOIN pg_catalog.pg_class AS class ON class.oid = tgrelid WHERE NOT tgisinternal
    UNION ALL SELECT rule.tableoid, rule.oid, 0, relnamespace FROM pg_catalog.pg_rewrite AS rule
        JOIN pg_catalog.pg_class AS class ON class.oid = ev_class
    UNION ALL SELECT policy.tableoid, policy.oid, 0, relnamespace FROM pg_catalog.pg_policy AS policy
        JOIN pg_catalog.pg_class AS class ON class.oid = polrelid
    UNION ALL SELECT tableoid, oid, 0, connamespace FROM pg_catalog.pg_constraint
    UNION ALL SELECT tableoid, oid, 0, pronamespace FROM pg_catalog.pg_proc
    UNION ALL SELECT tableoid, oid, 0, typnamespace FROM pg_catalog.pg_type
"""
"""All objects of schemas, and their parts that can be dropped separately: catalogue, OID, part number, and schema."""

OUTSIDE = f"""
SELECT pg_catalog.array_agg(object.type || ' ' || object.identity) FROM (
    SELECT listed.tableoid, listed.oid, part FROM ({LISTED}) AS listed
        JOIN pg_catalog.pg_namespace AS space ON space.oid = listed.space
        WHERE nspname !~ '^pg_' AND nspname <> 'information_schema' AND nspname <> ALL (%(schemas)s)
    UNION ALL SELECT tableoid, oid, 0 FROM pg_catalog.pg_publication_rel
    UNION ALL SELECT tableoid, oid, 0 FROM pg_catalog.pg_cast WHERE oid >= 16384
    UNION ALL SELECT tableoid, oid, 0 FROM pg_catalog.pg_transform
) AS found
CROSS JOIN LATERAL pg_catalog.pg_identify_object(found.tableoid, found.oid, part) AS object
"""
"""The objects outside of the dumped schemas, where only some were dumped: dependent ones could be dropped by CASCADE,
with rows."""

EMPTY = r"""
DO $empty$
DECLARE
    target record;
    again boolean;
    outside text[];
    lost text[];
BEGIN
    IF NOT %(whole_database)s THEN
        outside := (%(outside)s);
    END IF;
    IF %(whole_database)s THEN
        FOR target IN
            SELECT pg_catalog.replace(object.type, '-', ' ') AS type,
                CASE object.type WHEN 'transform' THEN pg_catalog.replace(object.identity, ' on language ', ' LANGUAGE ')
                    ELSE object.identity END AS identity
            FROM (
                SELECT 1 AS turn, tableoid, oid FROM pg_catalog.pg_event_trigger
                UNION ALL SELECT 2, tableoid, oid FROM pg_catalog.pg_publication
                UNION ALL SELECT 3, tableoid, oid FROM pg_catalog.pg_cast
                UNION ALL SELECT 3, tableoid, oid FROM pg_catalog.pg_transform
                UNION ALL SELECT 3, tableoid, oid FROM pg_catalog.pg_foreign_server
                UNION ALL SELECT 4, tableoid, oid FROM pg_catalog.pg_foreign_data_wrapper
                UNION ALL SELECT 4, tableoid, oid FROM pg_catalog.pg_language
                UNION ALL SELECT 4, tableoid, oid FROM pg_catalog.pg_am
            ) AS listed
            CROSS JOIN LATERAL pg_catalog.pg_identify_object(listed.tableoid, listed.oid, 0) AS object
            WHERE listed.oid >= 16384 AND NOT EXISTS (
                SELECT FROM pg_catalog.pg_depend AS owner
                WHERE owner.classid = listed.tableoid AND owner.objid = listed.oid AND owner.deptype IN ('e', 'i'))
            ORDER BY turn
        LOOP
            BEGIN
                EXECUTE pg_catalog.format('DROP %%s IF EXISTS %%s CASCADE', target.type, target.identity);
            EXCEPTION WHEN insufficient_privilege THEN
                NULL; -- it stays, and is left out of the restore
            END;
        END LOOP;
        FOR target IN
            SELECT pg_catalog.format('DROP USER MAPPING IF EXISTS FOR %%s SERVER %%I',
                CASE umuser WHEN 0 THEN 'PUBLIC' ELSE pg_catalog.quote_ident(usename) END, srvname) AS statement
            FROM pg_catalog.pg_user_mappings
        LOOP
            BEGIN
                EXECUTE target.statement;
            EXCEPTION WHEN insufficient_privilege THEN
                NULL;
            END;
        END LOOP;
    END IF;
    FOR target IN
        SELECT pg_catalog.replace(object.type, 'statistics object', 'statistics') AS type,
            CASE object.type WHEN 'aggregate' THEN pg_catalog.regexp_replace(object.identity, '\(\)$', '(*)')
                ELSE object.identity END AS identity
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
            -- What an extension brought is the extension's, and what is a part of something else goes with that.
            AND NOT EXISTS (
                SELECT FROM pg_catalog.pg_depend AS owner
                WHERE owner.classid = member.classid AND owner.objid = member.objid AND owner.deptype IN ('e', 'i')
                    AND (owner.refclassid, owner.refobjid) <> (owner.classid, owner.objid)) -- its own partition key
            -- What is left of those in no schema belongs to others, and would go with the function that it needs.
            AND NOT EXISTS (
                SELECT FROM pg_catalog.pg_depend AS user_of_it
                WHERE user_of_it.refclassid = member.classid AND user_of_it.refobjid = member.objid
                    AND member.classid = 'pg_catalog.pg_proc'::regclass AND user_of_it.deptype = 'n'
                    AND user_of_it.classid IN (
                        'pg_catalog.pg_event_trigger'::regclass, 'pg_catalog.pg_cast'::regclass,
                        'pg_catalog.pg_transform'::regclass, 'pg_catalog.pg_language'::regclass,
                        'pg_catalog.pg_am'::regclass, 'pg_catalog.pg_foreign_data_wrapper'::regclass))
        ORDER BY class.relkind IN ('r', 'p', 'f') DESC NULLS LAST
    LOOP
        BEGIN
            EXECUTE pg_catalog.format('DROP %%s IF EXISTS %%s CASCADE', target.type, target.identity);
        EXCEPTION WHEN insufficient_privilege THEN
            NULL; -- it belongs to another role; if the backup has one of that name, the restore will fail
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
    IF NOT %(whole_database)s THEN
        lost := ARRAY(SELECT unnest(outside) EXCEPT SELECT unnest((%(outside)s)) ORDER BY 1);
        IF cardinality(lost) > 0 THEN
            RAISE EXCEPTION '%% objects of other schemas would be dropped: %%', cardinality(lost), array_to_string(lost[:5], ', ');
        END IF;
    END IF;
    again := true;
    WHILE again LOOP
        again := false;
        FOR target IN
            SELECT pg_catalog.format('DELETE FROM %%I.%%I %%s', nspname, relname, condition) AS statement
            FROM pg_catalog.pg_extension
            CROSS JOIN LATERAL ROWS FROM (unnest(extconfig), unnest(extcondition)) AS config (id, condition)
            JOIN pg_catalog.pg_class AS class ON class.oid = config.id
            JOIN pg_catalog.pg_namespace AS space ON space.oid = relnamespace
            WHERE relkind IN ('r', 'p') AND pg_catalog.has_table_privilege(class.oid, 'INSERT')
                AND pg_catalog.has_table_privilege(class.oid, 'DELETE') %(only_schemas)s
        LOOP
            DECLARE
                deleted bigint;
            BEGIN
                EXECUTE target.statement;
                GET DIAGNOSTICS deleted = ROW_COUNT;
                again := again OR deleted > 0;
            EXCEPTION WHEN foreign_key_violation THEN
                NULL; -- the rows that refer to it go in this round, it goes in the next one
            END;
        END LOOP;
    END LOOP;
    IF %(whole_database)s THEN
        PERFORM pg_catalog.lo_unlink(oid) FROM pg_catalog.pg_largeobject_metadata
            WHERE pg_catalog.pg_has_role(lomowner, 'USAGE');
    END IF;
END
$empty$;
"""
"""Empties the database inside the transaction of the restore: drops everything that pg_dump would dump, except members
of extensions (of which the site's rows are deleted), objects of other roles, and this package's history."""
