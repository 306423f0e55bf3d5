"""The names of check records, which tell the backup, the level, the outcome and the time of a check.

A record is stored next to its backup, and its name alone tells the result: a new server knows every result from one
listing. Anyone who can write to the remote can create such a name, so it is parsed strictly, and a success dated in the
future is ignored.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import MAXYEAR, UTC, datetime, timedelta
from enum import StrEnum

AHEAD = timedelta(minutes=10)
"""How far the clocks of two hosts may differ before a time counts as wrong."""
STAMP = "%Y%m%dT%H%M%SZ"
FOLDER = "checks"
"""The folder of all records on the remote, with a subfolder for each year."""
SEPARATOR = ".check."
"""The part that follows the name of a backup in the names of its records."""


class Level(StrEnum):
    """How much a check covers. Each level includes those before it."""

    CHECKSUM = "checksum"
    """Every stored byte is unchanged."""
    STRUCTURE = "structure"
    """The whole backup can be read and contains its tables and rows."""
    RESTORE = "restore"
    """It was restored as an opened backup, and all of its data arrived."""
    SITE = "site"
    """The site's own models can read it."""

    @property
    def rank(self) -> int:
        """The position in the order of the levels, from 0."""
        return LEVELS.index(self)

    def includes(self, other: Level) -> bool:
        """Whether a check of this level also covers ``other``."""
        return self.rank >= other.rank


LEVELS = tuple(Level)
DAMAGING = (Level.CHECKSUM, Level.STRUCTURE, Level.RESTORE)
"""Levels whose failure makes a backup damaged. The last level is not one: it tests the site as much as the backup."""


class Outcome(StrEnum):
    """How a check ended."""

    PASSED = "passed"
    FAILED = "failed"
    UNCHECKED = "unchecked"
    """It could not be carried out; the record gives the reason."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CheckMark:
    """The result of one check."""

    level: Level
    outcome: Outcome
    at: datetime
    """When the check ended, aware, in whole seconds."""

    @property
    def is_damage(self) -> bool:
        """Whether this result makes the backup damaged while no later check contradicts it."""
        return self.outcome is Outcome.FAILED and self.level in DAMAGING

    def as_dict(self) -> dict[str, str]:
        """Return the fields for JSON."""
        return {"level": str(self.level), "outcome": str(self.outcome), "at": self.at.isoformat()}

    def name(self, backup: str) -> str:
        """Return the name of this check's record for a backup of this name."""
        return (
            f"{backup}{SEPARATOR}{self.level}.{self.outcome}.{self.at.astimezone(UTC).strftime(STAMP)}.json"
        )

    def is_overruled_by(self, other: CheckMark) -> bool:
        """Whether a later check contradicts this one: a success of at least this level, or a failure of at most this
        level."""
        if other.at <= self.at or {self.outcome, other.outcome} != {Outcome.PASSED, Outcome.FAILED}:
            return False
        return (
            other.level.includes(self.level)
            if self.outcome is Outcome.FAILED
            else self.level.includes(other.level)
        )

    def replaces(self, other: CheckMark) -> bool:
        """Whether the record of ``other`` is removed when this one is stored; the newest of each level stays.

        A success also replaces records with a later time: those come from a wrong clock.
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
    """Parse the name of a record into the name of the backup and the result; ``None`` for any other name."""
    found = _NAME.fullmatch(name)
    at = read_stamp(found[4]) if found else None
    if found is None or at is None:
        return None
    return found[1], CheckMark(level=Level(found[2]), outcome=Outcome(found[3]), at=at)


def read_stamp(text: str) -> datetime | None:
    """Return the time of a stamp in a name, aware; ``None`` where it is not a time that every calendar can show."""
    try:
        time = datetime.strptime(text, STAMP).replace(tzinfo=UTC)
    except ValueError:
        return None
    return time if 1 < time.year < MAXYEAR else None


def believed(marks: Iterable[CheckMark], now: datetime) -> tuple[CheckMark, ...]:
    """Return the marks of one backup that count: the newest of each level, without successes in the future."""
    newest: dict[Level, CheckMark] = {}
    for mark in sorted(marks, key=lambda each: (each.at, each.outcome is Outcome.FAILED)):
        if mark.outcome is not Outcome.PASSED or mark.at - now <= AHEAD:
            newest[mark.level] = mark
    return tuple(newest[level] for level in LEVELS if level in newest)


def failures(marks: Iterable[CheckMark]) -> tuple[CheckMark, ...]:
    """Return the failed checks that no later check contradicts, the lowest level first."""
    return _standing(marks, Outcome.FAILED)


def proofs(marks: Iterable[CheckMark]) -> tuple[CheckMark, ...]:
    """Return the passed checks that no later check contradicts, the highest level last."""
    return _standing(marks, Outcome.PASSED)


def _standing(marks: Iterable[CheckMark], outcome: Outcome) -> tuple[CheckMark, ...]:
    marks = tuple(marks)
    if not marks:  # most of a hundred thousand backups have none
        return ()
    found = [
        each
        for each in marks
        if each.outcome is outcome and not any(each.is_overruled_by(other) for other in marks)
    ]
    return tuple(sorted(found, key=lambda each: each.level.rank))
