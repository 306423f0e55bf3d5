"""Looks into a database by a connection of its own, past Django and the code under test."""

import sqlite3
from collections.abc import Iterable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

from tests.support import mysql, postgresql
from tests.support.tables import TRAVELS_NOT

Rows = dict[str, list[tuple[Any, ...]]]
"""All rows of each table, in one order."""

TABLES = {
    "sqlite3": """
        SELECT name, printf('"%w"', name) FROM sqlite_schema WHERE type = 'table' AND name NOT LIKE 'sqlite_%'
    """,
    "postgresql": """
        SELECT CASE schemaname WHEN 'public' THEN tablename ELSE schemaname || '.' || tablename END,
               format('%I.%I', schemaname, tablename)
        FROM pg_tables WHERE schemaname NOT IN ('pg_catalog', 'information_schema')
    """,
    "mysql": """
        SELECT TABLE_NAME, concat('`', replace(TABLE_NAME, '`', '``'), '`')
        FROM information_schema.TABLES WHERE TABLE_SCHEMA = database() AND TABLE_TYPE <> 'VIEW'
    """,
}
"""The query for the name of each table and the way to write it in SQL, by the last word of ``ENGINE``."""


@contextmanager
def connection(entry: dict[str, Any]) -> Iterator[Any]:
    """Connect, with autocommit, to what an entry of ``DATABASES`` describes. It has to exist."""
    if engine(entry) == "sqlite3":
        uri = f"{Path(entry['NAME']).as_uri()}?mode=rw"
        opened: Any = sqlite3.connect(uri, uri=True, isolation_level=None)
    else:
        opened = {"postgresql": postgresql, "mysql": mysql}[engine(entry)].connect(entry)
    with closing(opened):
        yield opened


def rows(entry: dict[str, Any], ignore: Iterable[str] = ()) -> Rows:
    """Return every row of every table but the history, the kept health and those to ``ignore``."""
    hidden = {*TRAVELS_NOT, *ignore}
    with connection(entry) as opened:
        tables = sorted(opened.execute(TABLES[engine(entry)]).fetchall())
        return {
            name: _sorted(opened.execute(f"SELECT * FROM {written}").fetchall())
            for name, written in tables
            if name not in hidden
        }


def _sorted(rows: list[tuple[Any, ...]]) -> list[tuple[Any, ...]]:
    """Return rows in one order, by their values where those have one, which is quicker."""
    try:
        return sorted(rows)
    except TypeError:  # some are null, or JSON
        return sorted(rows, key=repr)


def execute(entry: dict[str, Any], *statements: str) -> list[tuple[Any, ...]]:
    """Execute statements, commit each, and return the rows of the last one, if it has any."""
    rows: list[tuple[Any, ...]] = []
    with connection(entry) as opened:
        for statement in statements:
            cursor = opened.execute(statement)
            rows = list(cursor.fetchall()) if cursor.description else []
    return rows


def engine(entry: dict[str, Any]) -> str:
    """Return the last word of ``ENGINE``: ``sqlite3``, ``postgresql``, ``mysql``."""
    return str(entry["ENGINE"]).rpartition(".")[2]
