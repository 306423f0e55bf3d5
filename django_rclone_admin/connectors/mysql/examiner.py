"""Reads the SQL text of a dump statement by statement, and counts the rows of each table. It needs no server."""

from __future__ import annotations

from ..examiners import Nowhere
from .text import DumpText
from .vetting import FAR_ENGINES


class Examiner(Nowhere):
    """Reads the text like a restore, with the same refusals, and stores nothing.

    :param text: the text that a loader filters, so that it is parsed only once.
    """

    def __init__(self, text: DumpText | None = None) -> None:
        self._text = text or DumpText()
        self._text.counts_rows = True
        self.passed_on: list[bytes] = []
        """What a loader should execute of the bytes written last; after ``commit``, of the rest."""

    def write(self, data: bytes) -> None:
        self.passed_on = list(self._text.feed(data))

    def commit(self) -> None:
        self.passed_on = [self._text.finish()]

    @property
    def rows(self) -> dict[str, int | None]:
        """Rows of each table; ``None`` for a table whose rows are stored elsewhere."""
        return {
            name: None if table.engine in FAR_ENGINES else self._text.rows.get(name, 0)
            for name, table in self._text.vetter.tables.items()
        }
