"""The state of a check in progress, and the errors that are results of a check."""

from __future__ import annotations

from dataclasses import dataclass, field

from ..core.catalog import StoredObject
from ..core.check_marks import Level
from ..exceptions import BackupDamaged, CheckFailed, WrongFormat
from .job import Job

FAILURES = (BackupDamaged, WrongFormat, CheckFailed)
"""Errors about the backup itself. All others interrupt the check, and nothing is recorded."""


@dataclass(kw_only=True)
class Check:
    """One check of one backup, with its results so far."""

    job: Job
    backup: StoredObject
    wanted: Level
    level: Level = Level.CHECKSUM
    """The current level."""
    proven: Level | None = None
    size: int = 0
    sha256: str = ""
    rows: dict[str, int | None] = field(default_factory=dict)
    """Rows of each table in the dump, as read without a server."""
    tables: dict[str, dict[str, int | None]] = field(default_factory=dict)
    """In the format of the record."""
    notes: list[str] = field(default_factory=list)
    """English sentences: what was skipped."""
    versions: dict[str, str] = field(default_factory=dict)

    def begin(self, level: Level) -> bool:
        """Start a level; false if it was not requested."""
        if not self.wanted.includes(level):
            return False
        self.level = level
        return True

    def passed(self) -> None:
        """Record that the current level has passed."""
        self.proven = self.level
