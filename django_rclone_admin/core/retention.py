"""Retention: which backups to keep, and why. A pure function; another module deletes.

The rules work like those of ``restic forget``: each keeps the newest backup of each of the last N periods that have
one; where there are fewer than N, it also keeps the oldest backup. ``within_days`` counts from the newest backup.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta, tzinfo
from typing import TYPE_CHECKING

from ..exceptions import UsageError, gettext_noop
from .states import RESTORABLE, State

if TYPE_CHECKING:
    from .catalog import StoredObject

SAFETY_PERIOD = timedelta(days=7)
"""How long a safety backup is kept, so that the restore can be undone."""

PERIODS: dict[str, Callable[[datetime], tuple[int, ...]]] = {
    "hourly": lambda time: (time.year, time.month, time.day, time.hour),
    "daily": lambda time: (time.year, time.month, time.day),
    "weekly": lambda time: time.isocalendar()[:2],
    "monthly": lambda time: (time.year, time.month),
    "yearly": lambda time: (time.year,),
}
"""By rule: the function that identifies its period, in the time zone of the site."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RetentionPolicy:
    """How many backups of each database to keep. A rule of 0 does not apply.

    :raises UsageError: the policy could keep nothing.
    """

    last: int = 10
    hourly: int = 0
    daily: int = 0
    weekly: int = 0
    monthly: int = 0
    yearly: int = 0
    within_days: float = 0
    """Keep all backups that are at most this much older than the newest."""
    min_keep: int = 1
    """Never go below this number of complete backups."""

    def __post_init__(self) -> None:
        counts = [self.last, *(getattr(self, period) for period in PERIODS)]
        if not all(isinstance(count, int) for count in [*counts, self.min_keep]):
            raise UsageError(
                gettext_noop("A number of backups in the retention rules is not an integer."),
                hint=gettext_noop("Only “within_days” may be a fraction."),
            )
        if not 0 <= self.within_days <= timedelta.max.days:
            raise UsageError(
                gettext_noop("“within_days” is not a number of days: %(days)s."),
                hint=gettext_noop("Use 0 where the rule should not apply."),
                days=self.within_days,
            )
        if min(counts) < 0 or not (any(counts) or self.within_days) or self.min_keep < 1:
            raise UsageError(
                gettext_noop("The retention rules would not keep any backup."),
                hint=gettext_noop(
                    "DB_CLEANUP_KEEP and “min_keep” must be 1 or more, and the rules of RETENTION 0 or more."
                ),
            )


@dataclass(frozen=True, slots=True, kw_only=True)
class Decision:
    """The decision about one backup."""

    backup: StoredObject
    keep: bool
    reasons: tuple[str, ...]
    """In English, marked for translation."""

    def while_read(self) -> Decision:
        """Return the decision for a backup that a run is reading."""
        return Decision(backup=self.backup, keep=True, reasons=(gettext_noop("a run is reading it"),))


def decide(
    backups: Iterable[StoredObject],
    policy: RetentionPolicy,
    now: datetime,
    *,
    zone: tzinfo = UTC,
    made: Collection[str] = (),
) -> list[Decision]:
    """Decide on the backups of one database, newest first.

    Damaged backups are never counted and never removed: a person should look at them. The same holds for backups with
    a time in the future, from a wrong clock: they would push out newer ones. The newest complete backup is always
    kept; a safety backup does not count as that. A legacy backup never takes the place of a complete one.

    :param zone: the time zone of days and hours.
    :param made: paths of backups that the caller has just made; these and all that were stored later are kept.
    """
    ordered = sorted((each for each in backups if each.taken_at), key=lambda each: each.order, reverse=True)
    reasons: dict[str, list[str]] = {each.name: [] for each in ordered}
    countable = [
        each
        for each in ordered
        if each.state in RESTORABLE and not _is_special(each) and not each.is_ahead(now)
    ]
    complete = [each for each in countable if each.state is State.COMPLETE]
    for group in (complete, countable):
        for backup, reason in _apply(group, policy, zone):
            counts = group is complete or backup.state is State.LEGACY
            if counts and reason not in reasons[backup.name]:
                reasons[backup.name].append(reason)
    for each in ordered:
        reasons[each.name] += _special_reasons(each, now)
    _keep_new(ordered, reasons, made)
    _keep_enough(ordered, reasons, policy, now)
    return [
        Decision(
            backup=each,
            keep=bool(reasons[each.name]),
            reasons=tuple(reasons[each.name]) or (gettext_noop("no rule keeps it"),),
        )
        for each in ordered
    ]


