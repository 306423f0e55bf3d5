"""What the names of check records say: which backup was checked, up to which level, how that ended, and when.

A record lies beside its backup, and its name alone tells the result: a new server knows every result from one listing.
Whoever may write to the remote can make such a name, so it is parsed strictly, and one that claims a success in the
future counts for nothing.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import MAXYEAR, UTC, datetime, timedelta
from enum import StrEnum

AHEAD = timedelta(minutes=10)
"""How far the clocks of two hosts may differ before a time is taken for wrong."""
STAMP = "%Y%m%dT%H%M%SZ"
SEPARATOR = ".check."
"""What follows the name of a backup in the names of its records."""


class Level(StrEnum):
    """How far a check goes. Each level includes those before it."""

    CHECKSUM = "checksum"
    """Every stored byte is what it was."""
    STRUCTURE = "structure"
    """The whole backup can be read, and has its tables and rows."""
    RESTORE = "restore"
    """It was restored beside the live database, and all is there."""
    SITE = "site"
    """The site's own models can read it."""

    @property
    def rank(self) -> int:
        """The place in the order of the levels, from 0."""
        return LEVELS.index(self)

    def includes(self, other: Level) -> bool:
        """Whether a check of this level also checks what ``other`` does."""
        return self.rank >= other.rank


LEVELS = tuple(Level)
DAMAGING = (Level.CHECKSUM, Level.STRUCTURE, Level.RESTORE)
"""A failed check of one of these makes a backup damaged; the last level is about the site as much as about the backup."""


class Outcome(StrEnum):
    """How a check ended."""

    PASSED = "passed"
    FAILED = "failed"
    UNCHECKED = "unchecked"
    """It could not be carried out; the record says why."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CheckMark:
    """The result of one check."""

    level: Level
    outcome: Outcome
    at: datetime
    """When the check ended, aware, in whole seconds."""

    @property
    def is_damage(self) -> bool:
        """Whether it makes a backup damaged, as long as it stands."""
        return self.outcome is Outcome.FAILED and self.level in DAMAGING

    def as_dict(self) -> dict[str, str]:
        """Return it as JSON has it."""
        return {"level": str(self.level), "outcome": str(self.outcome), "at": self.at.isoformat()}

    def name(self, backup: str) -> str:
        """Return the name of the record beside a backup of this name."""
        return (
            f"{backup}{SEPARATOR}{self.level}.{self.outcome}.{self.at.astimezone(UTC).strftime(STAMP)}.json"
        )

    def is_overruled_by(self, other: CheckMark) -> bool:
        """Whether a later check says otherwise: a success of at least this level, or a failure of at most it."""
        if other.at <= self.at or {self.outcome, other.outcome} != {Outcome.PASSED, Outcome.FAILED}:
            return False
        return (
            other.level.includes(self.level)
            if self.outcome is Outcome.FAILED
            else self.level.includes(other.level)
        )

    def replaces(self, other: CheckMark) -> bool:
        """Whether the record of ``other`` goes when this one is there; of each level, the newest stays.

        A success also takes away what claims to come after it: a wrong clock made that.
        """
        if other == self:
            return False
        is_from_the_future = (
            other.at > self.at and self.outcome is Outcome.PASSED and self.level.includes(other.level)
        )
        return other.level is self.level or is_from_the_future


_NAME = re.compile(
    rf"(.+){re.escape(SEPARATOR)}({'|'.join(Level)})\.({'|'.join(Outcome)})\.([0-9]{{8}}T[0-9]{{6}}Z)\.json",
    re.DOTALL,
)


def parse(name: str) -> tuple[str, CheckMark] | None:
    """Return the name of the backup and the result that the name of a record tells; ``None`` for any other name."""
    found = _NAME.fullmatch(name)
    at = read_stamp(found[4]) if found else None
    if found is None or at is None:
        return None
    return found[1], CheckMark(level=Level(found[2]), outcome=Outcome(found[3]), at=at)


def read_stamp(text: str) -> datetime | None:
    """Return the time of a stamp in a name, aware; ``None`` where it is none that every calendar can show."""
    try:
        time = datetime.strptime(text, STAMP).replace(tzinfo=UTC)
    except ValueError:
        return None
    return time if 1 < time.year < MAXYEAR else None


def believed(marks: Iterable[CheckMark], now: datetime) -> tuple[CheckMark, ...]:
    """Return what counts of the marks of one backup: of each level the newest, and no success in the future."""
    newest: dict[Level, CheckMark] = {}
    for mark in sorted(marks, key=lambda each: (each.at, each.outcome is Outcome.FAILED)):
        if mark.outcome is not Outcome.PASSED or mark.at - now <= AHEAD:
            newest[mark.level] = mark
    return tuple(newest[level] for level in LEVELS if level in newest)


def failures(marks: Iterable[CheckMark]) -> tuple[CheckMark, ...]:
    """Return the failed checks that no later one denies, the lowest level first."""
    return _standing(marks, Outcome.FAILED)


def proofs(marks: Iterable[CheckMark]) -> tuple[CheckMark, ...]:
    """Return the checks that a backup has passed and that no later one denies, the highest level last."""
    return _standing(marks, Outcome.PASSED)


def _standing(marks: Iterable[CheckMark], outcome: Outcome) -> tuple[CheckMark, ...]:
    marks = tuple(marks)
    found = [
        each
        for each in marks
        if each.outcome is outcome and not any(each.is_overruled_by(other) for other in marks)
    ]
    return tuple(sorted(found, key=lambda each: each.level.rank))
