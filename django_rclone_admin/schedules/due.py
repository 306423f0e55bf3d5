"""Which schedules are due, and the claim: of all passes on all hosts, one carries a schedule out."""

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
"""How long a pass that waits may give no sign of life. It gives one each minute, by its own clock."""
OVERDUE_AFTER = timedelta(minutes=15)
"""How late a schedule may start before that is a matter for health: cron and timers need not look each minute."""
WRONG_CLOCK = timedelta(hours=1)
"""A note that lies further ahead than this was taken by a clock that was wrong."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Overdue:
    """A schedule whose time has passed, and nobody has carried it out."""

    schedule: BackupSchedule
    due_at: datetime
    reason: str
    """One sentence, translated."""


def last_pass() -> datetime | None:
    """Return when ``runschedules`` looked at the schedules last; ``None`` where it never did, or there are none."""
    found: datetime | None = BackupSchedule.objects.aggregate(last=models.Max("seen_at"))["last"]
    return found


def overdue(now: datetime | None = None) -> list[Overdue]:
    """Return the schedules that should have run and did not, each with the reason.

    :param now: the time by which they are judged.
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
        values["reason"] = wording.describe(error)[0]
        reason = _("The schedule “%(name)s” can't run: %(reason)s") % values
        return Overdue(schedule=schedule, due_at=schedule.last_due_at or now, reason=reason)
    if is_lost(schedule, now):
        reason = _("The schedule “%(name)s” was begun, and its process has ended before it did.") % values
        return Overdue(schedule=schedule, due_at=schedule.last_due_at or now, reason=reason)
    if at is None or now - at < OVERDUE_AFTER or schedule.claimed_at:
        return None
    values["time"] = wording.time(at)
    reason = _("The schedule “%(name)s” should have run at %(time)s.") % values
    return Overdue(schedule=schedule, due_at=at, reason=reason)


def owed(schedule: BackupSchedule, now: datetime) -> datetime | None:
    """Return the time for which a schedule is to run now, or ``None``.

    However many of its times were missed, it is the last of them.

    :raises UsageError: it has no times.
    """
    at = schedule.last_time(now) if schedule.enabled else None
    if at is None:
        return None
    if schedule.paused_until and at <= schedule.paused_until:
        return None
    done = schedule.last_due_at
    return at if done is None or at > done or _is_of_wrong_clock(schedule, done, now) else None


def _is_of_wrong_clock(schedule: BackupSchedule, done: datetime, now: datetime) -> bool:
    """Whether a time was dealt with that is still to come: it would keep the schedule from running until then."""
    coming = schedule.next_times(now, 1)
    return done > now + WRONG_CLOCK and bool(coming) and done > coming[0]


def is_too_late(schedule: BackupSchedule, at: datetime, now: datetime) -> bool:
    """Whether its time is longer ago than it may start late."""
    return bool(schedule.start_within) and now - at > timedelta(minutes=schedule.start_within)


def is_lost(schedule: BackupSchedule, now: datetime) -> bool:
    """Whether somebody has claimed a schedule, and is gone."""
    if schedule.claimed_at is None:
        return False
    holder = schedule.process
    if holder and holder.is_dead():
        return True
    run = schedule.last_run
    if run is not None and BackupRun.objects.active().filter(pk=run).exists():
        return False
    return bool(now - schedule.claimed_at > SILENT_AFTER)


@dataclass(frozen=True, slots=True, kw_only=True)
class Claim:
    """A schedule that this process alone carries out, for one of its times."""

    schedule: BackupSchedule
    at: datetime
    before: datetime | None
    """The time that was dealt with before; ``None`` where that is not known."""

    def _mine(self) -> models.QuerySet[BackupSchedule]:
        return BackupSchedule.objects.filter(pk=self.schedule.pk, claimed_by=this_process())

    def beat(self) -> None:
        """Give a sign of life."""
        self._mine().update(claimed_at=clock.now())

    def note_run(self, run: BackupRun) -> None:
        """Note a run that has begun for it."""
        self._mine().update(claimed_at=clock.now(), last_run=run.pk)

    def end(self, problem: str = "", run: BackupRun | None = None) -> None:
        """Note how it went.

        :param run: the one that tells most.
        """
        values: dict[str, Any] = {"last_run": run.pk} if run else {}
        self._mine().update(claimed_at=None, claimed_by="", problem=problem, **values)

    def give_back(self) -> None:
        """Leave it to the next pass, unless somebody has changed its times meanwhile."""
        self._mine().filter(last_due_at=self.at).update(last_due_at=self.before)
        self.end()


def claim(schedule: BackupSchedule, at: datetime) -> Claim | None:
    """Take a schedule for one of its times; ``None`` when somebody else was first, or has changed it meanwhile."""
    taken = _update(
        schedule, last_due_at=at, last_run=None, claimed_at=clock.now(), claimed_by=this_process(), problem=""
    )
    return Claim(schedule=schedule, at=at, before=schedule.last_due_at) if taken else None


def skip(schedule: BackupSchedule, at: datetime, problem: str = "") -> bool:
    """Take one of its times as done without a run."""
    return _update(schedule, last_due_at=at, problem=problem)


def retake(schedule: BackupSchedule) -> Claim | None:
    """Take a schedule over from somebody who is gone, for the same time; see :func:`claim`."""
    at = schedule.last_due_at
    if at is None:
        return None
    taken = _update(schedule, claimed_at=clock.now(), claimed_by=this_process())
    return Claim(schedule=schedule, at=at, before=None) if taken else None


def _update(schedule: BackupSchedule, **values: Any) -> bool:
    """Change a schedule, unless it is not as it was read any more: one statement, so only one of many succeeds."""
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
