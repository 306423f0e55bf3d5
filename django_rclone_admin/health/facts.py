"""The input of the rules. Facts are plain values, so that they can be stored as JSON and evaluated again later."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date, datetime
from typing import Any, Self

DAYS = 30
"""How far back the charts of days and sizes go."""


class _Facts:
    """Facts that can be converted to JSON and back. Unknown fields, written by a newer version, are ignored."""

    __slots__ = ()

    def as_document(self) -> dict[str, Any]:
        """Return the fields as JSON values."""
        return {each.name: _plain(getattr(self, each.name)) for each in dataclasses.fields(self)}  # type: ignore[arg-type]

    @classmethod
    def from_document(cls, document: Mapping[str, Any]) -> Self:
        """Return the facts that :meth:`as_document` was called on.

        :raises TypeError, ValueError, KeyError, AttributeError: the document has another structure.
        """
        known = {each.name for each in dataclasses.fields(cls)}  # type: ignore[arg-type]
        return cls(**{key: _read(key, value) for key, value in document.items() if key in known})


@dataclass(frozen=True, slots=True, kw_only=True)
class Day(_Facts):
    """One day of the chart."""

    day: date
    state: str
    """``ok``: a backup was made; ``failed``: one was tried, none succeeded; ``none``."""


@dataclass(frozen=True, slots=True, kw_only=True)
class BackupFacts(_Facts):
    """One backup."""

    name: str
    path: str
    taken_at: datetime
    total_size: int
    """Bytes; for a media backup those of all its files."""
    state: str
    files: int | None = None
    """For a media backup."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Failure(_Facts):
    """The last backup runs, if they failed."""

    failed_at: datetime
    """When the newest of them started."""
    count: int = 1
    """How many in a row."""
    message: str = ""
    hint: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class PartFacts(_Facts):
    """The facts about the backups of one database, or of the media files."""

    database: str
    """Its alias, or ``media``."""
    kind: str = "database"
    vendor: str = ""
    last: BackupFacts | None = None
    """The newest backup that a restore would use by default."""
    is_listed: bool = True
    """Whether the backup list was read; otherwise the facts come from the run history only."""
    size_before: int | None = None
    """Size of the previous complete backup in bytes."""
    damaged: list[str] = field(default_factory=list)
    """Names of damaged backups among the newest."""
    is_newest_damaged: bool = False
    ahead: list[str] = field(default_factory=list)
    """Names of backups with a time in the future."""
    first_at: datetime | None = None
    """The time of the oldest known backup."""
    automatic_at: datetime | None = None
    """The time of the last backup that was not started by hand in the admin."""
    failed_check: str = ""
    """The level of a check that the last backup has failed without being damaged."""
    proven_at: datetime | None = None
    """The time of the last check that passed."""
    proven_level: str = ""
    proves: bool = True
    """Whether its backups can be checked at all."""
    failure: Failure | None = None
    seconds: float | None = None
    """Duration of its last successful run."""
    next_run_at: datetime | None = None
    """When the next schedule backs it up."""
    sizes: list[int] = field(default_factory=list)
    """Sizes of its last backups in bytes, oldest first."""
    days: list[Day] = field(default_factory=list)
    count: int = 0
    """The number of its backups."""
    stored: int = 0
    """The total size of its backups in bytes, from the listing."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RunFacts(_Facts):
    """A queued or running run."""

    id: str
    words: str
    """Its kind, for people."""
    database: str
    status: str
    since_at: datetime
    """When it was queued, or started."""
    is_gone: bool
    """Whether its process has ended or writes no heartbeat."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Unfinished(_Facts):
    """A schedule that did not run as it should."""

    name: str
    due_at: datetime | None
    reason: str
    """One sentence."""
    hint: str = ""
    """Its remedy, if it is not the usual one."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ScheduleFacts(_Facts):
    """The schedules, and whether ``runschedules`` runs."""

    enabled: int = 0
    """How many schedules are enabled."""
    passed_at: datetime | None = None
    """When ``runschedules`` last looked."""
    first_due_at: datetime | None = None
    """The earliest time at which an enabled schedule has to run and was not handled yet."""
    overdue: list[Unfinished] = field(default_factory=list)
    """Those that were due and did not run."""
    failed: list[Unfinished] = field(default_factory=list)
    """Those whose last run failed."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Trouble(_Facts):
    """Why the remote did not answer."""

    sentence: str
    hint: str
    is_rclone_missing: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class SiteFacts(_Facts):
    """The facts about the whole site."""

    gathered_at: datetime
    place: str = ""
    """Identifies the configured remote without revealing it."""
    remote: str = ""
    """The remote, as shown to people."""
    version: str = ""
    """Of rclone."""
    free: int | None = None
    """Free bytes on the remote, if it reports them."""
    trouble: Trouble | None = None
    history_problem: str = ""
    """Why the run history can't be read; empty if it can."""
    parts: list[PartFacts] = field(default_factory=list)
    runs: list[RunFacts] = field(default_factory=list)
    schedules: ScheduleFacts = field(default_factory=ScheduleFacts)
    uncovered: list[str] = field(default_factory=list)
    """Databases and storages that no backup covers, such as ``database analytics``."""

    def part(self, name: str) -> PartFacts | None:
        """Return the facts about a database or the media files."""
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
