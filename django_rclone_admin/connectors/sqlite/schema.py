"""The objects of a SQLite database, and the tables that do not travel with it."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable

from .opening import quote

KINDS = {"table": "tables", "view": "views", "index": "indexes", "trigger": "triggers"}
"""The names of kinds in manifests, by SQLite's words."""


def names(connection: sqlite3.Connection, *, without: Iterable[str] = ()) -> dict[str, list[str]]:
    """Return the names of all objects by kind, without SQLite's own.

    :param without: tables that are omitted too, with their indexes and triggers.
    """
    found: dict[str, list[str]] = {kind: [] for kind in KINDS.values()}
    rows = connection.execute(
        "SELECT type, name, tbl_name FROM main.sqlite_master WHERE name NOT LIKE 'sqlite\\_%' ESCAPE '\\'"
    )
    for kind, name, table in sorted(rows.fetchall()):
        if table not in set(without):
            found[KINDS[kind]].append(name)
    return {kind: each for kind, each in found.items() if each}


def tables(connection: sqlite3.Connection, *, without: Iterable[str] = ()) -> list[str]:
    """Return the names of the tables, without SQLite's own and those in ``without``."""
    return names(connection, without=without).get("tables", [])


def count_rows(connection: sqlite3.Connection, *, without: Iterable[str] = ()) -> dict[str, int | None]:
    """Count the rows of each table; ``None`` for a virtual table whose module is missing.

    :param without: tables to omit.
    """
    found: dict[str, int | None] = {}
    for name in tables(connection, without=without):
        try:
            found[name] = connection.execute(f"SELECT count(*) FROM main.{quote(name)}").fetchone()[0]
        except sqlite3.OperationalError as error:
            if "no such module" not in str(error):
                raise
            found[name] = None
    return found


def empty(connection: sqlite3.Connection, names: Iterable[str]) -> None:
    """Delete the rows of tables securely, without firing triggers."""
    connection.execute("PRAGMA secure_delete=ON")
    for table in names:
        owned = "FROM sqlite_master WHERE type='trigger' AND tbl_name=? COLLATE NOCASE"
        triggers = connection.execute(f"SELECT name, sql {owned}", [table]).fetchall()
        for name, _sql in triggers:
            connection.execute(f"DROP TRIGGER {quote(name)}")
        connection.execute(f"DELETE FROM {quote(table)}")
        for _name, sql in triggers:
            connection.execute(sql)


def carry_over(live: sqlite3.Connection, staged: sqlite3.Connection, names: Iterable[str]) -> None:
    """Replace tables of a private file with those of the live one, including indexes, triggers and rows."""
    schema = live.execute("SELECT name, type, tbl_name, sql FROM sqlite_master WHERE sql NOT NULL").fetchall()
    for table in names:
        staged.execute(f"DROP TABLE IF EXISTS {quote(table)}")
        mine = [row for row in schema if row[2] == table]
        # Create the table first, and its triggers after its rows.
        for name, kind, _owner, sql in sorted(mine, key=lambda row: row[1] != "table"):
            staged.execute(sql)
            if kind == "table":
                _copy_rows(live, staged, name)


def _copy_rows(live: sqlite3.Connection, staged: sqlite3.Connection, table: str) -> None:
    rows = live.execute(f"SELECT * FROM {quote(table)}")
    marks = ",".join("?" * len(rows.description))
    staged.execute("BEGIN")
    staged.executemany(f"INSERT INTO {quote(table)} VALUES ({marks})", rows)
    staged.execute("COMMIT")
