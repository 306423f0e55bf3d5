"""The levels of health, the rules, and their findings."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from enum import IntEnum, StrEnum


class Level(IntEnum):
    """The numbers of monitoring plugins."""

    OK = 0
    WARNING = 1
    CRITICAL = 2
    UNKNOWN = 3

    @property
    def slug(self) -> str:
        """The name in style sheets and JSON."""
        return self.name.lower()

    @property
    def gravity(self) -> int:
        """The position in the order of gravity: a known problem outweighs an unknown state."""
        return (Level.OK, Level.WARNING, Level.UNKNOWN, Level.CRITICAL).index(self)


def worst(levels: Iterable[Level], *, default: Level = Level.OK) -> Level:
    """Return the gravest of some levels."""
    return max(levels, key=lambda each: each.gravity, default=default)


class Rule(StrEnum):
    """The rules. These ids are stable: monitors, alerts and ``HEALTH["ignore"]`` use them."""

    UNREACHABLE = "unreachable"
    """The remote does not answer."""
    NO_RCLONE = "no_rclone"
    """rclone is not installed."""
    NO_ANSWER = "no_answer"
    """The site was never evaluated."""
    OLD_ANSWER = "old_answer"
    """The stored facts are old, so the current state is unknown."""
    NO_HISTORY = "no_history"
    """The run history can't be read."""
    MISSING = "missing"
    """The database was never backed up, or its backups are gone."""
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
    """The last backup is much smaller than the previous one."""
    NO_MANIFEST = "no_manifest"
    """The last backup can't be checked."""
    CHECK_FAILED = "check_failed"
    """The last backup has failed one of the site's own checks."""
    UNPROVEN = "unproven"
    """The last check is too long ago."""
    STUCK = "stuck"
    """A run is queued or running for too long, or its process is dead."""
    OVERDUE = "overdue"
    """A schedule was due and did not run."""
    SCHEDULE_FAILED = "schedule_failed"
    """The last run of a schedule failed."""
    NO_RUNNER = "no_runner"
    """Schedules exist, but ``runschedules`` does not run."""
    NO_SCHEDULE = "no_schedule"
    """Backups are not automatic."""
    LOW_SPACE = "low_space"
    """The remote is nearly full."""
    UNCOVERED = "uncovered"
    """A database or a storage that no backup covers."""


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
"""Rules that concern every database, even if only some are evaluated."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """A problem that a rule has found."""

    rule: Rule
    level: Level
    subject: str = ""
    """The alias of a database, ``media``, or the name of another subject; empty for the whole site."""
    sentence: str
    hint: str

    @property
    def key(self) -> str:
        """Identifies the problem, in every process."""
        return f"{self.rule}:{self.subject}"
