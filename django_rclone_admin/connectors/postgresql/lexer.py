"""Splits SQL text like psql and the server: text in a string, a comment or a COPY block is not SQL."""

from __future__ import annotations

import re
from collections.abc import Iterator

_WORD = rb"[A-Za-z_\x80-\xff][A-Za-z0-9_$\x80-\xff]*"
_NUMBER = rb"[0-9][A-Za-z0-9_$.\x80-\xff]*"
_MARKS = rb"'\"$;()\\:/\-"
TOKEN = re.compile(
    rb"(?P<word>%b)|(?P<space>\s+)|(?P<mark>[%b])|(?P<text>(?:%b|[^%b\sA-Za-z0-9_\x80-\xff])+)"
    % (_WORD, _MARKS, _NUMBER, _MARKS)
)
INSIDE = re.compile(
    rb"(?P<mark>[%b])|(?P<text>(?:%b|%b|[^%bA-Za-z0-9_\x80-\xff])+)" % (_MARKS, _WORD, _NUMBER, _MARKS)
)
"""The same inside parentheses, where keywords don't matter: a whole row of values is a few tokens."""
DOLLAR = re.compile(rb"\$(?:[A-Za-z_\x80-\xff][A-Za-z0-9_\x80-\xff]*)?\$")
DOLLAR_BEGUN = re.compile(rb"\$[A-Za-z0-9_\x80-\xff]*\Z")
VARIABLE = re.compile(rb"[A-Za-z0-9_\x80-\xff'\"{]")
"""After a colon, what makes psql read a variable."""
COPY_END = re.compile(rb"\n\\\.\r?\n")
ESCAPES = re.compile(rb"[\\']")
COMMENT_MARK = re.compile(rb"/\*|\*/")

_INSERT = (
    rb"INSERT INTO [^'$;\\/():\-]*(?>\([^'$;\\/():\-]*\))? ?VALUES \("
    rb"(?>[^'\"$;\\/():\-]+|'[^'\\]*'|-(?!-)|::)*\);\n"
)
ONE_INSERT = re.compile(_INSERT)
INSERTS = re.compile(rb"(?>%b)+" % _INSERT)
"""Statements that can be passed on unchanged: their values contain no backslash, comment or parenthesis."""

Token = tuple[str, bytes]
"""A kind and the bytes. The kinds are ``word``; ``space``, including comments; ``text``, such as strings, quoted names
and operators; ``rows`` of a COPY block; ``variable``, a colon that psql would expand; ``command``, a line from a
backslash on; ``inserts``, complete statements; and ``;``, ``(``, ``)``."""


