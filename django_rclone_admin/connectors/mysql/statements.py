"""Splits the text of a dump into statements while it arrives, by the rules of the client programs."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

from ...exceptions import WrongFormat, gettext_noop
from .lexer import BLOCK_COMMENT, MANY_PIECES, end_of_all, statement_end

LONGEST = 64 << 20
"""The longest statement without rows in bytes; such statements are held in memory."""
AT_ONCE = 64 << 10
"""Above this size, an incomplete statement is parsed again only when its text has doubled."""
MANY = 64
"""Bytes that suffice to recognise any value except strings and hexadecimal numbers."""

SANDBOX = re.compile(rb"/\*M?!\d+\\-[^*\n]*\*/")
"""The line by which newer MariaDB programs switch their client to sandbox mode. It lacks a delimiter."""
COMMENT = re.compile(rb"--(?=[\x00-\x20])[^\n]*+|#[^\n]*+|" + BLOCK_COMMENT)
COMMENT_MARK = re.compile(rb"--|#|/\*(?!M?!)|/\Z|/\*M?\Z|-\Z")
DELIMITER = re.compile(rb"DELIMITER[ \t]+(\S+)[^\n]*", re.IGNORECASE)
_NAME = rb"(?:`(?:[^`]++|``)++`|[\w$\x80-\xff]++)"
INSERT = re.compile(
    rb"(INSERT|REPLACE)\s++((?:(?:LOW_PRIORITY|HIGH_PRIORITY|DELAYED|IGNORE)\s++)*)INTO\s++(%b)\s*+"
    rb"(\(\s*+%b(?:\s*+,\s*+%b)*\s*+\)\s*+)?VALUES?(?=[\s(])" % (_NAME, _NAME, _NAME),
    re.IGNORECASE,
)
"""The beginning of a statement with rows: verb, modifiers, table, columns."""
ROWS = re.compile(
    rb"""(?:
        [\s,()0-9.+]++ | -(?=[0-9.])
      | '(?:[^'\\]++|\\.)*+'
      | (?<=[(,\s])NULL(?=[,)\s]) | (?<=[(,\s]0)x[0-9A-Fa-f]++(?=[,)\s])
      | (?<=[(,\s])(?:_binary|_utf8|_utf8mb[34]|_latin1|_ascii)(?=\s*') | (?<=[(,\s])[bBxXnN](?=')
      | (?<=[0-9.])[eE](?=[-+0-9])
    ){0,%d}"""
    % MANY_PIECES,
    re.DOTALL | re.VERBOSE,
)
"""Some rows of plain values. They can't call functions, and no comment can hide their end."""
STRING = re.compile(rb"(?:[^'\\]++|\\.)*+", re.DOTALL)
HEXADECIMAL = re.compile(rb"[0-9A-Fa-f]*+")
OPEN_HEXADECIMAL = re.compile(rb"(?<=[(,\s]0)x[0-9A-Fa-f]*+\Z")


@dataclass(frozen=True, slots=True)
class Comment:
    """A comment between two statements."""

    text: bytes


@dataclass(frozen=True, slots=True)
class Statement:
    """A complete statement without its delimiter, except statements with rows."""

    text: bytes


@dataclass(frozen=True, slots=True)
class Insert:
    """The beginning of a statement with rows."""

    text: bytes
    table: bytes
    """As written in the dump."""
    columns: bytes


@dataclass(frozen=True, slots=True)
class Rows:
    """Some of the rows of the current statement."""

    text: bytes


@dataclass(frozen=True, slots=True)
class EndOfRows:
    """The end of the statement with rows."""

    size: int
    """Bytes of the whole statement."""


Part = Comment | Statement | Insert | Rows | EndOfRows


