"""Checks a restored schema: its rows, its foreign keys, its counters."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from .definitions import quote

TABLES = """
SELECT TABLE_NAME, TABLE_TYPE = 'SYSTEM VERSIONED' FROM information_schema.TABLES
WHERE TABLE_SCHEMA = DATABASE() AND TABLE_TYPE IN ('BASE TABLE', 'SYSTEM VERSIONED') ORDER BY TABLE_NAME
"""
KEYS = """
SELECT CONSTRAINT_NAME, TABLE_NAME, REFERENCED_TABLE_NAME, COLUMN_NAME, REFERENCED_COLUMN_NAME
FROM information_schema.KEY_COLUMN_USAGE
WHERE TABLE_SCHEMA = DATABASE() AND REFERENCED_TABLE_SCHEMA = DATABASE()
ORDER BY TABLE_NAME, CONSTRAINT_NAME, ORDINAL_POSITION
"""
COUNTER = """
SELECT AUTO_INCREMENT FROM information_schema.TABLES WHERE TABLE_SCHEMA = DATABASE() AND TABLE_NAME = %s
"""


def count_rows(cursor: Any) -> dict[str, int]:
    """Count the rows of each table, including the history of system-versioned ones."""
    cursor.execute(TABLES)
    found = {}
    for name, is_versioned in cursor.fetchall():
        history = " FOR SYSTEM_TIME ALL" if is_versioned else ""
        cursor.execute(f"SELECT COUNT(*) FROM {quote(name)}{history}")
        found[name] = int(cursor.fetchone()[0])
    return found


def broken(cursor: Any) -> list[str]:
    """Return the violated foreign keys: the server does not check them while it loads a dump."""
    cursor.execute(KEYS)
    keys: dict[tuple[str, str, str], list[tuple[str, str]]] = {}
    for name, table, referenced, column, other in cursor.fetchall():
        keys.setdefault((table, name, referenced), []).append((column, other))
    found = []
    for (table, name, referenced), columns in keys.items():
        cursor.execute(_orphans(table, referenced, columns))
        if count := int(cursor.fetchone()[0]):
            found.append(f"{table} ({name}, {count} rows)")
    return found


def _orphans(table: str, referenced: str, columns: Iterable[tuple[str, str]]) -> str:
    pairs = list(columns)
    on = " AND ".join(f"child.{quote(column)} = parent.{quote(other)}" for column, other in pairs)
    is_set = " AND ".join(f"child.{quote(column)} IS NOT NULL" for column, _other in pairs)
    return (
        f"SELECT COUNT(*) FROM {quote(table)} AS child LEFT JOIN {quote(referenced)} AS parent ON {on}"
        f" WHERE {is_set} AND parent.{quote(pairs[0][1])} IS NULL"
    )


def behind(cursor: Any, columns: Iterable[tuple[str, str]]) -> list[str]:
    """Return the columns, as ``table.column``, whose counter would generate an existing key."""
    found = []
    for table, column in columns:
        cursor.execute(COUNTER, [table])
        counter = (cursor.fetchone() or (None,))[0]
        cursor.execute(f"SELECT MAX({quote(column)}) FROM {quote(table)}")
        (highest,) = cursor.fetchone()
        if counter is not None and highest is not None and counter <= highest:
            found.append(f"{table}.{column}")
    return found
