"""Gives functions a search path while an archive is loaded, because pg_restore works with an empty one.

A function that calls others by unqualified names works for the site, whose search path contains their schema, but
fails in a restore that needs it for a generated column, a check, an index or a stored view. So such functions get the
site's search path for the duration of the restore.
"""

from __future__ import annotations

from .server import Server

SEARCHING = """
    SELECT function.oid::regprocedure::text FROM pg_catalog.pg_proc AS function
    JOIN pg_catalog.pg_language AS language ON language.oid = prolang
    WHERE prokind = 'f' AND lanname NOT IN ('internal', 'c') AND function.oid >= 16384
        AND prorettype::regtype::text NOT IN ('trigger', 'event_trigger')
        AND pg_catalog.pg_has_role(proowner, 'USAGE')
        AND NOT EXISTS (SELECT FROM unnest(proconfig) AS setting WHERE pg_catalog.starts_with(setting, 'search_path='))
        AND (provolatile = 'i' OR EXISTS (
            SELECT FROM pg_catalog.pg_depend AS user_of_it
            WHERE refclassid = 'pg_catalog.pg_proc'::regclass AND refobjid = function.oid AND deptype = 'n'
                AND user_of_it.classid::regclass::text IN ('pg_rewrite', 'pg_constraint', 'pg_attrdef', 'pg_proc')))
"""
"""Functions of our role that rows, indexes and stored views may call and that set no search path."""

BEFORE_DATA = f"""
DO $search$
DECLARE
    name text;
    changed text[] := coalesce(
        nullif(pg_catalog.current_setting('django_rclone_admin.functions', true), ''), '{{}}')::text[];
    path text := pg_catalog.current_setting('django_rclone_admin.search_path');
BEGIN
    FOR name IN {SEARCHING} LOOP
        EXIT WHEN path = '';
        EXECUTE pg_catalog.format('ALTER FUNCTION %s SET search_path = %s', name, path);
        changed := changed || name;
    END LOOP;
    PERFORM pg_catalog.set_config('django_rclone_admin.functions', changed::text, true);
END
$search$;
"""
"""Gives functions the site's search path, because the archive is loaded with an empty one. ``RESET`` reverts it."""

RESET = """
DO $reset$
DECLARE
    name text;
BEGIN
    FOREACH name IN ARRAY coalesce(
        nullif(pg_catalog.current_setting('django_rclone_admin.functions', true), ''), '{}')::text[]
    LOOP
        EXECUTE pg_catalog.format('ALTER FUNCTION %s RESET search_path', name);
    END LOOP;
END
$reset$;
"""


def set_search_paths(server: Server, live: str, database: str) -> list[str]:
    """Give the functions of a database that is being filled the search path of the live one; return them."""
    with server.cursor(live) as cursor:
        cursor.execute("SHOW search_path")
        (path,) = cursor.fetchone()
    if not path:
        return []
    with server.cursor(database) as cursor:
        cursor.execute("BEGIN")
        cursor.execute("SET LOCAL search_path = ''")
        cursor.execute(SEARCHING)
        found = [name for (name,) in cursor.fetchall()]
        for name in found:
            cursor.execute(f"ALTER FUNCTION {name} SET search_path = {path}")
        cursor.execute("COMMIT")
    return found


def reset_search_paths(server: Server, database: str, functions: list[str]) -> None:
    """Revert :func:`set_search_paths`."""
    with server.cursor(database) as cursor:
        for name in functions:
            cursor.execute(f"ALTER FUNCTION {name} RESET search_path")
