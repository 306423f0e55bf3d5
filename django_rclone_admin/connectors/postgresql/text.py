"""Makes pg_restore's SQL a part of our own transaction."""

from __future__ import annotations

import re
from collections.abc import Iterator

from ...exceptions import ProgramFailed, WrongFormat, gettext_noop
from .lexer import Lexer

LIMIT = 1 << 20
"""Up to this size a statement is collected and may be rewritten; longer ones are passed on unchanged."""
CONTROL = frozenset(
    {"abort", "begin", "commit", "end", "prepare", "release", "rollback", "savepoint", "start"}
)
"""The first words of statements that begin or end a transaction or savepoint."""
REPLACED: dict[tuple[str, ...], tuple[bytes, bytes]] = {
    ("create", "schema"): (b"CREATE SCHEMA ", b"CREATE SCHEMA IF NOT EXISTS "),
    ("create", "function"): (b"CREATE FUNCTION ", b"CREATE OR REPLACE FUNCTION "),
}
"""Beginnings of statements, and their replacements: creating an object that had to stay for others must not fail."""
NEEDS_FUNCTIONS = {("copy",), ("insert",), ("refresh",), ("create", "index"), ("create", "unique")}
"""Beginnings of statements that may call functions: for generated columns, checks, indexes and stored views."""
USERS = frozenset({"table", "domain", "view"})
"""Objects that may call a function once rows exist, by the word for their kind; before that, the need is unknown."""
RESTRICT = re.compile(rb"\\(un)?restrict [A-Za-z0-9]+\n?")
"""The psql commands that pg_restore itself writes: between them, psql refuses other commands."""
SEARCH_PATH = (
    b"SELECT pg_catalog.set_config('search_path', '', false);",
    b"SELECT pg_catalog.set_config('search_path', '', true);",
)
STRINGS = re.compile(rb"(?i)SET\s+standard_conforming_strings\s*(?:=|TO)\s*'?(on|off)'?\s*;")