class Lexer:
    """Gives the tokens of a text while it arrives. Joined together they are the text, byte by byte."""

    def __init__(self) -> None:
        self.depth = 0
        """How many parentheses are open."""
        self.backslash_escapes = False
        """Whether a backslash escapes in ordinary strings: ``standard_conforming_strings`` is off."""
        self.is_between = True
        """Whether a statement may begin here."""
        self._buffer = b""
        self._at = 0
        self._open = b""
        """The end mark of the open string, comment or COPY block."""
        self._comments = 0
        self._after_escapes = False
        """Whether a string with escapes has just ended: a string after white space continues it."""
        self._is_last = False

    @property
    def is_open(self) -> bool:
        """Whether a string, a comment or a COPY block is open."""
        return bool(self._open)

    def begin_copy(self) -> None:
        """Treat the following text as rows of a COPY, up to its end mark. Called at the end of a line."""
        self._open = b"\\."

    def feed(self, data: bytes, *, is_last: bool = False) -> Iterator[Token]:
        """Give the complete tokens; long strings and COPY blocks in parts."""
        self._buffer = self._buffer[self._at :] + data
        self._at = 0
        self._is_last = is_last
        while self._at < len(self._buffer):
            token = self._rest_of_open() if self._open else self._next()
            if token is None:
                return
            self._at += len(token[1])
            if token[1]:
                yield token
            elif self._open:
                return

    def _next(self) -> Token | None:
        if self.is_between and (inserts := INSERTS.match(self._buffer, self._at)):
            return "inserts", inserts[0]
        pattern = INSIDE if self.depth else TOKEN
        found = pattern.match(self._buffer, self._at)
        assert found is not None
        kind = str(found.lastgroup)
        if kind == "mark":
            return self._mark(found[0])
        if found.end() == len(self._buffer) and not self._is_last:
            return None  # more text may belong to it
        if found[0].strip():
            self._after_escapes = False
        return kind, found[0]

    def _mark(self, mark: bytes) -> Token | None:
        following = self._buffer[self._at + 1 : self._at + 2]
        if mark in b"-/:" and not following and not self._is_last:
            return None
        if mark + following in (b"--", b"/*"):
            self._open, self._comments = (b"\n" if mark == b"-" else b"*/"), 1
            return "space", mark + following
        if mark == b"'":
            has_escapes = self.backslash_escapes or self._after_escapes or self._has_prefix()
            self._open = b"E'" if has_escapes else b"'"
            return "text", mark
        self._after_escapes = False
        if mark in b"$:\\":
            return {b"$": self._dollar, b":": self._colon, b"\\": self._command}[mark]()
        if mark == b'"':
            self._open = b'"'
        elif mark in b";()":
            self.depth = max(0, self.depth + {b"(": 1, b")": -1}.get(mark, 0))
            return mark.decode(), mark
        return "text", mark

    def _dollar(self) -> Token | None:
        if found := DOLLAR.match(self._buffer, self._at):
            self._open = found[0]
            return "text", found[0]
        may_begin = DOLLAR_BEGUN.match(self._buffer, self._at) and not self._is_last
        return None if may_begin else ("text", b"$")

    def _colon(self) -> Token:
        following = self._buffer[self._at + 1 : self._at + 2]
        if following in (b":", b"="):
            return "text", b":" + following
        return ("variable" if VARIABLE.match(following) else "text"), b":"

    def _command(self) -> Token | None:
        end = self._buffer.find(b"\n", self._at) + 1
        if not end and not self._is_last:
            return None
        return "command", self._buffer[self._at : end or None]

    def _has_prefix(self) -> bool:
        """Whether the current quote belongs to ``E'…'``."""
        before = self._buffer[max(0, self._at - 2) : self._at]
        return before[-1:] in (b"e", b"E") and not re.match(rb"[A-Za-z0-9_$\x80-\xff]", before[:-1])

    def _rest_of_open(self) -> Token | None:
        """Give the available part of the open string, comment or COPY block, with its end if that has arrived."""
        if self._open == b"\\.":
            return self._rows()
        if self._open == b"*/":
            return self._comment()
        if self._open == b"E'":
            return self._escaped()
        kind = "space" if self._open == b"\n" else "text"
        end = self._buffer.find(self._open, self._at)
        if end < 0:
            # The beginning of the end mark may have arrived.
            return kind, self._part(0 if self._is_last else len(self._open) - 1)
        end += len(self._open)
        self._open = b""
        return kind, self._buffer[self._at : end]

    def _part(self, held_back: int) -> bytes:
        return self._buffer[self._at : max(self._at, len(self._buffer) - held_back)]

    def _rows(self) -> Token:
        """Return rows, from the line end before them to that of their last line."""
        if found := COPY_END.search(self._buffer, self._at):
            self._open = b""
            return "rows", self._buffer[self._at : found.end()]
        return "rows", self._part(0 if self._is_last else 4)

    def _comment(self) -> Token | None:
        position = self._at
        while found := COMMENT_MARK.search(self._buffer, position):
            position = found.end()
            self._comments += 1 if found[0] == b"/*" else -1
            if not self._comments:
                self._open = b""
                break
        else:
            position = max(position, len(self._buffer) - (0 if self._is_last else 1))
        return "space", self._buffer[self._at : position]

    def _escaped(self) -> Token | None:
        position = self._at
        while found := ESCAPES.search(self._buffer, position):
            if found[0] == b"'":
                self._open, self._after_escapes = b"", True
                return "text", self._buffer[self._at : found.end()]
            if found.end() == len(self._buffer):
                return "text", self._buffer[self._at : found.start()]
            position = found.end() + 1
        return "text", self._buffer[self._at :]
