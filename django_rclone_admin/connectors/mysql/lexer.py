"""Splits MySQL's SQL text into tokens and statements, by the rules of the client programs."""

from __future__ import annotations

import functools
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

BLOCK_COMMENT = rb"/\*(?!M?!)[^*]*+\*++(?:[^/*][^*]*+\*++)*/"
"""A comment that no server executes.

In Python 3.11.4 and older, a group with ``*+`` or ``?+`` ends at a wrong place when its last turn fails behind a
lookaround or a repetition (CPython issue 106052). So the patterns for MySQL's text have such groups only where a turn is
one repetition, or fixed characters.
"""
_PARTS = rb"""
    (?P<space>\s++)
  | (?P<comment>--(?=[\x00-\x20]|\Z)[^\n]*+ | \#[^\n]*+ | %(comment)s)
  | (?P<open>/\*M?!\d*+)
  | (?P<close>\*/)
  | (?P<name>`(?:[^`]++|``)*+`)
  | (?P<string>%(strings)s)
  | (?P<number>(?>\d++(?:\.\d*+)?(?:[eE][-+]?\d++)?)(?![\w$\x80-\xff]) | 0x[0-9A-Fa-f]++(?![\w$\x80-\xff]))
  | (?P<word>[\w$\x80-\xff]++)
  | (?P<sign>.)
"""
_ESCAPED = rb"'(?:[^'\\]++|\\.|'')*+' | \"(?:[^\"\\]++|\\.|\"\")*+\""
_PLAIN = rb"'(?:[^']++|'')*+' | \"(?:[^\"]++|\"\")*+\""
"""Strings in the sql_mode ``NO_BACKSLASH_ESCAPES``, where a backslash is an ordinary character."""
MANY_PIECES = 1000
"""The most pieces of text that one match takes: it remembers each of them until it ends."""
TOKEN = {
    is_escaped: re.compile(_PARTS % {b"strings": strings, b"comment": BLOCK_COMMENT}, re.DOTALL | re.VERBOSE)
    for is_escaped, strings in ((True, _ESCAPED), (False, _PLAIN))
}


@dataclass(frozen=True, slots=True)
class Token:
    """One word, string, name, sign or comment of a statement."""

    kind: str
    """``space``, ``comment``, ``open`` and ``close`` (of a versioned comment), ``name``, ``string``, ``number``,
    ``word`` or ``sign``."""
    text: bytes

    @property
    def key(self) -> str:
        """The uppercase text of a keyword or sign, for comparison; a quoted name or a string is never one."""
        return self.text.decode("ascii", "replace").upper() if self.kind in ("word", "sign", "number") else ""


def tokens(statement: bytes, *, is_escaped: bool = True) -> Iterator[Token]:
    """Split a complete statement; joined together, the tokens are its text.

    :param is_escaped: a backslash in a string escapes the next character.
    """
    pattern, at, depth = TOKEN[is_escaped], 0, 0
    while found := pattern.match(statement, at):
        kind, text = str(found.lastgroup), found[0]
        if kind == "close" and not depth:  # a multiplication sign before a comment
            kind, text = "sign", text[:1]
        depth += (kind == "open") - (kind == "close")
        at += len(text)
        yield Token(kind, text)


def meaning(all_tokens: Iterable[Token]) -> list[Token]:
    """Return the significant tokens: without space, comments and the marks of versioned comments."""
    return [each for each in all_tokens if each.kind not in ("space", "comment", "open", "close")]


def statement_end(text: bytes, at: int, delimiter: bytes, *, is_escaped: bool) -> int | None:
    """Return the position of the delimiter after the statement that begins at a position.

    :returns: ``None`` when the text ends within a string, a name or a comment, or before the delimiter.
    """
    at = end_of_all(_pieces(delimiter, is_escaped), text, at)
    return at if text.startswith(delimiter, at) else None


def end_of_all(pattern: re.Pattern[bytes], text: bytes, at: int) -> int:
    """Return the end of all matches that follow each other from a position. The pattern matches the empty text too."""
    while (end := pattern.match(text, at).end()) > at:  # type: ignore[union-attr]
        at = end
    return at


@functools.cache
def _pieces(delimiter: bytes, is_escaped: bool) -> re.Pattern[bytes]:
    """Return the pattern of some of the text of a statement: whole strings, names and comments, and what is between."""
    pattern = rb"""
        (?:
            [^'"`\#/\-%(first)s]++ | %(strings)s | `(?:[^`]++|``)*+`
          | --(?=[\x00-\x20])[^\n]*+(?=\n) | \#[^\n]*+(?=\n) | %(comment)s
          | (?!%(delimiter)s | --[\x00-\x20] | /\*(?!M?!) | [\#'"`]) .
        ){0,%(many)d}
    """
    values = {
        b"first": re.escape(delimiter[:1]),
        b"strings": _ESCAPED if is_escaped else _PLAIN,
        b"comment": BLOCK_COMMENT,
        b"delimiter": re.escape(delimiter),
        b"many": MANY_PIECES,
    }
    return re.compile(pattern % values, re.DOTALL | re.VERBOSE)


def plain(name: bytes) -> str:
    """Return the name that a quoted or unquoted identifier denotes."""
    mark = name[:1]
    text = name[1:-1].replace(mark * 2, mark) if mark in (b"`", b'"') else name
    return text.decode("utf-8", "surrogateescape")


def quoted(name: str) -> bytes:
    """Quote an identifier."""
    return b"`" + name.replace("`", "``").encode("utf-8", "surrogateescape") + b"`"


def unquoted(literal: bytes) -> str:
    """Return the text of a string literal in a setting; such strings contain no escapes."""
    return literal[1:-1].decode("utf-8", "surrogateescape")
