"""Compares a dump, by its table of contents, with the live database."""

from __future__ import annotations

import dataclasses
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import AbstractContextManager
from typing import Any

from ...core.command import Command
from ...core.programs import run
from ...core.transfer import CommandSource
from ...exceptions import ProgramFailed, gettext_noop
from ..base import Contents
from .archive_rows import ArchiveRows
from .arguments import EVERYTHING
from .contents import FIRST_TRY, HEAD_BYTES, SECONDS, Entry, Head, dumped_by, entries
from .examiner import table_of
from .foresight import unmatched, warnings

SHOWN = 10
"""How many names a message contains."""
RELATIONS = ("tables", "views", "materialized_views", "foreign_tables")

OBJECTS = """
WITH relations AS (
    SELECT class.oid, relname::text, relkind, nspname,
        CASE WHEN nspname = ANY (current_schemas(false)) THEN relname ELSE nspname || '.' || relname END AS name
    FROM pg_catalog.pg_class AS class JOIN pg_catalog.pg_namespace AS space ON space.oid = relnamespace
    WHERE nspname !~ '^pg_' AND nspname <> 'information_schema' AND relname <> ALL (%(history)s::text[])
        AND NOT EXISTS (SELECT FROM pg_catalog.pg_depend AS owner
            WHERE owner.classid = 'pg_class'::regclass AND owner.objid = class.oid AND owner.deptype = 'e')
), others AS (
    SELECT 'functions' AS kind, tableoid, oid FROM pg_catalog.pg_proc
    UNION ALL SELECT 'types', type.tableoid, type.oid FROM pg_catalog.pg_type AS type
        LEFT JOIN pg_catalog.pg_class AS class ON class.oid = typrelid
        WHERE typtype IN ('d', 'e', 'r') OR (typtype = 'c' AND relkind = 'c')
    UNION ALL SELECT 'event_triggers', tableoid, oid FROM pg_catalog.pg_event_trigger
    UNION ALL SELECT 'publications', tableoid, oid FROM pg_catalog.pg_publication
    UNION ALL SELECT 'casts', tableoid, oid FROM pg_catalog.pg_cast
    UNION ALL SELECT 'servers', tableoid, oid FROM pg_catalog.pg_foreign_server
    UNION ALL SELECT 'statistics', tableoid, oid FROM pg_catalog.pg_statistic_ext
)
SELECT CASE relkind WHEN 'v' THEN 'views' WHEN 'm' THEN 'materialized_views' WHEN 'S' THEN 'sequences'
        WHEN 'f' THEN 'foreign_tables' ELSE 'tables' END, 'pg_class'::regclass::oid, oid, name
    FROM relations WHERE relkind IN ('r', 'p', 'v', 'm', 'f') OR (relkind = 'S' AND NOT EXISTS (
        SELECT FROM pg_catalog.pg_depend WHERE classid = 'pg_class'::regclass AND objid = relations.oid AND deptype = 'i'))
UNION ALL SELECT 'rows', 0, oid, name FROM relations WHERE relkind = 'r' AND EXISTS (
    SELECT FROM pg_catalog.pg_attribute WHERE attrelid = relations.oid AND attnum > 0 AND NOT attisdropped
        AND coalesce(to_jsonb(pg_attribute) ->> 'attgenerated', '') = '')
UNION ALL SELECT 'triggers', 'pg_trigger'::regclass::oid, trigger.oid, tgname || ' on ' || name
    FROM pg_catalog.pg_trigger AS trigger JOIN relations ON relations.oid = tgrelid
    WHERE NOT tgisinternal AND coalesce(to_jsonb(trigger) ->> 'tgparentid', '0') = '0'
UNION ALL SELECT 'policies', 'pg_policy'::regclass::oid, policy.oid, polname || ' on ' || name
    FROM pg_catalog.pg_policy AS policy JOIN relations ON relations.oid = polrelid
UNION ALL SELECT 'rules', 'pg_rewrite'::regclass::oid, rule.oid, rulename || ' on ' || name
    FROM pg_catalog.pg_rewrite AS rule JOIN relations ON relations.oid = ev_class WHERE rulename <> '_RETURN'
UNION ALL SELECT 'extensions', tableoid, oid, extname FROM pg_catalog.pg_extension WHERE oid >= 16384
UNION ALL SELECT 'subscriptions', 'pg_subscription'::regclass::oid, subscription.oid, subname
    FROM pg_catalog.pg_subscription AS subscription JOIN pg_catalog.pg_database AS here ON here.oid = subdbid
    WHERE datname = current_database()
UNION ALL SELECT 'large_objects', 0, 0, '*' FROM pg_catalog.pg_largeobject_metadata HAVING count(*) > 0
UNION ALL SELECT kind, others.tableoid, others.oid, object.identity
    FROM others CROSS JOIN LATERAL pg_catalog.pg_identify_object(others.tableoid, others.oid, 0) AS object
    WHERE others.oid >= 16384 AND coalesce(object.schema, '') !~ '^pg_' AND coalesce(object.schema, '') <> 'information_schema'
        AND NOT EXISTS (SELECT FROM pg_catalog.pg_depend AS owner
            WHERE owner.classid = others.tableoid AND owner.objid = others.oid AND owner.deptype IN ('e', 'i'))
"""
"""The objects that pg_dump dumps: kind, OIDs of the catalogue and of the object as in the archive, and name."""

