"""Reads an archive like its loader, and counts the rows of each table. It needs no server."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator

from ...core.chain import ChainSink
from ...core.command import Command
from ...core.control import Control
from ...exceptions import BackupDamaged, NotChecked, ProgramFailed, gettext_noop
from ..examiners import Nowhere
from .lexer import ONE_INSERT
from .text import LIMIT, OneTransaction

_NAME = rb'(?:"(?:[^"]|"")+"|[A-Za-z_\x80-\xff][\w$\x80-\xff]*)'
TABLE = re.compile(
    rb"(?:CREATE\s+(?:UNLOGGED\s+|FOREIGN\s+)?TABLE|COPY|INSERT\s+INTO)\s+(?:(%b)\.)?(%b)" % (_NAME, _NAME)
)
"""The beginning of a statement about a table, as pg_restore writes it: its schema and its name."""
ATTACHED = re.compile(
    rb"ALTER\s+TABLE\s+ONLY\s+((?:%b\.)?%b)\s+ATTACH\s+PARTITION\s+((?:%b\.)?%b)"
    % (_NAME, _NAME, _NAME, _NAME)
)
"""A table and its partition."""
HEAD_BYTES = 8192
"""Bytes that suffice for such a beginning."""
TOO_NEW = re.compile(r"unsupported version")


def table_of(statement: bytes, tables: Collection[str]) -> str:
    """Return the table of a statement, by its name in manifests; empty for other statements.

    :param tables: names as in manifests, without the schema if it is on the search path.
    """
    found = TABLE.match(statement)
    if not found:
        return ""
    schema, name = (_plain(each) if each else "" for each in found.groups())
    whole = f"{schema}.{name}"
    is_visible = not schema or (whole not in tables and (name in tables or schema == "public"))
    return name if is_visible else whole


class RowCounter(OneTransaction):
    """Counts the rows of each table in pg_restore's SQL, with the refusals of a restore.

    :param tables: names as in manifests, without the schema if it is on the search path.
    """

    def __init__(self, tables: Collection[str]) -> None:
        super().__init__()
        self._names = frozenset(tables)
        self._rows: dict[str, int] = {}
        self._parents: dict[str, str] = {}
        """The parent table of each partition."""
        self._table = ""
        self._tuples = 0
        """Rows of the current ``INSERT``."""
        self._head = b""
        """The first bytes of a statement that is too long to be collected."""

    @property
    def rows(self) -> dict[str, int | None]:
        """The rows of each table; ``None`` where rows of partitions are stored under their parent table."""
        found: dict[str, int | None] = dict(self._rows)
        for partition in self._parents:
            family = [partition]
            while (parent := self._parents.get(family[-1])) and parent not in family:
                family.append(parent)
            if any(self._rows.get(each) for each in family[1:]):
                found |= dict.fromkeys(family)
        return found

    def _take(self, kind: str, token: bytes) -> Iterator[bytes]:
        if kind == "rows":
            self._add_rows(self._table, token.count(b"\n"))
        elif kind == "inserts":
            for found in ONE_INSERT.finditer(token):
                self._add_rows(self._name(found[0]), 1)
        return super()._take(kind, token)

    def _add(self, kind: str, token: bytes) -> Iterator[bytes]:
        if kind == "(" and self._lexer.depth == 1:
            self._tuples += 1
        elif kind == "word" and not self._lexer.depth and token.lower() == b"values":
            is_default = self._last == "default"
            self._tuples = 1 if is_default else 0
        if not self._head and self._size + len(token) > LIMIT:
            self._head = b"".join(self._held)[:HEAD_BYTES]
        return super()._add(kind, token)

    def _end(self) -> bytes:
        words, has_rows = self._words, self._has_rows
        name = self._name(self._head or b"".join(self._held))
        if has_rows:
            self._table = name
            # One line end precedes the rows, and the end mark has another.
            self._add_rows(name, -2)
        elif words[:1] == ["insert"]:
            self._add_rows(name, self._tuples)
        elif words[:1] == ["create"] and "table" in words[1:3]:
            self._rows.setdefault(name, 0)
        elif words[:2] == ["alter", "table"] and (found := ATTACHED.match(b"".join(self._held))):
            parent, partition = (table_of(b"COPY " + each, self._names) for each in found.groups())
            self._parents[partition] = parent
        self._tuples, self._head = 0, b""
        return super()._end()

    def _add_rows(self, name: str, count: int) -> None:
        self._rows[name] = self._rows.get(name, 0) + count

    def _name(self, statement: bytes) -> str:
        """Return the table of a statement, by its name in manifests."""
        found = TABLE.match(statement)
        if not found:
            return ""
        schema, name = (_plain(each) if each else "" for each in found.groups())
        whole = f"{schema}.{name}"
        is_visible = not schema or (whole not in self._names and (name in self._names or schema == "public"))
        return name if is_visible else whole


class Examiner(ChainSink):
    """Converts an archive to SQL by pg_restore, and reads the SQL.

    :param command: pg_restore, from its input to SQL.
    """

    def __init__(self, command: Command, control: Control, tables: Collection[str]) -> None:
        self._counter = RowCounter(tables)
        super().__init__(command, Nowhere(), control, stages=[self._counter])

    @property
    def rows(self) -> dict[str, int | None]:
        return self._counter.rows

    def write(self, data: bytes) -> None:
        try:
            super().write(data)
        except ProgramFailed as error:
            raise _explained(error) from error

    def commit(self) -> None:
        try:
            super().commit()
        except ProgramFailed as error:
            raise _explained(error) from error


def _explained(error: ProgramFailed) -> Exception:
    """Return what pg_restore's failure means for the backup."""
    if "signal" in error.params:  # the system killed it
        return error
    if TOO_NEW.search(str(error)):
        return NotChecked(
            gettext_noop("pg_restore is too old for this archive: %(reason)s"),
            hint=gettext_noop(
                "Install newer client programs of PostgreSQL, or set BIN_DIR in CONNECTOR_OPTIONS."
            ),
            reason=error.params.get("output", error),
        )
    return BackupDamaged(
        gettext_noop("pg_restore can't read the archive to its end: %(reason)s"),
        reason=error.params.get("output", error),
    )


def _plain(identifier: bytes) -> str:
    """Return the name that an identifier denotes."""
    text = identifier.decode(errors="replace")
    return text[1:-1].replace('""', '"') if text.startswith('"') else text
