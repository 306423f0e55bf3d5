"""What the rules look at. Facts are plain values, so that they can be kept as JSON and judged again later."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date, datetime
from typing import Any, Self

DAYS = 30
"""How far back the strip of days and the trend of sizes go."""


class _Facts:
    """Facts that become JSON and come back. What a newer version wrote, and this one does not know, is left out."""

    __slots__ = ()

    def as_document(self) -> dict[str, Any]:
        """Return them as values that JSON has."""
        return {each.name: _plain(getattr(self, each.name)) for each in dataclasses.fields(self)}  # type: ignore[arg-type]

    @classmethod
    def from_document(cls, document: Mapping[str, Any]) -> Self:
        """Return what :meth:`as_document` was made of.

        :raises TypeError, ValueError, KeyError, AttributeError: it is something else.
        """
        known = {each.name for each in dataclasses.fields(cls)}  # type: ignore[arg-type]
        return cls(**{key: _read(key, value) for key, value in document.items() if key in known})


@dataclass(frozen=True, slots=True, kw_only=True)
class Day(_Facts):
    """One day of the strip."""

    day: date
    state: str
    """``ok``: a backup was taken; ``failed``: one was tried, none succeeded; ``none``."""


@dataclass(frozen=True, slots=True, kw_only=True)
class BackupFacts(_Facts):
    """One backup."""

    name: str
    path: str
    taken_at: datetime
    total_size: int
    """Bytes; of a media backup those of all its files."""
    state: str
    files: int | None = None
    """Of a media backup."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Failure(_Facts):
    """The last runs of backups, where they did not succeed."""

    failed_at: datetime
    """When the newest of them was begun."""
    count: int = 1
    """How many in a row."""
    message: str = ""
    hint: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class PartFacts(_Facts):
    """What is known of the backups of one database, or of the media files."""

    database: str
    """Its alias, or ``media``."""
    kind: str = "database"
    vendor: str = ""
    last: BackupFacts | None = None
    """The newest backup that a restore would take."""
    is_listed: bool = True
    """Whether the backup list was read for this; without, the run history alone was asked."""
    size_before: int | None = None
    """Bytes of the complete backup before the last one."""
    damaged: list[str] = field(default_factory=list)
    """Names of damaged backups among the newest."""
    is_newest_damaged: bool = False
    ahead: list[str] = field(default_factory=list)
    """Names of backups with a time in the future."""
    first_at: datetime | None = None
    """When the oldest backup was taken that is known."""
    automatic_at: datetime | None = None
    """When the last backup was taken that nobody started by hand in the admin."""
    failed_check: str = ""
    """The level of a check that the last backup has failed, where it is a backup all the same."""
    proven_at: datetime | None = None
    """When a backup was last checked with success."""
    proven_level: str = ""
    proves: bool = True
    """Whether a backup of it can be checked at all."""
    failure: Failure | None = None
    seconds: float | None = None
    """How long its last successful run took."""
    next_run_at: datetime | None = None
    """When the next schedule backs it up."""
    sizes: list[int] = field(default_factory=list)
    """Bytes of its last backups, oldest first."""
    days: list[Day] = field(default_factory=list)
    count: int = 0
    """How many backups of it there are."""
    stored: int = 0
    """Bytes of all of them, as they are listed."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RunFacts(_Facts):
    """A run that waits or works."""

    id: str
    words: str
    """Its kind, for people."""
    database: str
    status: str
    since_at: datetime
    """When it was queued, or began."""
    is_gone: bool
    """Whether its process has ended or gives no heartbeat."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Unfinished(_Facts):
    """A schedule that did not do what it should have done."""

    name: str
    due_at: datetime | None
    reason: str
    """One sentence."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ScheduleFacts(_Facts):
    """The schedules and who runs them."""

    enabled: int = 0
    """How many schedules are enabled."""
    passed_at: datetime | None = None
    """When ``runschedules`` last looked."""
    overdue: list[Unfinished] = field(default_factory=list)
    """Those that were due and did not run."""
    failed: list[Unfinished] = field(default_factory=list)
    """Those that failed the last time."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Trouble(_Facts):
    """Why the remote could not be asked."""

    sentence: str
    hint: str
    is_rclone_missing: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class SiteFacts(_Facts):
    """What is known of the whole site."""

    gathered_at: datetime
    place: str = ""
    """Tells one configured remote from another, without saying what it is."""
    remote: str = ""
    """The remote as people may see it."""
    version: str = ""
    """Of rclone."""
    free: int | None = None
    """Bytes free on the remote, where it can tell."""
    trouble: Trouble | None = None
    history_problem: str = ""
    """Why the run history can't be read; empty where it can."""
    parts: list[PartFacts] = field(default_factory=list)
    runs: list[RunFacts] = field(default_factory=list)
    schedules: ScheduleFacts = field(default_factory=ScheduleFacts)
    uncovered: list[str] = field(default_factory=list)
    """Databases and storages that nothing backs up, such as ``database analytics``."""

    def part(self, name: str) -> PartFacts | None:
        """Return what is known of a database or of the media files."""
        return next((each for each in self.parts if each.database == name), None)


_NESTED: dict[str, type[_Facts]] = {
    "last": BackupFacts,
    "failure": Failure,
    "days": Day,
    "trouble": Trouble,
    "parts": PartFacts,
    "runs": RunFacts,
    "schedules": ScheduleFacts,
    "overdue": Unfinished,
    "failed": Unfinished,
}


def _plain(value: Any) -> Any:
    if isinstance(value, _Facts):
        return value.as_document()
    if isinstance(value, list):
        return [_plain(each) for each in value]
    return value.isoformat() if isinstance(value, date) else value


def _read(key: str, value: Any) -> Any:
    if value is None:
        return None
    if key in _NESTED:
        read = _NESTED[key].from_document
        return [read(each) for each in value] if isinstance(value, list) else read(value)
    if key.endswith("_at"):
        return datetime.fromisoformat(value)
    return date.fromisoformat(value) if key == "day" else value