HIDDEN = """
SELECT CASE WHEN nspname = ANY (current_schemas(false)) THEN relname ELSE nspname || '.' || relname END
FROM pg_catalog.pg_class AS class JOIN pg_catalog.pg_namespace AS space ON space.oid = relnamespace
WHERE relrowsecurity AND row_security_active(class.oid) ORDER BY 1
"""
"""Tables with rows that row security hides from the role."""

Name = tuple[str, str]
"""A kind and a name."""
Objects = dict[tuple[int, int], Name]
"""Existing objects, by the OIDs of the catalogue and of the object."""
Cursor = Callable[[], AbstractContextManager[Any]]


class DumpSource(CommandSource):
    """pg_dump, whose output is compared with the database before it counts as complete.

    :param listing: returns the pg_restore command that lists the contents of a file.
    :param judge: reads the database before and after the dump.
    """

    def __init__(self, command: Command, listing: Callable[[str], Command], judge: Judge) -> None:
        super().__init__(command)
        self._list, self._judge = listing, judge
        self._head = Head()
        self._next_try = FIRST_TRY
        self._listing = b""
        self._rows = ArchiveRows()
        self.contents = Contents()

    def open(self) -> None:
        self._judge.look()
        self._head.open()
        super().open()

    def read(self) -> bytes:
        data = super().read()
        self._rows.feed(data)
        if not self._listing and self._head.size < HEAD_BYTES:
            self._head.keep(data)
            if self._head.size >= self._next_try:
                self._next_try = 2 * self._head.size
                self._try()
        return data

    def finish(self) -> None:
        super().finish()
        if not self._head.size:
            return  # an empty dump is refused where it is stored
        if not self._listing:
            self._try()
        contents = self._judge.compare(self._listing)
        rows = self._counted(contents.objects["tables"])
        self.contents = dataclasses.replace(contents, rows=rows, tool_version=dumped_by(self._listing))

    def _counted(self, tables: Sequence[str]) -> dict[str, int]:
        known, rows = frozenset(tables), Counter[str]()
        for statement, count in self._rows.finish().items():
            rows[table_of(statement, known)] += count
        return {name: rows[name] for name in sorted(known & rows.keys())}

    def close(self) -> None:
        super().close()
        self._head.close()

    def _try(self) -> None:
        done = run(self._list(str(self._head.path)), timeout=SECONDS)
        if not done.status:
            self._listing = done.output
            self._head.close()


