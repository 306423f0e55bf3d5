"""What reads dumps without a server, and what a server's own troubles sound like when it loads one."""

from __future__ import annotations

import re
from typing import Protocol

from ..core.transfer import Sink

TROUBLE = re.compile(
    r"permission denied|must be (super)?owner|must be superuser|access denied|command denied|not allowed|no space left"
    r"|could not extend|disk (is )?full|table .* is full|out of memory|too many (connections|clients)|is not available"
    r"|could not open extension|could not connect|connection .* failed|can't connect|lost connection|server closed",
    re.IGNORECASE,
)
"""What servers say that can't load a dump now, or for this user, whatever is in it."""


class Examiner(Sink, Protocol):
    """Reads a dump as its loader would, and keeps nothing of it.

    It raises :class:`BackupDamaged` or :class:`WrongFormat` where the dump is not complete, or can't be loaded.
    """

    @property
    def rows(self) -> dict[str, int | None]:
        """After ``commit``: the rows of each table in the dump; ``None`` where a table has none of its own."""


class Nowhere:
    """A sink whose bytes go nowhere."""

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
