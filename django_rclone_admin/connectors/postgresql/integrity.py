"""Checks a restored database: its rows, its indexes, its sequences."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from .libpq import quote

INVALID = """
SELECT 'index ' || indexrelid::regclass::text FROM pg_catalog.pg_index WHERE NOT indisvalid
"""
SEQUENCE = "SELECT pg_catalog.pg_get_serial_sequence(%s, %s)"


def count_rows(cursor: Any, tables: Mapping[str, str]) -> dict[str, int]:
    """Count the rows of each table, without those of its partitions and children.

    :param tables: SQL identifiers, by the names in manifests.
    """
    found = {}
    for name, identifier in tables.items():
        cursor.execute(f"SELECT count(*) FROM ONLY {identifier}")
        found[name] = int(cursor.fetchone()[0])
    return found


def broken(cursor: Any) -> list[str]:
    """Return invalid indexes, which a failed build leaves behind. The restore itself has checked the constraints."""
    cursor.execute(INVALID)
    return [name for (name,) in cursor.fetchall()]


def behind(cursor: Any, columns: Iterable[tuple[str, str]]) -> list[str]:
    """Return the columns, as ``table.column``, whose sequence would generate an existing key."""
    found = []
    for table, column in columns:
        cursor.execute(SEQUENCE, [quote(table), column])
        (sequence,) = cursor.fetchone()
        if not sequence:
            continue
        cursor.execute(f"SELECT last_value, is_called FROM {sequence}")
        last, is_called = cursor.fetchone()
        cursor.execute(f"SELECT max({quote(column)}) FROM {quote(table)}")
        (highest,) = cursor.fetchone()
        if highest is not None and (highest > last or (highest == last and not is_called)):
            found.append(f"{table}.{column}")
    return found
