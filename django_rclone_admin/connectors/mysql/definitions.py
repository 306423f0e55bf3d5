"""What a schema of MySQL holds beside its tables: views, triggers, routines and events.

Unlike tables these can't be moved into another schema; they are read in one and created in the other.
"""

from __future__ import annotations

import json
import re
import uuid
from collections.abc import Collection, Iterable
from dataclasses import asdict, dataclass, field
from typing import Any

from ...exceptions import RestoreRefused, gettext_noop
from .streams import enable

LISTS = (
    """
    SELECT 'TRIGGER', TRIGGER_NAME FROM information_schema.TRIGGERS WHERE TRIGGER_SCHEMA = %s
    ORDER BY EVENT_OBJECT_TABLE, ACTION_TIMING, EVENT_MANIPULATION, ACTION_ORDER
    """,
    """
    SELECT ROUTINE_TYPE, ROUTINE_NAME FROM information_schema.ROUTINES WHERE ROUTINE_SCHEMA = %s
    ORDER BY ROUTINE_TYPE, ROUTINE_NAME
    """,
    "SELECT 'VIEW', TABLE_NAME FROM information_schema.VIEWS WHERE TABLE_SCHEMA = %s ORDER BY TABLE_NAME",
    "SELECT 'EVENT', EVENT_NAME FROM information_schema.EVENTS WHERE EVENT_SCHEMA = %s ORDER BY EVENT_NAME",
)
"""Kind and name of all definitions, in an order in which they can be created."""
DEFINER = re.compile(
    r"CREATE (?:OR REPLACE )?(?:ALGORITHM=\w+ )?DEFINER=(`(?:[^`]|``)*`(?:@`(?:[^`]|``)*`)?)", re.IGNORECASE
)
COLUMNS = (
    "SELECT COLUMN_NAME FROM information_schema.COLUMNS WHERE TABLE_SCHEMA = %s AND TABLE_NAME = %s"
    " ORDER BY ORDINAL_POSITION"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Definition:
    """One view, trigger, routine or event, and all that it takes to create it in another schema."""

    kind: str
    """The word after ``CREATE`` and ``DROP``."""
    name: str
    statement: str
    sql_mode: str = ""
    collation: str = ""
    time_zone: str = ""
    columns: list[str] = field(default_factory=list)
    """Of a view."""

    @property
    def key(self) -> tuple[str, str]:
        return self.kind, self.name

    @property
    def drop(self) -> str:
        return f"DROP {self.kind} IF EXISTS {quote(self.name)};\n"

    @property
    def definer(self) -> str:
        """The account with whose rights it works, as SQL."""
        found = DEFINER.match(self.statement)
        return found[1] if found else ""

    def create(self) -> str:
        """Return the statements that create it, for the client program."""
        end = f"$dra_{uuid.uuid4().hex[:8]}$"
        settings = [("sql_mode", self.sql_mode), ("collation_connection", self.collation)]
        settings += [("time_zone", self.time_zone)] if self.time_zone else []
        assignments = ", ".join(
            f"SESSION {name} = {literal(value)}" for name, value in settings if value or name == "sql_mode"
        )
        return f"SET {assignments};\nDELIMITER {end}\n{self.statement}\n{end}\nDELIMITER ;\n"

    def placeholder(self) -> str:
        """Return a view of the same columns that depends on nothing, so that views can be created in any order."""
        columns = ", ".join(f"1 AS {quote(each)}" for each in self.columns)
        return f"CREATE OR REPLACE VIEW {quote(self.name)} AS SELECT {columns};\n"


def read(cursor: Any, schema: str, enabled_events: Collection[str] | None = None) -> list[Definition]:
    """Read all definitions of a schema, in an order in which they can be created, and leave it as the current one.

    :param enabled_events: which events shall be enabled, where that differs from what they are.
    :raises RestoreRefused: the server does not show one of them to us.
    """
    cursor.execute(f"USE {quote(schema)}")
    cursor.execute(
        "SET SESSION sql_mode = '', SESSION sql_quote_show_create = 1"
    )  # one spelling, to be compared
    found = []
    for kind, name in names(cursor, schema):
        each = _read_one(cursor, schema, kind, name)
        if kind == "EVENT" and enabled_events is not None:
            each["statement"] = enable(each["statement"], is_enabled=name in enabled_events)
        found.append(Definition(**each))
    return found


def names(cursor: Any, schema: str) -> list[tuple[str, str]]:
    """Return kind and name of everything that :func:`read` reads."""
    found: list[tuple[str, str]] = []
    for query in LISTS:
        cursor.execute(query, [schema])
        found += cursor.fetchall()
    return found


def _read_one(cursor: Any, schema: str, kind: str, name: str) -> dict[str, Any]:
    cursor.execute(f"SHOW CREATE {kind} {quote(name)}")
    row = dict(zip((column[0].lower() for column in cursor.description), cursor.fetchone(), strict=True))
    statement = row["sql original statement" if kind == "TRIGGER" else f"create {kind.lower()}"]
    if statement is None:
        raise RestoreRefused(
            gettext_noop("The definition of %(kind)s %(name)s can't be read, so it could not be put back."),
            hint=gettext_noop(
                "Nothing was changed. Give the database user the right to see it (SHOW CREATE)."
            ),
            kind=kind.lower(),
            name=name,
        )
    columns: list[str] = []
    if kind == "VIEW":
        cursor.execute(COLUMNS, [schema, name])
        columns = [column for (column,) in cursor.fetchall()]
        statement = statement.replace(f"{quote(schema)}.", "").replace("CREATE ", "CREATE OR REPLACE ", 1)
    return {
        "kind": kind,
        "name": name,
        "statement": statement,
        "sql_mode": row.get("sql_mode") or "",
        "collation": row.get("collation_connection") or "",
        "time_zone": row.get("time_zone") or "",
        "columns": columns,
    }


def difference(old: Iterable[Definition], new: Iterable[Definition]) -> str:
    """Return the statements that turn the old views, routines and events of the current schema into the new ones.

    They may be carried out twice. What is the same stays untouched. Triggers are not among them.
    """
    before = {each.key: each for each in old if each.kind != "TRIGGER"}
    after = {each.key: each for each in new if each.kind != "TRIGGER"}
    changed = [each for key, each in after.items() if before.get(key) != each]
    # A view that lost its tables has no columns, and can't be created either.
    views = [each for each in changed if each.kind == "VIEW" and each.columns]
    gone = [each.drop for key, each in before.items() if key not in after]
    return "".join(
        [
            *gone,
            *(each.drop + each.create() for each in changed if each.kind not in ("VIEW", "EVENT")),
            *(each.placeholder() for each in views),
            *(each.create() for each in views),
            *(each.drop + each.create() for each in changed if each.kind == "EVENT"),
        ]
    )


def triggers(definitions: Iterable[Definition]) -> list[Definition]:
    """Return the triggers alone."""
    return [each for each in definitions if each.kind == "TRIGGER"]


def store(cursor: Any, table: str, definitions: Iterable[Definition]) -> None:
    """Write definitions into a new table, given as SQL."""
    cursor.execute(f"DROP TABLE IF EXISTS {table}")
    cursor.execute(
        f"CREATE TABLE {table} (position INT PRIMARY KEY, definition LONGTEXT NOT NULL) CHARACTER SET utf8mb4"
    )
    for position, each in enumerate(definitions):
        cursor.execute(f"INSERT INTO {table} VALUES (%s, %s)", [position, json.dumps(asdict(each))])


def stored(cursor: Any, table: str) -> list[Definition]:
    """Read what :func:`store` wrote."""
    cursor.execute(f"SELECT definition FROM {table} ORDER BY position")
    return [Definition(**json.loads(text)) for (text,) in cursor.fetchall()]


def quote(name: str) -> str:
    """Quote an identifier."""
    return "`" + name.replace("`", "``") + "`"


def literal(text: str) -> str:
    """Write a text that holds no backslash as a literal."""
    return "'" + text.replace("'", "''") + "'"
