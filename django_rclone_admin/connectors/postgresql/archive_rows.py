"""Counts the rows in pg_dump's archive while it streams, for the number of rows of each table in the manifest.

The custom format, as written by ``pg_backup_archiver.c`` and ``pg_backup_custom.c`` of PostgreSQL: a head, the table of
contents, then a block for each table and one for large objects. The data of a block comes in pieces, each preceded by
its length; a piece is one row or many. In the text of ``COPY``, line ends occur only at the end of a row.
"""

from __future__ import annotations

import contextlib
import struct
from array import array
from collections import Counter
from collections.abc import Callable

from .contents import FIRST_TRY, HEAD_BYTES

VERSIONS = range(12, 17)
"""The known minor versions of the format: 1.12 of PostgreSQL 9.0 to 1.16 of PostgreSQL 18."""
HEAD = struct.Struct("5sBBxBBB")
NUMBER = struct.Struct("<?I")
"""A number: whether it is negative, and its amount, in the same byte order on all machines."""
LENGTH = struct.Struct("<xI")
"""The amount of a number that is never negative."""
OFFSET_BYTES = 1 + 8
TIME_NUMBERS = 7
ROWS, LARGE_OBJECTS = 1, 3
"""The kinds of blocks."""
END = b"\\.\n\n\n"
"""The text after the last row of a table."""


class Unknown(Exception):
    """The archive has an unknown format."""


class Short(Exception):
    """More bytes are needed."""


class ArchiveRows:
    """Counts the rows of each table. Unknown parts are not counted; counting never fails a dump."""

    def __init__(self) -> None:
        self._buffer, self._at = b"", 0
        self._wanted = FIRST_TRY
        """The number of buffered bytes that the next step needs."""
        self._step: Callable[[], None] | None = self._contents
        """The next step; ``None`` after an unknown part."""
        self._statements: dict[int, bytes] = {}
        """``COPY`` statements of tables by the number of their block; empty if the rows are ``INSERT`` statements."""
        self._statement = b""
        """The ``COPY`` statement of the current block; empty if its lines are not counted."""
        self._lines = 0
        """Its line ends."""
        self._left = 0
        """Remaining bytes of the current piece."""
        self._after: Callable[[], None] = self._block
        """The step after the last piece."""
        self._rows: Counter[bytes] = Counter()

    def feed(self, data: bytes) -> None:
        """Count the rows in the next bytes of the archive."""
        if self._step:
            self._buffer += data
            if len(self._buffer) >= self._wanted:
                self._go_on()

    def finish(self) -> dict[bytes, int]:
        """Return the rows by the ``COPY`` statement of each table; empty after an unknown part."""
        if self._step == self._contents:
            self._go_on()
        is_whole = self._step == self._block and self._at == len(self._buffer)
        return dict(self._rows) if is_whole else {}

    def _go_on(self) -> None:
        try:
            while self._step:
                self._step()
        except Short:
            kept = max(0, self._at - len(END))
            self._buffer, self._at = self._buffer[kept:], self._at - kept
        except Unknown:
            self._step, self._buffer = None, b""

    # -- the table of contents ---------------------------------------------------------------------------------------

    def _contents(self) -> None:
        try:
            self._read_contents()
        except Short:
            if len(self._buffer) > HEAD_BYTES:
                raise Unknown from None
            self._at, self._wanted = 0, 2 * len(self._buffer)
            raise
        self._wanted, self._step = 0, self._block

    def _read_contents(self) -> None:
        magic, major, minor, *sizes = HEAD.unpack(self._take(HEAD.size))
        if (magic, major, sizes) != (b"PGDMP", 1, [4, 8, 1]) or minor not in VERSIONS:
            raise Unknown
        if self._take(1) != b"\0" if minor >= 15 else self._number():  # it is compressed
            raise Unknown
        for _ in range(TIME_NUMBERS):
            self._number()
        for _name_and_versions in range(3):
            self._text()
        for _ in range(self._number()):
            self._read_entry(minor)

    def _read_entry(self, minor: int) -> None:
        number = self._number()
        self._number()  # whether it has data
        _catalogue, _oid, _tag, kind = (self._text() for _ in range(4))
        self._number()  # section
        _create, _drop, statement = (self._text() for _ in range(3))
        for _schema_and_places in range(3 if minor >= 14 else 2):
            self._text()
        if minor >= 16:
            self._number()  # kind of relation
        for _owner_and_oids in range(2):
            self._text()
        while self._text() is not None:  # dependencies
            pass
        self._take(OFFSET_BYTES)
        if kind == b"TABLE DATA":
            self._statements[number] = statement or b""

    # -- the data ----------------------------------------------------------------------------------------------------

    def _block(self) -> None:
        """Begin a block."""
        before = self._at
        try:
            [kind] = self._take(1)
            number = self._number()
        except Short:
            self._at = before
            raise
        self._statement, self._lines = b"", 0
        if kind == ROWS:
            self._statement = self._statements.get(number, b"")
            self._step, self._after = self._pieces, self._end_of_rows
        elif kind == LARGE_OBJECTS:
            self._step = self._large_object
        else:
            raise Unknown

    def _large_object(self) -> None:
        """Begin the next large object, or end their block."""
        is_last = not self._number()
        self._step, self._after = (self._block if is_last else self._pieces), self._large_object

    def _pieces(self) -> None:
        """Read the available pieces, and count their line ends.

        The loop takes one step a row, so it has as few operations as possible: it limits the speed of the dump.
        """
        buffer, start, read, width = self._buffer, self._at, LENGTH.unpack_from, LENGTH.size
        at, size, sizes = start + self._left, -1, list[int]()
        note = sizes.append
        with contextlib.suppress(struct.error):  # raised where the next length has not arrived yet
            while size:
                (size,) = read(buffer, at)
                note(size)
                at += width + size
        in_lengths = array("I", sizes).tobytes().count(b"\n")
        self._at = min(at, len(buffer))
        self._left = at - self._at
        if self._statement:
            self._lines += buffer.count(b"\n", start, self._at) - in_lengths
        if size:
            raise Short
        self._step = self._after

    def _end_of_rows(self) -> None:
        if self._statement:
            end = self._at - NUMBER.size
            if self._buffer[max(0, end - len(END)) : end] != END:
                raise Unknown
            self._rows[self._statement] += self._lines - END.count(b"\n")
        self._step = self._block

    # -- parts -------------------------------------------------------------------------------------------------------

    def _take(self, count: int) -> bytes:
        end = self._at + count
        if end > len(self._buffer):
            raise Short
        data, self._at = self._buffer[self._at : end], end
        return data

    def _number(self) -> int:
        is_negative, amount = NUMBER.unpack(self._take(NUMBER.size))
        return -amount if is_negative else int(amount)

    def _text(self) -> bytes | None:
        size = self._number()
        return None if size < 0 else self._take(size)
