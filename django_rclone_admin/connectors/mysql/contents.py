"""Compares the contents of a finished dump with the live database."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from ...exceptions import ProgramFailed, gettext_noop
from ..base import Contents
from .arguments import DumpArguments
from .lexer import plain, tokens
from .text import DumpText
from .vetting import FAR_ENGINES

OBJECTS = """
    SELECT CASE TABLE_TYPE WHEN 'VIEW' THEN 'views' WHEN 'SEQUENCE' THEN 'sequences' ELSE 'tables' END, TABLE_NAME
    FROM information_schema.TABLES WHERE TABLE_SCHEMA = %(schema)s AND TABLE_TYPE <> 'SYSTEM VIEW'
    UNION ALL SELECT 'triggers', TRIGGER_NAME FROM information_schema.TRIGGERS WHERE TRIGGER_SCHEMA = %(schema)s
    UNION ALL SELECT CASE ROUTINE_TYPE WHEN 'PACKAGE BODY' THEN 'package bodies' ELSE CONCAT(LOWER(ROUTINE_TYPE), 's') END, ROUTINE_NAME FROM information_schema.ROUTINES
        WHERE ROUTINE_SCHEMA = %(schema)s
    UNION ALL SELECT 'events', EVENT_NAME FROM information_schema.EVENTS WHERE EVENT_SCHEMA = %(schema)s
"""
KINDS = {
    "VIEW": "views",
    "TRIGGER": "triggers",
    "FUNCTION": "functions",
    "PROCEDURE": "procedures",
    "PACKAGE": "packages",
    "PACKAGE BODY": "package bodies",
    "EVENT": "events",
}
"""The names of kinds in the result of :data:`OBJECTS`."""
ROUTINES = ("functions", "procedures", "packages", "package bodies")
RIGHTS = {
    "SELECT": ("tables",),
    "SHOW VIEW": ("views",),
    "TRIGGER": ("triggers",),
    "EVENT": ("events",),
    "EXECUTE": ("functions and procedures",),
}
"""Rights on the whole schema, and the kinds that are hidden without them."""
SIGHT = {"EXECUTE": ("EXECUTE", "ALTER ROUTINE")}
"""Alternative rights, each of which suffices."""

Objects = dict[str, set[str]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Live:
    """The live database as seen by a user."""

    objects: Mapping[str, Collection[str]]
    versioned: frozenset[str] = frozenset()
    """System-versioned tables."""
    packet: int = 0
    """The server's ``max_allowed_packet``."""
    watched: Mapping[str, str] = field(default_factory=dict)
    """The table of each trigger."""


def look(cursor: Any, schema: str) -> Live:
    """Query the objects of the live schema that this user can see."""
    objects: Objects = {}
    cursor.execute(OBJECTS, {"schema": schema})
    for kind, name in cursor.fetchall():
        objects.setdefault(kind, set()).add(name)
    cursor.execute(
        "SELECT TABLE_NAME FROM information_schema.TABLES"
        " WHERE TABLE_SCHEMA = %s AND TABLE_TYPE = 'SYSTEM VERSIONED'",
        [schema],
    )
    versioned = frozenset(name for (name,) in cursor.fetchall())
    cursor.execute(
        "SELECT TRIGGER_NAME, EVENT_OBJECT_TABLE FROM information_schema.TRIGGERS WHERE TRIGGER_SCHEMA = %s",
        [schema],
    )
    watched = dict(cursor.fetchall())
    cursor.execute("SELECT @@GLOBAL.max_allowed_packet")
    return Live(objects=objects, versioned=versioned, packet=cursor.fetchone()[0], watched=watched)


def hidden(grants: Iterable[str], schema: str) -> set[str]:
    """Return those of :data:`RIGHTS` that a user lacks on the whole schema.

    :param grants: the result of ``SHOW GRANTS``.
    """
    held: set[str] = set()
    for each in grants:
        found = re.match(r"GRANT (.+?) ON (?:`((?:[^`]|``)*)`|\*)\.\*", each)
        if found and (found[2] is None or _is_like(schema, found[2].replace("``", "`"))):
            held |= {right.strip().upper() for right in found[1].split(",")}
    if held & {"ALL", "ALL PRIVILEGES"}:
        return set()
    return {right for right in RIGHTS if not held & set(SIGHT.get(right, (right,)))}


def _is_like(name: str, pattern: str) -> bool:
    """Whether a name matches the pattern of a ``GRANT``."""
    parts = re.findall(r"\\.|.", pattern, re.DOTALL)
    translated = (
        {"%": ".*", "_": "."}.get(each, re.escape(each[-1])) if len(each) == 1 else re.escape(each[1])
        for each in parts
    )
    return re.fullmatch("".join(translated), name, re.DOTALL) is not None


def dumped(text: DumpText) -> Objects:
    """Return the names of the objects that a dump creates, by kind."""
    vetter = text.vetter
    objects: Objects = {"tables": set(vetter.tables), "sequences": set(vetter.sequences)}
    for kind, name in vetter.definitions:
        objects.setdefault(KINDS[kind], set()).add(name)
    return objects


