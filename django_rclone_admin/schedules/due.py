"""Finds due schedules and claims them: of all passes on all hosts, one carries a schedule out."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from django.db import models
from django.utils.translation import gettext as _

from .. import clock, wording
from ..exceptions import BackupError
from ..models.runs import BackupRun
from ..models.schedules import BackupSchedule, this_process

SILENT_AFTER = timedelta(minutes=5)
"""After this time without a heartbeat, a claim is lost. A pass writes one each minute, by its own clock."""
OVERDUE_AFTER = timedelta(minutes=15)
"""How late a schedule may start before health reports it: cron and timers need not run every minute."""
WRONG_CLOCK = timedelta(hours=1)
"""A recorded time further in the future than this comes from a wrong clock."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Overdue:
    """A schedule whose time has passed without a run."""

    schedule: BackupSchedule
    due_at: datetime
    reason: str
    """One sentence, translated."""
    hint: str = ""
    """Its remedy, if it is not the usual one: that ``runschedules`` has to run."""


def last_pass() -> datetime | None:
    """Return when ``runschedules`` last looked at the schedules; ``None`` if never, or without schedules."""
    found: datetime | None = BackupSchedule.objects.aggregate(last=models.Max("seen_at"))["last"]
    return found


def first_due() -> datetime | None:
    """Return the earliest time, past or future, at which an enabled schedule has to run and was not handled yet."""
    found = [_first_due(schedule) for schedule in BackupSchedule.objects.filter(enabled=True)]
    return min((each for each in found if each), default=None)


def _first_due(schedule: BackupSchedule) -> datetime | None:
    since = [each for each in (schedule.last_due_at, schedule.paused_until) if each]
    try:
        return next(iter(schedule.next_times(max(since, default=clock.now()), 1)), None)
    except BackupError:  # reported as overdue
        return None


def overdue(now: datetime | None = None) -> list[Overdue]:
    """Return the schedules that should have run but did not, each with the reason.

    :param now: the time of the evaluation.
    """
    now = now or clock.now()
    judged = (_judge(schedule, now) for schedule in BackupSchedule.objects.filter(enabled=True))
    return [each for each in judged if each]


def _judge(schedule: BackupSchedule, now: datetime) -> Overdue | None:
    values = {"name": schedule.name}
    if schedule.paused_until and schedule.paused_until > now:
        return None
    try:
        at = owed(schedule, now)
    except BackupError as error:
        values["reason"], hint = wording.describe(error)
        reason = _("The schedule “%(name)s” can't run: %(reason)s") % values
        return Overdue(schedule=schedule, due_at=schedule.last_due_at or now, reason=reason, hint=hint)
    if is_lost(schedule, now):
        reason = _("The schedule “%(name)s” was started, but its process ended too early.") % values
        return Overdue(schedule=schedule, due_at=schedule.last_due_at or now, reason=reason)
    if at is None or now - at < OVERDUE_AFTER or schedule.claimed_at:
        return None
    values["time"] = wording.time(at)
    reason = _("The schedule “%(name)s” should have run at %(time)s.") % values
    return Overdue(schedule=schedule, due_at=at, reason=reason)


def owed(schedule: BackupSchedule, now: datetime) -> datetime | None:
    """Return the time for which a schedule must run now, or ``None``.

    If several of its times were missed, it is the last of them.

    :raises UsageError: its times are invalid.
    """
    at = schedule.last_time(now) if schedule.enabled else None
    if at is None:
        return None
    if schedule.paused_until and at <= schedule.paused_until:
        return None
    done = schedule.last_due_at
    return at if done is None or at > done or _is_of_wrong_clock(schedule, done, now) else None


def _is_of_wrong_clock(schedule: BackupSchedule, done: datetime, now: datetime) -> bool:
    """Whether the last handled time is in the future, because of a wrong clock: it would block the schedule until
    then."""
    coming = schedule.next_times(now, 1)
    return done > now + WRONG_CLOCK and bool(coming) and done > coming[0]


def is_too_late(schedule: BackupSchedule, at: datetime, now: datetime) -> bool:
    """Whether its time is longer ago than ``start_within``."""
    return bool(schedule.start_within) and now - at > timedelta(minutes=schedule.start_within)


def is_lost(schedule: BackupSchedule, now: datetime) -> bool:
    """Whether a schedule was claimed by a process that is dead."""
    if schedule.claimed_at is None:
        return False
    holder = schedule.process
    is_dead = holder.is_dead() if holder else None
    if is_dead:
        return True
    run = schedule.last_run
    if run is not None and BackupRun.objects.active().filter(pk=run).exists():
        return False
    # Where nobody knows whether it lives, a time far ahead would keep it from ever being silent.
    is_of_wrong_clock = is_dead is None and schedule.claimed_at - now > WRONG_CLOCK
    return bool(is_of_wrong_clock or now - schedule.claimed_at > SILENT_AFTER)


@dataclass(frozen=True, slots=True, kw_only=True)
class Claim:
    """A schedule that this process has claimed, for one of its times."""

    schedule: BackupSchedule
    at: datetime
    before: datetime | None
    """The previously handled time; ``None`` if unknown."""

    def _mine(self) -> models.QuerySet[BackupSchedule]:
        return BackupSchedule.objects.filter(pk=self.schedule.pk, claimed_by=this_process())

    def beat(self) -> None:
        """Write a heartbeat."""
        self._mine().update(claimed_at=clock.now())

    def note_run(self, run: BackupRun) -> None:
        """Record a run that was started for it."""
        self._mine().update(claimed_at=clock.now(), last_run=run.pk)

    def end(self, problem: str = "", run: BackupRun | None = None) -> None:
        """Record the result.

        :param run: the most important run.
        """
        values: dict[str, Any] = {"last_run": run.pk} if run else {}
        self._mine().update(claimed_at=None, claimed_by="", problem=problem, **values)

    def give_back(self) -> None:
        """Release it for the next pass, unless its times have been changed meanwhile."""
        self._mine().filter(last_due_at=self.at).update(last_due_at=self.before)
        self.end()


def claim(schedule: BackupSchedule, at: datetime) -> Claim | None:
    """Claim a schedule for one of its times; ``None`` if another process was faster, or the schedule has changed."""
    taken = _update(
        schedule, last_due_at=at, last_run=None, claimed_at=clock.now(), claimed_by=this_process(), problem=""
    )
    return Claim(schedule=schedule, at=at, before=schedule.last_due_at) if taken else None


def skip(schedule: BackupSchedule, at: datetime, problem: str = "") -> bool:
    """Mark one of its times as handled without a run."""
    return _update(schedule, last_due_at=at, problem=problem)


def retake(schedule: BackupSchedule) -> Claim | None:
    """Take a schedule over from a dead process, for the same time; see :func:`claim`."""
    at = schedule.last_due_at
    if at is None:
        return None
    taken = _update(schedule, claimed_at=clock.now(), claimed_by=this_process())
    return Claim(schedule=schedule, at=at, before=None) if taken else None


def _update(schedule: BackupSchedule, **values: Any) -> bool:
    """Change a schedule, unless it has changed since it was read: one statement, so only one of many processes
    succeeds."""
    row = BackupSchedule.objects.filter(
        pk=schedule.pk,
        last_due_at=schedule.last_due_at,
        claimed_at=schedule.claimed_at,
        cron=schedule.cron,
        time_zone=schedule.time_zone,
        spread=schedule.spread,
        enabled=schedule.enabled,
    )
    return row.update(**values, next_run_at=schedule.next_time()) == 1
