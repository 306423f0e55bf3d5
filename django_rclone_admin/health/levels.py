"""The levels of a judgement, and what a rule finds."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from enum import IntEnum, StrEnum


class Level(IntEnum):
    """As monitoring plugins count."""

    OK = 0
    WARNING = 1
    CRITICAL = 2
    UNKNOWN = 3

    @property
    def slug(self) -> str:
        """The name, for style sheets and JSON."""
        return self.name.lower()

    @property
    def gravity(self) -> int:
        """Its place in the order of gravity: what is known to be wrong outweighs what is not known."""
        return (Level.OK, Level.WARNING, Level.UNKNOWN, Level.CRITICAL).index(self)


def worst(levels: Iterable[Level], *, default: Level = Level.OK) -> Level:
    """Return the gravest of some levels."""
    return max(levels, key=lambda each: each.gravity, default=default)


class Rule(StrEnum):
    """The rules. These ids are stable: monitors, alerts and ``HEALTH["ignore"]`` use them."""

    UNREACHABLE = "unreachable"
    """The remote does not answer."""
    NO_RCLONE = "no_rclone"
    """The rclone program is not there."""
    NO_ANSWER = "no_answer"
    """Nothing has judged the site yet."""
    OLD_ANSWER = "old_answer"
    """The kept judgement is old, so nobody knows what is true now."""
    NO_HISTORY = "no_history"
    """The run history can't be read."""
    MISSING = "missing"
    """There is no backup."""
    OLD = "old"
    """The last good backup is too old."""
    TOO_SMALL = "too_small"
    """The last good backup has too few bytes."""
    FUTURE_NAME = "future_name"
    """The name of a backup has a time in the future."""
    DAMAGED = "damaged"
    """A backup is damaged."""
    FAILING = "failing"
    """The last runs did not succeed."""
    SHRUNK = "shrunk"
    """The last backup is much smaller than the one before it."""
    NO_MANIFEST = "no_manifest"
    """The last backup can't be checked."""
    CHECK_FAILED = "check_failed"
    """The last backup has failed a check of the site's own."""
    UNPROVEN = "unproven"
    """No backup was checked for too long."""
    STUCK = "stuck"
    """A run waits or works for too long, or its process is gone."""
    OVERDUE = "overdue"
    """A schedule was due and did not run."""
    SCHEDULE_FAILED = "schedule_failed"
    """A schedule failed the last time."""
    NO_RUNNER = "no_runner"
    """There are schedules, and nothing runs them."""
    NO_SCHEDULE = "no_schedule"
    """Nothing makes backups by itself."""
    LOW_SPACE = "low_space"
    """The remote is nearly full."""
    UNCOVERED = "uncovered"
    """A database or a storage that nothing backs up."""


OF_THE_SITE = frozenset(
    {
        Rule.UNREACHABLE,
        Rule.NO_RCLONE,
        Rule.NO_ANSWER,
        Rule.OLD_ANSWER,
        Rule.NO_HISTORY,
        Rule.NO_RUNNER,
        Rule.LOW_SPACE,
    }
)
"""Rules that concern every database, whichever of them is asked about."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """What a rule has found."""

    rule: Rule
    level: Level
    subject: str = ""
    """The alias of a database, ``media``, or the name of what it is about; empty where it is the whole site."""
    sentence: str
    hint: str

    @property
    def key(self) -> str:
        """Tells one problem from all others, in every process."""
        return f"{self.rule}:{self.subject}"
