"""The views, triggers, routines and events of a MySQL schema.

Unlike tables these can't be moved into another schema; they are read in one and created in the other.
"""

from __future__ import annotations

import json
import re
import uuid
from collections.abc import Collection, Iterable, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

from ...exceptions import RestoreRefused, gettext_noop
from .lexer import plain, tokens
from .phrase import Phrase
from .session import Session
from .written import read_definition

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
    r"""CREATE (?:OR REPLACE )?(?:ALGORITHM=\w+ )?DEFINER=((?:`(?:[^`]|``)*`|"(?:[^"]|"")*")"""
    r"""(?:@(?:`(?:[^`]|``)*`|"(?:[^"]|"")*"))?)""",
    re.IGNORECASE,
)
COLUMNS = (
    "SELECT COLUMN_NAME FROM information_schema.COLUMNS WHERE TABLE_SCHEMA = %s AND TABLE_NAME = %s"
    " ORDER BY ORDINAL_POSITION"
)
CODECS = {
    "latin1": "cp1252",
    "latin2": "iso8859-2",
    "greek": "iso8859-7",
    "hebrew": "iso8859-8",
    "koi8r": "koi8-r",
}
"""Python's names of character sets where they differ from MySQL's."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Definition:
    """One view, trigger, routine or event, with everything needed to create it in another schema."""

    kind: str
    """The word after ``CREATE`` and ``DROP``."""
    name: str
    statement: str
    sql_mode: str = ""
    charset: str = "utf8mb4"
    """The character set of the client that created it."""
    collation: str = ""
    time_zone: str = ""
    columns: list[str] = field(default_factory=list)
    """Of a view."""

    @property
    def key(self) -> tuple[str, str]:
        return self.kind, self.name

    @property
    def drop(self) -> bytes:
        mode = "".join(f"{each};\n" for each in needed_mode(self.kind))
        return f"{mode}DROP {self.kind} IF EXISTS {quote(self.name)};\n".encode()

    @property
    def definer(self) -> str:
        """The account with whose rights it runs, as SQL."""
        found = DEFINER.match(self.statement)
        return found[1].replace('"', "`") if found else ""

    def create(self) -> bytes:
        """Return the statements that create it, for the client program."""
        end = f"$dra_{uuid.uuid4().hex[:8]}$".encode()
        charset, text = encoded(self.statement, self.charset)
        settings = [("sql_mode", self.sql_mode), ("character_set_client", charset)]
        settings += [(name, value) for name, value in self._more_settings() if value]
        assignments = ", ".join(f"SESSION {name} = {literal(value)}" for name, value in settings)
        return (
            b"SET %b;\nDELIMITER %b\n%b\n%b\nDELIMITER ;\nSET SESSION character_set_client = utf8mb4;\n"
            % (
                assignments.encode(),
                end,
                text,
                end,
            )
        )

    def _more_settings(self) -> list[tuple[str, str]]:
        return [("collation_connection", self.collation), ("time_zone", self.time_zone)]

    def placeholder(self) -> bytes:
        """Return a view with the same columns and no dependencies, so that views can be created in any order."""
        columns = ", ".join(f"1 AS {quote(each)}" for each in self.columns)
        return f"CREATE OR REPLACE VIEW {quote(self.name)} AS SELECT {columns};\n".encode()


def read(
    cursor: Any, schema: str, *, is_final: bool = False, enabled: Collection[str] = ()
) -> list[Definition]:
    """Read all definitions of a schema, in an order in which they can be created. The schema stays the current one.

    :param is_final: they will be created in a schema of the same name: the text typed by the author is kept.
    :param enabled: events to enable although they are disabled.
    :raises RestoreRefused: the server does not show one of them to us.
    """
    cursor.execute(f"USE {quote(schema)}")
    cursor.execute(
        "SET SESSION sql_mode = '', SESSION sql_quote_show_create = 1"
    )  # one spelling, for comparison
    return [
        _read_one(
            cursor, schema, kind, name, is_final=is_final, is_enabled=kind == "EVENT" and name in enabled
        )
        for kind, name in names(cursor, schema)
    ]


def names(cursor: Any, schema: str) -> list[tuple[str, str]]:
    """Return kind and name of everything that :func:`read` reads."""
    found: list[tuple[str, str]] = []
    for query in LISTS:
        cursor.execute(query, [schema])
        found += cursor.fetchall()
    return found


def _read_one(
    cursor: Any, schema: str, kind: str, name: str, *, is_final: bool, is_enabled: bool
) -> Definition:
    for statement in needed_mode(kind):
        cursor.execute(statement)
    cursor.execute(f"SHOW CREATE {kind} {quote(name)}")
    row = dict(zip((column[0].lower() for column in cursor.description), cursor.fetchone(), strict=True))
    statement = row["sql original statement" if kind == "TRIGGER" else f"create {kind.lower()}"]
    if statement is None:
        raise RestoreRefused(
            gettext_noop("The definition of %(kind)s %(name)s can't be read, so it could not be restored."),
            hint=gettext_noop(
                "Nothing was changed. Give the database user the right to see it (SHOW CREATE)."
            ),
            kind=kind.lower(),
            name=name,
        )
    cursor.execute("SET SESSION sql_mode = ''")
    columns: list[str] = []
    if kind == "VIEW":
        cursor.execute(COLUMNS, [schema, name])
        columns = [column for (column,) in cursor.fetchall()]
    session = Session(sql_mode=row.get("sql_mode") or "")
    written = read_definition(
        Phrase(statement.encode(), source=schema, is_escaped=session.is_escaped), session
    )
    text = written.typed if is_final else written.statement
    return Definition(
        kind=kind,
        name=name,
        statement=(written.enabled if is_enabled else text).decode(),
        sql_mode=session.sql_mode,
        charset=row.get("character_set_client") or "utf8mb4",
        collation=row.get("collation_connection") or "",
        time_zone=row.get("time_zone") or "",
        columns=columns,
    )


def difference(old: Iterable[Definition], new: Iterable[Definition]) -> bytes:
    """Return the statements that replace the old views, routines and events of the current schema with the new ones.

    Safe to execute twice. Equal definitions stay untouched. Triggers are not included.
    """
    before = {each.key: each for each in old if each.kind != "TRIGGER"}
    after = {each.key: each for each in new if each.kind != "TRIGGER"}
    changed = [each for key, each in after.items() if before.get(key) != each]
    packages = {each.name for each in changed if each.kind == "PACKAGE"}  # dropping one drops its body
    changed = [
        each
        for each in after.values()
        if each in changed or (each.kind == "PACKAGE BODY" and each.name in packages)
    ]
    # The columns of a view without its tables are unknown, so a placeholder can't be created either.
    views = [each for each in changed if each.kind == "VIEW" and each.columns]
    gone = [each.drop for key, each in before.items() if key not in after]
    return b"".join(
        [
            *gone,
            *(each.drop + each.create() for each in changed if each.kind not in ("VIEW", "EVENT")),
            *(each.placeholder() for each in views),
            *(each.create() for each in _in_order(views)),
            *(each.drop + each.create() for each in changed if each.kind == "EVENT"),
        ]
    )


def _in_order(views: Sequence[Definition]) -> list[Definition]:
    """Return views sorted after those that they use: a ``CHECK OPTION`` needs the real ones."""
    names_in = {
        each.name: {
            plain(token.text) for token in tokens(each.statement.encode()) if token.kind in ("name", "word")
        }
        for each in views
    }
    found: list[Definition] = []
    waiting = list(views)
    while waiting:
        ready = [
            each
            for each in waiting
            if not any(other.name in names_in[each.name] for other in waiting if other is not each)
        ]
        found += ready or waiting[:1]  # the name may be that of a column
        waiting = [each for each in waiting if each not in found]
    return found


def needed_mode(kind: str) -> list[str]:
    """Return the statements that the server needs to understand the keyword of a kind."""
    return ["SET SESSION sql_mode = 'ORACLE'"] if kind.startswith("PACKAGE") else []


def triggers(definitions: Iterable[Definition]) -> list[Definition]:
    """Return only the triggers."""
    return [each for each in definitions if each.kind == "TRIGGER"]


def store(cursor: Any, table: str, definitions: Iterable[Definition]) -> None:
    """Write definitions into a new table, whose name is given as SQL."""
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


def encoded(statement: str, charset: str) -> tuple[str, bytes]:
    """Return a statement in its client's character set, or in utf8mb4 where Python does not support that."""
    try:
        return charset, statement.encode(
            "utf-8" if charset.startswith("utf8") else CODECS.get(charset, charset)
        )
    except (LookupError, UnicodeEncodeError):
        return "utf8mb4", statement.encode()


def grant_pattern(schema: str) -> str:
    """Return the ``GRANT`` pattern that matches the names of all schemas of restores, given one of them."""
    return schema[: schema.rindex("_dra_") + 5].replace("_", "\\_") + "%"


def quote(name: str) -> str:
    """Quote an identifier."""
    return "`" + name.replace("`", "``") + "`"


def literal(text: str) -> str:
    """Write a text without backslashes as a literal."""
    return "'" + text.replace("'", "''") + "'"
