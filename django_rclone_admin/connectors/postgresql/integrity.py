"""Looks at a database that an archive was restored into: its rows, its indexes, its sequences."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from .libpq import quote

INVALID = """
SELECT 'index ' || indexrelid::regclass::text FROM pg_catalog.pg_index WHERE NOT indisvalid
"""
SEQUENCE = "SELECT pg_catalog.pg_get_serial_sequence(%s, %s)"


def count_rows(cursor: Any, tables: Sequence[str]) -> dict[str, int]:
    """Count the rows of each table, without those of its partitions and children.

    :param tables: names as manifests have them.
    """
    found = {}
    for name in tables:
        cursor.execute(f"SELECT count(*) FROM ONLY {_identifier(cursor, name)}")
        found[name] = int(cursor.fetchone()[0])
    return found


def broken(cursor: Any) -> list[str]:
    """Return what does not hold. Constraints were checked when they were restored; an index may have been left half-built."""
    cursor.execute(INVALID)
    return [name for (name,) in cursor.fetchall()]


def behind(cursor: Any, columns: Iterable[tuple[str, str]]) -> list[str]:
    """Return the columns, as ``table.column``, whose sequence would give a key that is there already."""
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


def _identifier(cursor: Any, name: str) -> str:
    """Return a table, whose name may have its schema before it, as SQL writes it."""
    cursor.execute("SELECT pg_catalog.to_regclass(%s) IS NOT NULL", [quote(name)])
    (is_plain,) = cursor.fetchone()
    return quote(name) if is_plain else ".".join(map(quote, name.split(".", 1)))
