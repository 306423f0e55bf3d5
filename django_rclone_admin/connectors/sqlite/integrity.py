"""Checks a restored file: its foreign keys and its counters."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from typing import Any

from django.db import OperationalError

from .opening import quote


def broken(cursor: Any) -> list[str]:
    """Return the violated foreign keys.

    Foreign keys that can't be checked because of the schema itself are skipped: SQLite refuses them in the live file,
    too.
    """
    cursor.execute("SELECT name FROM sqlite_master WHERE type = 'table'")
    counts: Counter[tuple[str, str]] = Counter()
    for (name,) in cursor.fetchall():
        try:
            cursor.execute(f"PRAGMA foreign_key_check({quote(name)})")
        except OperationalError as error:
            if "foreign key mismatch" not in str(error) and "no such module" not in str(error):
                raise
        else:
            counts.update((table, parent) for table, _row, parent, _key in cursor.fetchall())
    return [f"{table} ({parent}, {count} rows)" for (table, parent), count in sorted(counts.items())]


def behind(cursor: Any, columns: Iterable[tuple[str, str]]) -> list[str]:
    """Return the columns, as ``table.column``, whose counter would generate an existing key."""
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
