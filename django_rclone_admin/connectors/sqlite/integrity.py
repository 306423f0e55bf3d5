"""Looks at a file that a dump was restored into: its foreign keys and its counters."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from typing import Any

from .opening import quote


def broken(cursor: Any) -> list[str]:
    """Return the foreign keys that rows break."""
    cursor.execute("PRAGMA foreign_key_check")
    counts = Counter((table, parent) for table, _row, parent, _key in cursor.fetchall())
    return [f"{table} ({parent}, {count} rows)" for (table, parent), count in sorted(counts.items())]


def behind(cursor: Any, columns: Iterable[tuple[str, str]]) -> list[str]:
    """Return the columns, as ``table.column``, whose counter would give a key that is there already."""
    cursor.execute("SELECT 1 FROM sqlite_master WHERE name = 'sqlite_sequence'")
    if not cursor.fetchone():
        return []
    cursor.execute("SELECT name, seq FROM sqlite_sequence")
    counters = dict(cursor.fetchall())
    found = []
    for table, column in columns:
        if table in counters:
            cursor.execute(f"SELECT max({quote(column)}) FROM {quote(table)}")
            (highest,) = cursor.fetchone()
            if highest is not None and highest > (counters[table] or 0):
                found.append(f"{table}.{column}")
    return found