class Splitter:
    """Splits text into :data:`Part` objects.

    The consumer sets ``is_escaped`` when the text sets its ``sql_mode``.

    :param is_ours: the text comes from a client program that we started. It writes every line break in a string
        as an escape, so the end of the rows is found much faster.
    """

    def __init__(self, *, is_ours: bool = False) -> None:
        self.is_escaped = True
        """A backslash in a string escapes the next character."""
        self._is_ours = is_ours
        self._delimiter = b";"
        self._buffer = b""
        self._position = 0
        self._wanted = 0
        self._inside = ""
        self._size = 0

    def feed(self, data: bytes) -> Iterator[Part]:
        """Split some of the text.

        :raises WrongFormat: the text was not written by a dump program.
        """
        self._buffer += data
        if len(self._buffer) - self._position >= self._wanted:
            self._wanted = 0
            yield from self._split(is_last=False)
            self._trim()

    def finish(self) -> Iterator[Part]:
        """Split the rest.

        :raises WrongFormat: the text ends within a statement.
        """
        self._buffer += b"\n"
        yield from self._split(is_last=True)
        if self._inside or self._buffer[self._position :].strip():
            raise WrongFormat(
                gettext_noop("The backup is cut off: it ends in the middle of a statement."),
                hint=gettext_noop("Nothing was changed. Choose another backup."),
            )

    def _trim(self) -> None:
        """Discard the parsed text, except the bytes that patterns look back at."""
        start = max(0, self._position - 2)
        self._buffer, self._position = self._buffer[start:], self._position - start

    def _split(self, *, is_last: bool) -> Iterator[Part]:
        while True:
            if self._inside:
                yield from self._rows(is_last=is_last)
                if self._inside:
                    return
            part = self._next(is_last=is_last)
            if part is None:
                return
            yield part

    def _next(self, *, is_last: bool) -> Part | None:
        """Return the next comment or statement, or the beginning of one with rows; ``None`` when more text is
        needed."""
        while True:
            self._skip_space()
            text, at = self._buffer, self._position
            if found := SANDBOX.match(text, at):
                self._position = found.end()
                continue
            is_line_whole = is_last or text.find(b"\n", at) >= 0
            if not is_line_whole and (
                COMMENT_MARK.match(text, at) or text[at : at + 9].upper() == b"DELIMITER"
            ):
                return None if not text.startswith(b"/*", at) else self._comment()
            if found := DELIMITER.match(text, at):
                self._delimiter, self._position = found[1], found.end()
                continue
            return self._comment() or self._statement(is_last=is_last)

    def _skip_space(self) -> None:
        text, at = self._buffer, self._position
        while text[at : at + 1].isspace():
            at += 1
        self._position = at
        while self._buffer.startswith(self._delimiter, self._position):  # an empty statement
            self._position += len(self._delimiter)
            self._skip_space()

    def _comment(self) -> Comment | None:
        if found := COMMENT.match(self._buffer, self._position):
            self._position = found.end()
            return Comment(found[0])
        return None

    def _statement(self, *, is_last: bool) -> Part | None:
        text, at = self._buffer, self._position
        if found := INSERT.match(text, at):
            self._refuse_delimiter()
            self._position, self._inside, self._size = found.end(), "rows", found.end() - at
            return Insert(found[0], found[3], found[4] or b"")
        verb = text[at : at + 8].upper()
        if verb.startswith((b"INSERT", b"REPLACE")) and len(text) - at < AT_ONCE and not is_last:
            return None  # the rest of its beginning
        end = statement_end(text, at, self._delimiter, is_escaped=self.is_escaped)
        if end is not None:
            self._position = end + len(self._delimiter)
            return Statement(text[at:end])
        size = len(text) - at
        if size > LONGEST:
            raise WrongFormat(gettext_noop("The SQL text of the backup has a statement that is too long."))
        self._wanted = 2 * size if size > AT_ONCE else 0
        return None

    def _refuse_delimiter(self) -> None:
        if self._delimiter != b";" or not self.is_escaped:
            raise WrongFormat(
                gettext_noop("The SQL text of the backup has rows where no dump program writes them.")
            )

    # -- rows ---------------------------------------------------------------------------------------------------------

    def _rows(self, *, is_last: bool) -> Iterator[Rows | EndOfRows]:
        """Give the rows that have arrived; ``_inside`` is empty when they have ended."""
        start = self._position
        end = self._end_of_our_rows() if self._is_ours else self._end_of_rows(is_last=is_last)
        self._size += end - start
        if end > start:
            yield Rows(self._buffer[start:end])
        self._position = end
        if self._inside == "end":
            self._position, self._inside = end + 1, ""
            yield EndOfRows(self._size + 1)

    def _end_of_our_rows(self) -> int:
        end = self._buffer.find(b";\n", self._position)
        if end >= 0:
            self._inside = "end"
            return end
        return max(self._position, len(self._buffer) - 1)

    def _end_of_rows(self, *, is_last: bool) -> int:
        text, at = self._buffer, self._position
        while at < len(text):
            if self._inside != "rows":
                at = self._end_of_value(at)
                if self._inside != "rows":
                    break
            at = end_of_all(ROWS, text, at)
            if text[at : at + 1] == b";":
                self._inside = "end"
                break
            if text[at : at + 1] == b"'":
                at, self._inside = at + 1, "string"
            elif found := OPEN_HEXADECIMAL.match(text, at):
                at, self._inside = found.end(), "hexadecimal"
            elif len(text) - at > MANY or (is_last and at < len(text)):
                raise _strange_value()
            else:
                break
        return at

    def _end_of_value(self, at: int) -> int:
        """Return the end of the available part of a long value; ``_inside`` is ``rows`` if the value itself ends there."""
        text = self._buffer
        at = end_of_all(STRING if self._inside == "string" else HEXADECIMAL, text, at)
        if at == len(text) or text[at : at + 1] == b"\\":
            return at
        if self._inside == "string":
            at += 1
        elif text[at] not in b",) \n":
            raise _strange_value()
        self._inside = "rows"
        return at


def _strange_value() -> WrongFormat:
    return WrongFormat(gettext_noop("The SQL text of the backup has a value that no dump program writes."))
