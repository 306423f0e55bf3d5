"""SQLite databases as SQL text: written like the ``.dump`` command of SQLite's own program, and executed again."""

from __future__ import annotations

import math
import re
import sqlite3
from collections.abc import Iterable, Iterator

from ...exceptions import BackupDamaged, WrongFormat, gettext_noop
from .opening import quote

FIXED = "encoding", "page_size", "auto_vacuum"
"""Pragmas stored in the file header that can't be changed once the file has a table."""
FREE = "user_version", "application_id"


class _Text(bytes):
    """A TEXT value as bytes, which may be invalid UTF-8; BLOBs are plain bytes."""


def dump_lines(connection: sqlite3.Connection) -> Iterator[bytes]:
    """Give a database as one statement at a time; the last is ``COMMIT;``."""
    connection.text_factory = str
    schema = connection.execute(
        "SELECT type, name, sql FROM sqlite_master WHERE sql NOT NULL ORDER BY type='table' DESC, rowid"
    ).fetchall()
    connection.text_factory = _Text
    virtual = [(name, sql) for _kind, name, sql in schema if sql.upper().startswith("CREATE VIRTUAL")]
    later = [sql for kind, _name, sql in schema if kind != "table"]
    yield b"PRAGMA foreign_keys=OFF;\n"
    yield from _settings(connection, FIXED)
    yield b"BEGIN TRANSACTION;\n"
    yield from _settings(connection, FREE)
    for kind, name, sql in schema:
        if kind == "table" and not name.startswith("sqlite_") and (name, sql) not in virtual:
            yield _ended(sql)
            yield from _rows(connection, name)
    if virtual:
        yield b"PRAGMA writable_schema=ON;\n"
    for (
        name,
        sql,
    ) in virtual:  # creating it would also create its shadow tables, empty
        words = [_literal(_Text(each.encode())) for each in (name, name, sql)]
        yield (
            b"INSERT INTO sqlite_master(type,name,tbl_name,rootpage,sql) VALUES('table',%s,%s,0,%s);\n"
            % tuple(words)
        )
    if any(name == "sqlite_sequence" for _kind, name, _sql in schema):
        yield b"DELETE FROM sqlite_sequence;\n"
        yield from _rows(connection, "sqlite_sequence")
    for sql in later:
        yield _ended(sql)
    if virtual:
        yield b"PRAGMA writable_schema=OFF;\n"
    yield b"COMMIT;\n"


def _settings(connection: sqlite3.Connection, names: Iterable[str]) -> Iterator[bytes]:
    """Give the settings of the file header, which SQLite's own ``.dump`` omits."""
    for name in names:
        (value,) = connection.execute(f"PRAGMA {name}").fetchone()
        yield b"PRAGMA %s=%s;\n" % (name.encode(), _literal(value))


def _ended(sql: str) -> bytes:
    """Return a statement with its terminator, which a comment in the last line must not swallow."""
    return f"{sql}\n;\n".encode() if "--" in sql.rpartition("\n")[2] else f"{sql};\n".encode()


def _rows(connection: sqlite3.Connection, table: str) -> Iterator[bytes]:
    # Hidden columns belong to virtual tables, and generated columns can't be inserted.
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
            is_plain = "\0" not in value.decode()  # a NUL ends SQL text
        except UnicodeDecodeError:
            is_plain = False
        if is_plain:
            return b"'" + value.replace(b"'", b"''") + b"'"
        return b"CAST(X'" + value.hex().encode() + b"' AS TEXT)"
    if isinstance(value, bytes):
        return b"X'" + value.hex().encode() + b"'"
    if isinstance(value, float):
        return _real(value)
    return str(value).encode()


def _real(value: float) -> bytes:
    """Return a number as SQL that every SQLite reads exactly.

    Many releases of SQLite round the last bit of long literals wrongly. Such a number is written as an integer divided
    or multiplied by powers of two, which is exact.
    """
    if math.isinf(value):
        return b"9e999" if value > 0 else b"-9e999"
    if SHORT_REAL.fullmatch(text := repr(value)):
        return text.encode()
    numerator, denominator = value.as_integer_ratio()
    zeros = (numerator & -numerator).bit_length() - 1  # trailing zeros of the binary number
    steps = [f"/{1 << bits}" for bits in _portions(denominator.bit_length() - 1)]
    steps += [f"*{1 << bits}" for bits in _portions(zeros)]
    return f"(CAST({numerator >> zeros} AS REAL){''.join(steps)})".encode()