def check_complete(
    text: DumpText, live: Live, *, excluded: Collection[str], arguments: DumpArguments, ours: Collection[str]
) -> None:
    """Check that a dump contains every object that existed before and after it, except what the options exclude.

    :param live: the objects that existed both before and after.
    :param excluded: tables and views of ``EXCLUDE_TABLES``.
    :param ours: tables that are never in a backup.
    :raises ProgramFailed: an object is missing unintentionally.
    """
    there = dumped(text)
    lacking = {
        kind: sorted(
            name
            for name in set(names) - there.get(kind, set()) - set(ours)
            if not _is_asked_for(kind, name, live.watched, excluded, arguments)
        )
        for kind, names in live.objects.items()
    }
    if "rows" not in arguments.kinds:
        lacking["rows"] = sorted((_without_rows(text) | text.with_condition) - arguments.rows - set(excluded))
    if any(lacking.values()):
        raise ProgramFailed(
            gettext_noop("The dump lacks what the database has: %(lacking)s."),
            hint=gettext_noop(
                "Nothing was stored. The user that dumps may not see it: grant SELECT, SHOW VIEW, TRIGGER, EVENT and EXECUTE "
                "on the database, and SELECT on mysql.proc or SHOW CREATE ROUTINE."
            ),
            lacking="; ".join(f"{kind}: {', '.join(names)}" for kind, names in lacking.items() if names),
        )


def contents(
    text: DumpText,
    live: Live,
    *,
    excluded: Collection[str],
    arguments: DumpArguments,
    ours: Collection[str],
    unseen: Collection[str],
) -> Contents:
    """Return the contents of a complete dump.

    :param ours: tables that are never in a backup.
    :param unseen: rights that both the dumping user and the site's user lack, so that objects may be hidden.
    """
    there = dumped(text)
    left_out = {
        kind: sorted(
            name
            for name in set(names) - there.get(kind, set()) - set(ours)
            if _is_asked_for(kind, name, live.watched, excluded, arguments)
        )
        for kind, names in live.objects.items()
    }
    left_out["rows"] = sorted(_without_rows(text) | text.with_condition)
    history = sorted(_without_history(text) - set(left_out["rows"]))
    left_out["row_history"] = history
    return Contents(
        objects={kind: sorted(names) for kind, names in there.items() if names},
        rows=_rows(text),
        left_out={kind: names for kind, names in left_out.items() if names},
        warnings=[*_warnings(text, live, history, unseen), *_unmatched(text, left_out)],
    )


def _rows(text: DumpText) -> dict[str, int]:
    """Return the rows of each table where all rows were counted and will be loaded."""
    tables = [each.name for each in text.vetter.tables.values() if each.engine not in FAR_ENGINES]
    return {name: text.rows.get(name, 0) for name in sorted(tables)}


def _is_asked_for(
    kind: str, name: str, watched: Mapping[str, str], excluded: Collection[str], arguments: DumpArguments
) -> bool:
    if kind in ("tables", "views", "sequences"):
        return name in arguments.tables or (kind == "views" and name in excluded)
    if kind == "triggers" and watched.get(name) in arguments.tables:
        return True
    return ("routines" if kind in ROUTINES else kind) in arguments.kinds


def _without_rows(text: DumpText) -> set[str]:
    tables = text.vetter.tables.values()
    return {each.name for each in tables if each.engine not in FAR_ENGINES} - text.with_rows


def _without_history(text: DumpText) -> set[str]:
    return {each.name for each in text.vetter.tables.values() if each.is_versioned} - text.with_history


def _unmatched(text: DumpText, left_out: Mapping[str, Collection[str]]) -> list[str]:
    """Return warnings about views that need excluded tables or views: a swap can't create them."""
    absent = {name for kind in ("tables", "views") for name in left_out.get(kind, ())}
    views = sorted(
        each.name
        for each in text.vetter.definitions.values()
        if each.kind == "VIEW"
        and absent & {plain(token.text) for token in tokens(each.statement) if token.kind in ("name", "word")}
    )
    if not views:
        return []
    sentence = (
        f"The views {', '.join(views)} may need what the options leave out ({', '.join(sorted(absent))}): a restore can't create "
        "them then, and fails. Leave them out as well."
    )
    return [sentence]


def _warnings(text: DumpText, live: Live, history: list[str], unseen: Collection[str]) -> list[str]:
    found = []
    if history:
        found.append(
            "The history of the rows of system-versioned tables is not in this backup: "
            f"{', '.join(history)}. It needs --dump-history of MariaDB 10.11 or newer, and tables versioned by time."
        )
    size, table = text.longest
    if live.packet and size >= live.packet:
        found.append(
            f"The table {table} has a value of {size} bytes, and the server takes {live.packet} at most: raise "
            "max_allowed_packet before you restore."
        )
    if text.refused:
        found.append(f"A restore refuses statements of this dump: {'; '.join(sorted(set(text.refused)))}.")
    if unseen:
        kinds = sorted(kind for right in unseen for kind in RIGHTS[right])
        found.append(
            f"The database user may not see all {', '.join(kinds)}: what is hidden is not in this backup. "
            f"Grant {', '.join(sorted(unseen))} on the whole database."
        )
    return found