class OneTransaction:
    """Removes ``BEGIN`` and ``COMMIT`` from the text of ``pg_restore --single-transaction``: the commit is sent by us.

    (Without that option, pg_restore writes a pair of them around every large object.) A text with more of them, or
    with psql commands, is refused: the part before them would be committed, whatever happens to the rest.

    :param before_data: SQL to insert before anything that may call functions: a table, the first row, the first index.
    """

    def __init__(self, *, before_data: bytes = b"") -> None:
        self._lexer = Lexer()
        self._before_data = before_data
        self._has_functions = self._has_users = True
        """Whether functions or their callers may have come since ``before_data`` was inserted."""
        self._has_begun = self._has_ended = self._is_first_row = False
        self._start()

    def _start(self) -> None:
        self._held: list[bytes] = []
        """The statement so far, except what was passed on already."""
        self._size = 0
        self._is_within = self._is_passed_on = False
        self._words: list[str] = []
        """Its first words outside of parentheses, in lower case."""
        self._last = ""
        """The previous word, if only white space followed it."""
        self._body = 0
        """How many ``BEGIN ATOMIC`` and ``CASE`` are open, in a function body in standard SQL."""
        self._has_rows = False
        self._lexer.is_between = True

    def feed(self, data: bytes) -> Iterator[bytes]:
        for kind, token in self._lexer.feed(data):
            yield from self._take(kind, token)

    def finish(self) -> bytes:
        rest = [out for kind, token in self._lexer.feed(b"", is_last=True) for out in self._take(kind, token)]
        if not self._has_ended or self._is_within or self._lexer.is_open:
            raise ProgramFailed(
                gettext_noop("pg_restore did not end as expected, so nothing was committed."),
                hint=gettext_noop(
                    "Nothing was changed. RESTORE_ARGS may hold an option that changes its output."
                ),
            )
        return b"".join(rest)

    def _take(self, kind: str, token: bytes) -> Iterator[bytes]:
        if kind == "rows":
            if self._is_first_row and not token.startswith(b"\n"):
                raise _refusal("COPY")
            self._is_first_row = False
            yield token
        elif kind == "command":
            if self._is_within or not RESTRICT.fullmatch(token):
                raise _refusal(token.split()[0].decode(errors="replace"))
            yield token
        elif kind == "space" and not self._is_within:
            yield token
        elif kind == "inserts" and not self._has_ended:
            self._words = ["insert"]
            yield self._lead() + token
            self._start()
        else:
            yield from self._add(kind, token)

    def _add(self, kind: str, token: bytes) -> Iterator[bytes]:
        """Add a token to the statement, and give the statement when it is complete or long."""
        if self._has_ended:
            raise _refusal("COMMIT")
        self._is_within, self._lexer.is_between = True, False
        if kind == "word":
            token = self._read(token)
        elif kind != "space":
            self._last = kind
        self._held.append(b": " if kind == "variable" else token)
        self._size += len(token)
        if kind == ";" and not self._lexer.depth and not self._body:
            yield self._end()
        elif self._size > LIMIT and self._words[:1] and self._words[0] not in CONTROL:
            yield self._lead() + b"".join(self._held)
            self._held, self._size, self._is_passed_on = [], 0, True

    def _read(self, token: bytes) -> bytes:
        """Follow the words of the statement, and return the token for psql."""
        word = token.decode(errors="replace").lower()
        if self._body and self._last == ";" and word in CONTROL and word != "end":
            raise _refusal(word.upper())
        if len(self._words) < 6:
            self._words.append(word)
        if self._last == "from" and word == "stdin":
            self._has_rows = self._words[0] == "copy"
        if self._words[0] == "create" and {"function", "procedure"} & set(self._words[1:4]):
            if (self._last, word) == ("begin", "atomic") or (self._body and word == "case"):
                self._body += 1
            elif self._body and word == "end":
                self._body -= 1
            elif self._body and word == "begin":
                token = b'"begin"'  # a column or an argument; psql would wait for its END
        self._last = word
        return token

    def _lead(self) -> bytes:
        """Return the SQL that must come before this statement."""
        is_new, kinds = self._words[:1] == ["create"], self._words[1:4]
        if is_new and "function" in kinds:
            self._has_functions = True
            return b""
        makes_table = is_new and "table" in kinds[:2]
        is_due = (makes_table and self._has_functions) or (
            {tuple(self._words[:1]), tuple(self._words[:2])} & NEEDS_FUNCTIONS
            and (self._has_functions or self._has_users)
        )
        if is_due:
            self._has_functions = self._has_users = False
        if is_new and USERS & set(kinds):
            self._has_users = True
        return self._before_data if is_due else b""

    def _end(self) -> bytes:
        statement, words, lead = b"".join(self._held), self._words, self._lead()
        if self._has_rows:
            self._lexer.begin_copy()
            self._is_first_row = True
        is_whole = not self._is_passed_on
        self._start()
        if words and words[0] in CONTROL:
            return self._control(statement, words[0])
        if found := STRINGS.fullmatch(statement):
            self._lexer.backslash_escapes = found[1].lower() == b"off"
        return lead + (_ours(statement, words) if is_whole else statement)

    def _control(self, statement: bytes, word: str) -> bytes:
        if statement == b"BEGIN;" and not self._has_begun:
            self._has_begun = True
        elif statement == b"COMMIT;" and self._has_begun:
            self._has_ended = True
        else:
            raise _refusal(word.upper())
        return b""


def _ours(statement: bytes, words: list[str]) -> bytes:
    """Return what psql should execute for a statement: settings end with our transaction, also through a pooler."""
    old, new = REPLACED.get(tuple(words[:2]), (b"", b""))
    if old and statement.startswith(old):
        return new + statement.removeprefix(old)
    if statement.startswith(b"SET ") and words[1:2] not in (["local"], ["transaction"], ["constraints"]):
        return b"SET LOCAL " + statement.removeprefix(b"SET ")
    return SEARCH_PATH[1] if statement == SEARCH_PATH[0] else statement


def _refusal(statement: str) -> WrongFormat:
    return WrongFormat(
        gettext_noop("The backup contains a command that could commit a part of the restore: %(statement)s."),
        hint=gettext_noop(
            "Nothing was changed. pg_dump does not write such a backup; inspect it before you restore it by hand."
        ),
        statement=statement,
    )