def _apply(
    group: Sequence[StoredObject], policy: RetentionPolicy, zone: tzinfo
) -> Iterator[tuple[StoredObject, str]]:
    """Give each backup that a rule keeps, with the rule's reason. ``group`` is sorted newest first."""
    times = [each.taken_at.astimezone(zone) for each in group if each.taken_at]
    yield from ((each, REASONS["last"]) for each in group[: policy.last])
    for period, key in PERIODS.items():
        left, last = getattr(policy, period), None
        for each, time in zip(group, times, strict=True):
            if left and key(time) != last:
                left, last = left - 1, key(time)
                yield each, REASONS[period]
        if left and group:
            yield group[-1], gettext_noop("the oldest, while a rule is not full")
    for each, time in zip(group, times, strict=True):
        if policy.within_days and times[0] - time < timedelta(days=policy.within_days):
            yield each, REASONS["within_days"]


REASONS = {
    "last": gettext_noop("one of the last"),
    "hourly": gettext_noop("the newest of its hour"),
    "daily": gettext_noop("the newest of its day"),
    "weekly": gettext_noop("the newest of its week"),
    "monthly": gettext_noop("the newest of its month"),
    "yearly": gettext_noop("the newest of its year"),
    "within_days": gettext_noop("young enough"),
}


def _is_special(backup: StoredObject) -> bool:
    """Whether a backup is kept for a separate reason and does not count in the rules."""
    return backup.pinned or backup.is_safety


def _special_reasons(backup: StoredObject, now: datetime) -> list[str]:
    assert backup.taken_at is not None
    found = []
    if backup.pinned:
        found.append(gettext_noop("pinned"))
    if backup.state is State.DAMAGED:
        found.append(gettext_noop("damaged: not counted, left for you to look at"))
    if backup.is_ahead(now):
        found.append(gettext_noop("its time is in the future: not counted, left for you to look at"))
    if backup.is_safety and now - backup.taken_at < SAFETY_PERIOD:
        found.append(gettext_noop("made before a restore, kept for 7 days"))
    return found


def _keep_new(ordered: Sequence[StoredObject], reasons: dict[str, list[str]], made: Collection[str]) -> None:
    """Keep the backups just made and those stored later on the remote, even if a clock was wrong."""
    own = [each for each in ordered if each.path in made]
    since = min((each.modified for each in own if each.modified), default=None)
    for each in ordered:
        if each in own:
            reasons[each.name].append(gettext_noop("made by this run"))
        elif since and each.modified and each.modified > since:
            reasons[each.name].append(gettext_noop("stored later than what this run made"))


def _keep_enough(
    ordered: Sequence[StoredObject], reasons: dict[str, list[str]], policy: RetentionPolicy, now: datetime
) -> None:
    """Keep the newest complete backup regardless of the rules, and at least the policy's minimum number.

    Backups with a time in the future count only in the absence of others.
    """
    complete = [each for each in ordered if each.state is State.COMPLETE]
    complete = [each for each in complete if not each.is_ahead(now)] or complete
    wanted = [each for each in complete if not each.is_safety] or complete
    if wanted:
        reasons[wanted[0].name].insert(0, gettext_noop("the newest complete backup"))
    kept = sum(bool(reasons[each.name]) for each in complete)
    for each in complete:
        if kept < policy.min_keep and not reasons[each.name]:
            reasons[each.name].append(gettext_noop("needed to keep enough"))
            kept += 1
