"""Foreign keys in other schemas that reference tables of the live one. They follow a table that is moved."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import dataclass
from typing import Any

from django.db import DatabaseError

from ...exceptions import RestoreRefused, gettext_noop
from .definitions import quote

POINTING_AT = """
    SELECT DISTINCT TABLE_SCHEMA, TABLE_NAME, CONSTRAINT_NAME FROM information_schema.KEY_COLUMN_USAGE
    WHERE REFERENCED_TABLE_SCHEMA = %s AND TABLE_SCHEMA <> %s ORDER BY 1, 2, 3
"""

COLUMNS = """
    SELECT COLUMN_NAME FROM information_schema.KEY_COLUMN_USAGE
    WHERE TABLE_SCHEMA = %s AND TABLE_NAME = %s AND CONSTRAINT_NAME = %s AND REFERENCED_TABLE_NAME IS NOT NULL
    ORDER BY ORDINAL_POSITION
"""
INDEXES = """
    SELECT INDEX_NAME, COLUMN_NAME FROM information_schema.STATISTICS WHERE TABLE_SCHEMA = %s AND TABLE_NAME = %s
    AND INDEX_NAME <> 'PRIMARY' ORDER BY INDEX_NAME, SEQ_IN_INDEX
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class ForeignKey:
    """A foreign key of another schema."""

    table: str
    """The schema-qualified table, as SQL."""
    name: str
    clause: str
    """``CONSTRAINT … REFERENCES …``, as the server writes it."""
    index: str = ""
    """The index that MariaDB created for it; MariaDB will recreate it under the name of the foreign key."""

    @property
    def renewal(self) -> bytes:
        """The statements that make it reference the current table of that name. Safe to execute twice."""
        alter, name = f"ALTER TABLE {self.table}", quote(self.name)
        statements = [f"{alter} DROP FOREIGN KEY /*M! IF EXISTS */ {name}", f"{alter} ADD {self.clause}"]
        if self.index:
            statements += [f"{alter} RENAME KEY IF EXISTS {name} TO {quote(self.index)}"]
        return "".join(f"{each};\n" for each in statements).encode()


def pointing_at(cursor: Any, live: str, ours: Collection[str]) -> list[ForeignKey]:
    """Return the foreign keys of other schemas that reference tables of the live one.

    :param ours: this package's own schemas, which are skipped.
    """
    cursor.execute(POINTING_AT, [live, live])
    found = []
    for schema, table, name in cursor.fetchall():
        if schema in ours:
            continue
        place = f"{quote(schema)}.{quote(table)}"
        cursor.execute(f"SHOW CREATE TABLE {place}")
        lines = cursor.fetchone()[1].split("\n")
        mark = f"  CONSTRAINT {quote(name)} FOREIGN KEY "
        clause = next(line.strip().removesuffix(",") for line in lines if line.startswith(mark))
        found.append(
            ForeignKey(table=place, name=name, clause=clause, index=_index(cursor, schema, table, name))
        )
    return found


def _index(cursor: Any, schema: str, table: str, name: str) -> str:
    """Return the index that serves a foreign key and has another name, on MariaDB."""
    cursor.execute("SELECT VERSION()")
    if "MariaDB" not in cursor.fetchone()[0]:
        return ""
    cursor.execute(COLUMNS, [schema, table, name])
    columns = [column for (column,) in cursor.fetchall()]
    indexes: dict[str, list[str]] = {}
    cursor.execute(INDEXES, [schema, table])
    for index, column in cursor.fetchall():
        indexes.setdefault(index, []).append(column)
    serving = (index for index, those in indexes.items() if those[: len(columns)] == columns)
    return "" if name in indexes else next(serving, "")


def check(cursor: Any, live: str, incoming: str, outgoing: str, keys: Iterable[ForeignKey]) -> None:
    """Check that the foreign keys can reference the new tables, before anything is changed.

    :raises RestoreRefused: one of them can't.
    """
    probe = f"{quote(outgoing)}._dra_probe"
    cursor.execute("SET SESSION foreign_key_checks = 0")
    for each in keys:
        clause = each.clause.replace(f" REFERENCES {quote(live)}.", f" REFERENCES {quote(incoming)}.", 1)
        try:
            cursor.execute(f"ALTER TABLE {each.table}")  # changes nothing, but requires the right
            cursor.execute(f"CREATE TABLE {probe} LIKE {each.table}")
            cursor.execute(f"ALTER TABLE {probe} ADD {clause}")
        except DatabaseError as error:
            raise RestoreRefused(
                gettext_noop(
                    "The foreign key %(name)s of %(table)s can't be pointed at the restored table: %(reason)s"
                ),
                hint=gettext_noop(
                    "Nothing was changed. Grant ALTER, SELECT and REFERENCES on that table to the database user, drop the "
                    "foreign key, or restore with “--strategy in_place”, which is not all-or-nothing."
                ),
                name=each.name,
                table=each.table,
                reason=" ".join(map(str, error.args)),
            ) from error
        finally:
            cursor.execute(f"DROP TABLE IF EXISTS {probe}")
    cursor.execute("SET SESSION foreign_key_checks = 1")
