"""What a check knows while it is carried out, and which errors say something of the backup."""

from __future__ import annotations

from dataclasses import dataclass, field

from ..core.catalog import StoredObject
from ..core.check_marks import Level
from ..exceptions import BackupDamaged, CheckFailed, WrongFormat
from .job import Job

FAILURES = (BackupDamaged, WrongFormat, CheckFailed)
"""Errors that say something of the backup. All others only say that the check could not go on, and nothing is recorded."""


@dataclass(kw_only=True)
class Check:
    """One check of one backup, as far as it has come."""

    job: Job
    backup: StoredObject
    wanted: Level
    level: Level = Level.CHECKSUM
    """The one that is being checked."""
    proven: Level | None = None
    size: int = 0
    sha256: str = ""
    rows: dict[str, int | None] = field(default_factory=dict)
    """Of each table in the dump, as it was read without a server."""
    tables: dict[str, dict[str, int | None]] = field(default_factory=dict)
    """As the record has them."""
    notes: list[str] = field(default_factory=list)
    """English sentences: what was passed over."""
    versions: dict[str, str] = field(default_factory=dict)

    def begin(self, level: Level) -> bool:
        """Go on to a level; false when it is not asked for."""
        if not self.wanted.includes(level):
            return False
        self.level = level
        return True

    def passed(self) -> None:
        """Note that the level was passed."""
        self.proven = self.level
