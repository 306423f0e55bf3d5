"""SQLite databases as SQL text: written as the ``.dump`` of SQLite's own program writes it, and executed again."""

from __future__ import annotations

import re
import sqlite3
from collections.abc import Iterator

from ..exceptions import BackupDamaged, WrongFormat
from ..exceptions import gettext_noop as _


def quote(name: str) -> str:
    """Quote an identifier."""
    return '"' + name.replace('"', '""') + '"'


class _Text(bytes):
    """A TEXT value as its bytes, which need not be valid UTF-8; BLOBs come as plain bytes."""


def dump_lines(connection: sqlite3.Connection) -> Iterator[bytes]:
    """Give a database as statements, one each, that end with ``COMMIT;``."""
    connection.text_factory = str
    schema = connection.execute(
        "SELECT type, name, sql FROM sqlite_master WHERE sql NOT NULL ORDER BY type='table' DESC, rowid"
    ).fetchall()
    connection.text_factory = _Text
    virtual = [(name, sql) for _kind, name, sql in schema if sql.upper().startswith("CREATE VIRTUAL")]
    later = [sql for kind, _name, sql in schema if kind != "table"]
    yield b"PRAGMA foreign_keys=OFF;\nBEGIN TRANSACTION;\n"
    for kind, name, sql in schema:
        if kind == "table" and not name.startswith("sqlite_") and (name, sql) not in virtual:
            yield f"{sql};\n".encode()
            yield from _rows(connection, name)
    if virtual:
        yield b"PRAGMA writable_schema=ON;\n"
    for (
        name,
        sql,
    ) in virtual:  # its rows are in tables of its own, which creating it would create again, empty
        words = [_literal(_Text(each.encode())) for each in (name, name, sql)]
        yield (
            b"INSERT INTO sqlite_master(type,name,tbl_name,rootpage,sql) VALUES('table',%s,%s,0,%s);\n"
            % tuple(words)
        )
    if any(name == "sqlite_sequence" for _kind, name, _sql in schema):
        yield b"DELETE FROM sqlite_sequence;\n"
        yield from _rows(connection, "sqlite_sequence")
    for sql in later:
        yield f"{sql};\n".encode()
    if virtual:
        yield b"PRAGMA writable_schema=OFF;\n"
    yield b"COMMIT;\n"


def _rows(connection: sqlite3.Connection, table: str) -> Iterator[bytes]:
    # hidden columns are of virtual tables, and those that are generated can't be inserted
    info = connection.execute(f"PRAGMA table_xinfo({quote(table)})").fetchall()
    columns = ", ".join(quote(row[1].decode()) for row in info if row[6] == 0)
    start = f"INSERT INTO {quote(table)} ({columns}) VALUES(".encode()
    for row in connection.execute(f"SELECT {columns} FROM {quote(table)}"):
        yield start + b",".join(map(_literal, row)) + b");\n"


def _literal(value: object) -> bytes:
    if value is None:
        return b"NULL"
    if isinstance(value, _Text):
        try:
            is_plain = "\0" not in value.decode()  # SQL text ends at a NUL
        except UnicodeDecodeError:
            is_plain = False
        if is_plain:
            return b"'" + value.replace(b"'", b"''") + b"'"
        return b"CAST(X'" + value.hex().encode() + b"' AS TEXT)"
    if isinstance(value, bytes):
        return b"X'" + value.hex().encode() + b"'"
    if isinstance(value, float):
        return {"inf": b"9e999", "-inf": b"-9e999"}.get(repr(value)) or repr(value).encode()
    return str(value).encode()


STRING = re.compile(rb"""("(?:[^"]|"")*")|'((?:[^']|'')*)'""")
"""A quoted identifier, or a string with its content."""


def _decode(statement: bytes) -> str:
    """Return a statement as text. Python takes UTF-8 alone, so a string that is none goes in as a BLOB."""
    try:
        return statement.decode()
    except UnicodeDecodeError:
        return STRING.sub(_cast, statement).decode("utf-8", "surrogateescape")


def _cast(string: re.Match[bytes]) -> bytes:
    return string[0] if string[1] else _literal(_Text(string[2].replace(b"''", b"'")))


class Script:
    """Executes SQL text as it comes in, statement by statement."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection
        self._rest = b""
        self._last = ""
        connection.execute("PRAGMA journal_mode=OFF")
        connection.set_authorizer(_allow)

    def execute(self, data: bytes) -> None:
        lines = (self._rest + data).split(b"\n")
        self._rest = lines.pop()
        pending: list[bytes] = []
        for line in lines:
            pending.append(line)
            if line.rstrip().endswith(b";") and sqlite3.complete_statement(
                b"\n".join(pending).decode("utf-8", "replace")
            ):
                self._run(b"\n".join(pending))
                pending = []
        self._rest = b"\n".join([*pending, self._rest])

    def _run(self, statement: bytes) -> None:
        text = _decode(statement).strip()
        try:
            self._connection.execute(text)
        except sqlite3.Warning as error:
            raise WrongFormat(_("The SQL text of the backup can't be read.")) from error
        except (sqlite3.Error, ValueError) as error:
            raise WrongFormat(
                _("A statement in the SQL text of the backup fails: %(reason)s."), reason=error
            ) from error
        self._last = text

    def finish(self) -> None:
        """Check that the text ended with its last statement: one cut at a line's end looks whole otherwise."""
        if self._rest.strip():
            self._run(self._rest)
        self.close()
        if self._last.upper() != "COMMIT;":
            raise BackupDamaged(_("The SQL text of the backup is cut off: it does not end with COMMIT."))

    def close(self) -> None:
        self._connection.close()


def _allow(action: int, *details: str | None) -> int:
    """Let SQL text from the remote touch the private file alone: no other file may be attached."""
    return (
        sqlite3.SQLITE_DENY if action in (sqlite3.SQLITE_ATTACH, sqlite3.SQLITE_DETACH) else sqlite3.SQLITE_OK
    )