class Judge:
    """Compares a dump with the live database.

    :param live: opens a connection to the live database.
    :param replica: opens a connection to the dumped database, if that is another one.
    :param history: tables that are in no dump.
    :param asked: the kinds that the options exclude, by option.
    :param schemas: the dumped schemas; empty for the whole database.
    """

    def __init__(
        self,
        *,
        live: Cursor,
        replica: Cursor | None,
        history: Sequence[str],
        asked: Mapping[str, Sequence[str]],
        schemas: Sequence[str] = (),
    ) -> None:
        self._live, self._replica = live, replica
        self._history, self._asked, self._schemas = list(history), dict(asked), schemas
        self._live_before: Objects = {}
        self._source_before: Objects = {}

    def look(self) -> None:
        """Record the existing objects before the dump."""
        if self._replica:
            with self._live() as cursor:
                self._live_before = self._objects(cursor)
        with self._source() as cursor:
            self._source_before = self._objects(cursor)
            cursor.execute("SELECT pg_is_in_recovery()")
            if cursor.fetchone()[0]:  # a standby lacks the rows of unlogged tables
                self._asked["CONNECTION"] = ["rows"]
        if not self._replica:
            self._live_before = self._source_before

    def compare(self, listing: bytes) -> Contents:
        """Compare the dump with the objects that existed before it and still exist.

        :raises ProgramFailed: an object is missing unintentionally.
        """
        with self._live() as cursor:
            return self._compare(cursor, {_key(each) for each in entries(listing)})

    def _compare(self, cursor: Any, listed: set[tuple[int, int]]) -> Contents:
        after = self._objects(cursor)
        source = self._source_before | (self._objects_of_replica() if self._replica else after)
        held = {name for key, name in source.items() if key in listed}
        if self._replica:  # its OIDs may differ
            missing = (set(self._live_before.values()) & set(after.values())) - held
        else:
            missing = {name for key, name in after.items() if key in self._live_before and key not in listed}
        left_out = {name for name in missing if self._is_asked_for(name[0])}
        if lost := missing - left_out:
            raise _incomplete(lost)
        return Contents(
            objects={"tables": [], **_by_kind(name for name in held if name[0] != "rows")},
            left_out=self._left_out(left_out),
            warnings=self._warnings(cursor, left_out),
        )

    def _warnings(self, cursor: Any, left_out: set[Name]) -> list[str]:
        absent = {name for kind, name in left_out if kind in RELATIONS}
        without_rows = {name for kind, name in left_out if kind == "rows"}
        found = unmatched(cursor, absent=absent, without_rows=without_rows)
        return warnings(cursor, self._schemas) + found

    def _source(self) -> AbstractContextManager[Any]:
        return (self._replica or self._live)()

    def _is_asked_for(self, kind: str) -> bool:
        # Only a superuser's pg_dump includes subscriptions: they belong to the server rather than to the data.
        return kind == "subscriptions" or any(
            {kind, EVERYTHING} & set(kinds) for kinds in self._asked.values()
        )

    def _left_out(self, names: set[Name]) -> dict[str, list[str]]:
        found = _by_kind(names)
        kinds = {kind for each in self._asked.values() for kind in each}
        for kind in kinds & {"comments", "security_labels"}:
            found[kind] = ["*"]
        if "hidden_rows" in kinds:
            with self._source() as cursor:
                cursor.execute(HIDDEN)
                if hidden := [name for (name,) in cursor.fetchall()]:
                    found["hidden_rows"] = hidden
        return found

    def _objects_of_replica(self) -> Objects:
        with self._source() as cursor:
            return self._objects(cursor)

    def _objects(self, cursor: Any) -> Objects:
        cursor.execute(OBJECTS, {"history": self._history})
        return {
            (int(catalogue), int(oid)): (str(kind), str(name))
            for kind, catalogue, oid, name in cursor.fetchall()
        }


def _key(entry: Entry) -> tuple[int, int]:
    """Return the key of an entry: rows lack a catalogue, and large objects may be one entry or many."""
    if entry.text.startswith(("BLOB", "LARGE OBJECT")):
        return 0, 0
    return entry.catalogue, entry.oid


def _by_kind(names: Iterable[Name]) -> dict[str, list[str]]:
    found: dict[str, list[str]] = defaultdict(list)
    for kind, name in sorted(names):
        found[kind].append(name)
    return dict(found)


def _incomplete(lost: set[Name]) -> ProgramFailed:
    shown = [f"{name} ({kind.replace('_', ' ')})" for kind, name in sorted(lost)[:SHOWN]]
    return ProgramFailed(
        gettext_noop("Objects of the live database that the dump lacks: %(names)s."),
        hint=gettext_noop(
            "Nothing was stored. The role or the replica that is dumped from does not see them, or they were "
            "made while the dump began; check CONNECTION and the rights of its role, then try again."
        ),
        names=", ".join(shown) + ("…" if len(lost) > SHOWN else ""),
    )
