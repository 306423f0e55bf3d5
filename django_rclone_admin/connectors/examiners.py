"""The interface for reading dumps without a server, and a pattern for errors that are the server's own."""

from __future__ import annotations

import re
from typing import Protocol, runtime_checkable

from ..core.transfer import Sink

TROUBLE = re.compile(
    r"permission denied|must be (super)?owner|must be superuser|access denied|command denied|not allowed|no space left"
    r"|could not (write|create|open|fsync) (to )?(file|block|init|directory|relation)|could not extend"
    r"|from storage engine|error from engine|during commit|disk (is )?full|table .* is full|out of memory|too many (connections|clients)|is not available"
    r"|could not open extension|could not connect|connection .* failed|can't connect|lost connection|server closed",
    re.IGNORECASE,
)
"""Messages of servers that can't load any dump now, or not for this user."""


class Examiner(Sink, Protocol):
    """Reads a dump like its loader, and stores nothing.

    It raises :class:`BackupDamaged` or :class:`WrongFormat` if the dump is incomplete or can't be loaded.
    """

    @property
    def rows(self) -> dict[str, int | None]:
        """After ``commit``: the rows of each table in the dump; ``None`` for a table without rows of its own."""


@runtime_checkable
class Sharing(Sink, Protocol):
    """A loader that would parse the dump like an examiner: one parse can serve both."""

    def examiner(self) -> Examiner:
        """Return an examiner that parses the dump for this loader, too. It receives all bytes before this loader does.

        The loader may end before it.
        """


class Nowhere:
    """A sink that discards its bytes."""

    def open(self) -> None:
        pass

    def write(self, data: bytes) -> None:
        pass

    def commit(self) -> None:
        pass

    def abort(self) -> None:
        pass

    def close(self) -> None:
        pass
