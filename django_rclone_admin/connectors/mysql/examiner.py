"""Reads the SQL text of a dump statement by statement, and counts the rows of each table. It needs no server."""

from __future__ import annotations

from ..examiners import Nowhere
from .text import DumpText
from .vetting import FAR_ENGINES


class Examiner(Nowhere):
    """Reads the text like a restore, with the same refusals, and stores nothing."""

    def __init__(self) -> None:
        self._text = DumpText(counts_rows=True)

    def write(self, data: bytes) -> None:
        for _passed_on in self._text.feed(data):
            pass

    def commit(self) -> None:
        self._text.finish()

    @property
    def rows(self) -> dict[str, int | None]:
        """Rows of each table; ``None`` for a table whose rows are stored elsewhere."""
        return {
            name: None if table.engine in FAR_ENGINES else self._text.rows.get(name, 0)
            for name, table in self._text.vetter.tables.items()
        }
