"""Filters the SQL text of mysqldump and mariadb-dump: recognises a complete dump, and adapts it to another schema.

The text comes from the remote, where others could have changed it. So it is not passed to the server unchanged.
Each statement is parsed, those that no dump program writes are refused, and tables, rows and sequences are
rewritten without comments and without the name of a database. Views, triggers, routines and events are kept for
later: the server receives each as one statement, after all rows were loaded and nothing can trigger them.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Iterator

from ...exceptions import WrongFormat, gettext_noop
from .lexer import plain, tokens
from .long_rows import in_pieces, longest_value
from .phrase import Foreign, Unexpected
from .statements import Comment, EndOfRows, Insert, Part, Rows, Splitter, Statement
from .vetting import Vetter

END = b"-- Dump completed"
"""The beginning of the last line, which both programs write only after everything else succeeded."""
HEAD = re.compile(rb"\s*(/\*M?!\d+\\- [^\n]*\n)?\s*-- (MySQL|MariaDB) dump ")
"""The beginning of a dump, after the line by which newer MariaDB programs switch their client to sandbox mode."""
TAIL_BYTES = 256

HOST = re.compile(rb"-- Host: .*?\s{4}Database: (.+)")
SECTION = re.compile(rb"-- Dumping data for table (.+)")
UNDUMPED = {"routines": ("FUNCTION", "PROCEDURE", "PACKAGE", "PACKAGE BODY"), "events": ("EVENT",)}
"""Kinds that must be requested for a dump, by the word in the comment that proves the request."""
DUMPED = re.compile(rb"-- Dumping (routines|events) for database .*", re.DOTALL)
CONDITION = re.compile(rb"-- WHERE: ")
KEYWORDS = 3
"""How many words of a refused statement are shown; more could reveal data."""


class DumpText:
    """A stage that passes on the parts of a dump that the server should execute.

    :param left_out: tables whose statements are dropped.
    :param is_ours: the text comes from a client program that we started: it is analysed but never refused.
    :param packet: the server's ``max_allowed_packet``; longer statements with rows are split. 0: no limit.
    :param is_empty_before: see :class:`~.vetting.Vetter`.
    :param counts_rows: count all rows; in our own dumps, with each row on its own line, rows are always counted.
    """

    def __init__(
        self,
        *,
        left_out: Collection[str] = (),
        is_ours: bool = False,
        packet: int = 0,
        counts_rows: bool = False,
        is_empty_before: bool = False,
    ) -> None:
        self.vetter = Vetter(left_out=left_out, is_empty_before=is_empty_before)
        self.sizes: dict[str, int] = {}
        """Bytes of the statements with the rows of each table."""
        self.with_rows: set[str] = set()
        """Tables with a section for their rows, which may be empty."""
        self.with_condition: set[str] = set()
        """Tables whose rows were selected by a condition."""
        self.with_history: set[str] = set()
        """Tables whose rows include their history."""
        self.unknown_kinds = {kind for kinds in UNDUMPED.values() for kind in kinds}
        """Kinds that the dump does not contain because they were not requested."""
        self.refused: list[str] = []
        """The first words of statements that a restore would refuse."""
        self.longest: tuple[int, str] = 0, ""
        """Size and table of the longest value in statements that the server would refuse."""
        self.rows: dict[str, int] = {}
        """Number of rows so far, by table."""
        self._is_ours, self.counts_rows = is_ours, counts_rows
        self._splitter = Splitter(is_ours=is_ours)
        self.tail = b""
        """The last bytes received."""
        self._section = ""
        self._table = ""
        self._is_passed_on = False
        self._packet = packet
        self._held: list[bytes] = []
        """The current statement with rows."""

    def feed(self, data: bytes) -> Iterator[bytes]:
        """Filter some of the text.

        :raises WrongFormat: a statement was not written by a dump program, or names a database.
        """
        self.tail = (self.tail + data[-TAIL_BYTES:])[-TAIL_BYTES:]
        yield from self._taken(self._splitter.feed(data))

    def finish(self) -> bytes:
        """Return the rest.

        :raises WrongFormat: the text does not end like a complete dump.
        """
        if not is_complete(self.tail):
            raise WrongFormat(
                gettext_noop(
                    "The backup is cut off: it does not end with the line of mysqldump that says it is complete."
                ),
                hint=gettext_noop("Nothing was changed. Choose another backup."),
            )
        return b"".join(self._taken(self._splitter.finish()))

    def _taken(self, parts: Iterable[Part]) -> Iterator[bytes]:
        for part in parts:
            match part:
                case Comment():
                    self._comment(part.text)
                case Rows():
                    self._held.append(part.text)
                case EndOfRows():
                    yield from self._rows(part.size)
                case Insert() | Statement():
                    if passed_on := self._judged(part):
                        yield passed_on

    def _rows(self, size: int) -> Iterator[bytes]:
        """Give a complete statement with rows, split if it is too long."""
        head, *rows = self._held
        self._held = []
        self._count(rows)
        self.sizes[self._table] = self.sizes.get(self._table, 0) + size
        if self._packet and size >= self._packet:
            everything = b"".join(rows)
            self.longest = max(self.longest, (longest_value(everything), self._table))
            if self._is_passed_on and not self._is_ours:
                yield from in_pieces(head, everything, packet=self._packet, table=self._table)
        elif self._is_passed_on:
            yield head
            yield from rows
            yield b";\n"

    def _count(self, rows: list[bytes]) -> None:
        """Count the rows of one statement."""
        if self._is_ours and rows and rows[0].startswith(b"\n"):
            count = sum(each.count(b"\n") for each in rows)  # in strings, the program writes them as escapes
        elif self._is_ours or self.counts_rows:
            count = count_rows(b"".join(rows))
        else:
            return
        self.rows[self._table] = self.rows.get(self._table, 0) + count

    def _judged(self, part: Insert | Statement) -> bytes:
        try:
            if isinstance(part, Insert):
                self._table, self._is_passed_on = plain(part.table), False
                self._held = [part.text]
                self._is_passed_on = bool(self.vetter.insert(part))
                return b""
            passed_on = self.vetter.statement(part.text)
            self._splitter.is_escaped = self.vetter.session.is_escaped
        except Unexpected as error:
            if not self._is_ours:
                raise _refusal(part.text, is_foreign=isinstance(error, Foreign)) from error
            self.refused.append(_first_words(part.text))
            return b""
        if b"system_versioning_insert_history = 1" in passed_on:
            self.with_history.add(self._section)
        return passed_on + b";\n" if passed_on else b""

    def _comment(self, text: bytes) -> None:
        """Read the facts that only comments contain."""
        if found := SECTION.fullmatch(text):
            self._section = plain(found[1])
            self.with_rows.add(self._section)
        elif found := DUMPED.fullmatch(text):
            self.unknown_kinds -= set(UNDUMPED[found[1].decode()])
        elif CONDITION.match(text):
            self.with_condition.add(self._section)
        elif (found := HOST.fullmatch(text)) and not self.vetter.source:
            self.vetter.source = found[1].decode("utf-8", "surrogateescape")


def is_complete(tail: bytes) -> bool:
    """Whether a text ends like a complete dump."""
    lines = tail.rstrip().rsplit(b"\n", 1)
    return tail.endswith(b"\n") and lines[-1].startswith(END)


def count_rows(values: bytes) -> int:
    """Count the rows of one statement: the values are plain, so outside of strings only a row begins with a parenthesis."""
    count, is_string = 0, False
    for part in values.replace(b"\\\\", b"").replace(b"\\'", b"").split(b"(")[:-1]:
        is_string ^= part.count(b"'") % 2 == 1
        count += not is_string
    return count


def _refusal(statement: bytes, *, is_foreign: bool) -> WrongFormat:
    if is_foreign:
        return WrongFormat(
            gettext_noop("The dump names its own target database: %(statement)s …"),
            hint=gettext_noop(
                "Nothing was changed. Dumps made with --databases, and statements about other databases, can't be "
                "restored from here; load them with the client program."
            ),
            statement=_first_words(statement),
        )
    return WrongFormat(
        gettext_noop("The dump has a statement that no dump program writes: %(statement)s …"),
        hint=gettext_noop(
            "Nothing was changed. The dump may have been edited by hand. Choose another backup."
        ),
        statement=_first_words(statement),
    )


def _first_words(statement: bytes) -> str:
    """Return the beginning of a statement, without names and values."""
    words = [each.key for each in tokens(statement[:1000]) if each.kind == "word"]
    return " ".join(word for word in words[:KEYWORDS] if word.isascii() and word.isalpha())
