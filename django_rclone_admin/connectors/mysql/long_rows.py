"""Loads rows that exceed the server's statement limit, by passing their long values in pieces.

A dump writes a value with escapes or in hexadecimal digits, up to twice as long as stored. So a row that the server
holds may exceed ``max_allowed_packet``. The pieces are joined in a session variable; only a single value
that is longer than ``max_allowed_packet`` itself can't be restored.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from ...exceptions import RestoreRefused, gettext_noop

LITERAL = re.compile(
    rb"(?P<prefix>_binary\s*+)?'(?P<string>(?:[^'\\]++|\\.|'')*+)'|(?<=[(,\s])0x(?P<digits>[0-9A-Fa-f]++)",
    re.DOTALL,
)
ESCAPE = re.compile(rb"\\.|''", re.DOTALL)
LONG = 64 << 10
"""Bytes of a literal that is passed separately from its row."""
ROOM = 4096
"""Bytes that a statement needs in addition to a piece of a value."""


def longest_value(rows: bytes) -> int:
    """Return the length of the longest value of some rows in bytes, as stored by the server."""
    return max((_size(each) for each in LITERAL.finditer(rows) if len(each[0]) >= LONG), default=0)


def in_pieces(head: bytes, rows: bytes, *, packet: int, table: str) -> Iterator[bytes]:
    """Give statements that load rows too long for one statement.

    :param head: the statement up to its rows.
    :param packet: the server's ``max_allowed_packet``.
    :raises RestoreRefused: a single value is too long.
    """
    short, at = [head], 0
    for number, each in enumerate(found for found in LITERAL.finditer(rows) if len(found[0]) >= LONG):
        if (size := _size(each)) >= packet:
            raise RestoreRefused(
                gettext_noop(
                    "The table %(table)s has a value of %(size)s bytes, and the server takes %(packet)s at most."
                ),
                hint=gettext_noop(
                    "Nothing was changed. Raise max_allowed_packet on the server, and restore again."
                ),
                table=table,
                size=size,
                packet=packet,
            )
        variable = b"@dra_%d" % number
        yield b"SET %b = _binary '';\n" % variable if each["digits"] else b"SET %b = '';\n" % variable
        for piece in _pieces(each, packet - ROOM):
            yield b"SET %b = CONCAT(%b, %b);\n" % (variable, variable, piece)
        short += [rows[at : each.start()], variable]
        at = each.end()
    yield b"".join([*short, rows[at:], b";\n"])


def _size(literal: re.Match[bytes]) -> int:
    if digits := literal["digits"]:
        return len(digits) // 2
    return len(literal["string"]) - len(ESCAPE.findall(literal["string"]))


def _pieces(literal: re.Match[bytes], size: int) -> Iterator[bytes]:
    """Split a literal into literals of at most this many bytes."""
    if digits := literal["digits"]:
        size -= size % 2
        for start in range(0, len(digits), size):
            yield b"X'%b'" % digits[start : start + size]
        return
    string, start = literal["string"], 0
    while start < len(string):
        end = _cut(string, start, min(start + size, len(string)))
        yield b"%b'%b'" % (literal["prefix"] or b"", string[start:end])
        start = end


def _cut(string: bytes, start: int, end: int) -> int:
    """Return where a string can be cut, at ``end`` or a little before: between two characters, and not in an escape."""
    if end == len(string):
        return end
    while string[end] & 0xC0 == 0x80 and end > start + 1:
        end -= 1
    for mark in (b"\\", b"'"):
        run = end - start - len(string[start:end].rstrip(mark))
        end -= run % 2
    return end