def _portions(total: int) -> list[int]:
    return [min(LARGEST_POWER, total - start) for start in range(0, total, LARGEST_POWER)]


SHORT_REAL = re.compile(r"-?[0-9]{1,12}\.[0-9]{1,3}")
"""A number that is an integer divided by at most 1000, which every SQLite reads correctly."""
LARGEST_POWER = 62
"""2 to this power is the largest power of two that is an integer in SQLite."""

STRING = re.compile(rb"""("(?:[^"]|"")*")|'((?:[^']|'')*)'""")
"""A quoted identifier, or a string with its content."""


def _decode(statement: bytes) -> str:
    """Return a statement as text. Python accepts only UTF-8, so any other string becomes a BLOB."""
    try:
        return statement.decode()
    except UnicodeDecodeError:
        return STRING.sub(_cast, statement).decode("utf-8", "surrogateescape")


def _cast(string: re.Match[bytes]) -> bytes:
    return string[0] if string[1] else _literal(_Text(string[2].replace(b"''", b"'")))


OPENING = re.compile(rb"""['"`\[]|--|/\*""")
CLOSING = {b"'": b"'", b'"': b'"', b"`": b"`", b"[": b"]", b"/*": b"*/"}
"""The delimiters of strings, quoted identifiers and comments."""


def _open_at_end(line: bytes, opened: bytes) -> bytes:
    """Return the delimiter that is still open at the end of a line, given the one open at its beginning."""
    position = 0
    while True:
        if opened:
            end = line.find(CLOSING[opened], position)
            if end < 0:
                return opened
            position, opened = end + len(CLOSING[opened]), b""
        found = OPENING.search(line, position)
        if found is None or found[0] == b"--":
            return b""
        position, opened = found.end(), found[0]


class Script:
    """Executes SQL text while it arrives, statement by statement."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection
        self._line: list[bytes] = []
        self._statement: list[bytes] = []
        self._opened = b""
        self._last = ""
        connection.execute("PRAGMA journal_mode=OFF")
        connection.set_authorizer(_allow)

    def execute(self, data: bytes) -> None:
        *ended, rest = data.split(b"\n")
        for part in ended:
            line = b"".join([*self._line, part])
            self._line.clear()
            self._take(line)
        self._line.append(rest)

    def _take(self, line: bytes) -> None:
        """Add a line to the statement, and execute the statement when it is complete."""
        if b"\0" in line:
            raise WrongFormat(gettext_noop("The SQL text of the backup can't be read."))
        self._statement.append(line)
        # Check only at a possible end of the statement: a long text value has many lines that look like one.
        self._opened = _open_at_end(line, self._opened)
        if self._opened or not line.rstrip().endswith(b";"):
            return
        statement = b"\n".join(self._statement)
        if sqlite3.complete_statement(statement.decode("utf-8", "replace")):
            self._statement.clear()
            self._run(statement)

    def _run(self, statement: bytes) -> None:
        text = _decode(statement).strip()
        try:
            try:
                self._connection.execute(text)
            except sqlite3.OperationalError as error:
                if "no such table: sqlite_sequence" not in str(error):
                    raise
                # SQLite keeps this table when the last table with AUTOINCREMENT is dropped; only such a table
                # recreates it.
                self._connection.execute(
                    "CREATE TABLE temporary_of_ours (id INTEGER PRIMARY KEY AUTOINCREMENT)"
                )
                self._connection.execute("DROP TABLE temporary_of_ours")
                self._connection.execute(text)
        except sqlite3.Warning as error:
            raise WrongFormat(gettext_noop("The SQL text of the backup can't be read.")) from error
        except (sqlite3.Error, ValueError) as error:
            raise WrongFormat(
                gettext_noop("A statement in the SQL text of the backup fails: %(reason)s."), reason=error
            ) from error
        self._last = text

    def finish(self) -> None:
        """Check that the text ended with its last statement: text cut at the end of a line looks complete otherwise."""
        rest = b"\n".join([*self._statement, b"".join(self._line)])
        if rest.strip():
            self._run(rest)
        self.close()
        if self._last.upper() != "COMMIT;":
            raise BackupDamaged(
                gettext_noop("The SQL text of the backup is cut off: it does not end with COMMIT.")
            )

    def close(self) -> None:
        self._connection.close()


def _allow(action: int, *details: str | None) -> int:
    """Restrict SQL text from the remote to the private file: no other file may be attached."""
    return (
        sqlite3.SQLITE_DENY if action in (sqlite3.SQLITE_ATTACH, sqlite3.SQLITE_DETACH) else sqlite3.SQLITE_OK
    )
