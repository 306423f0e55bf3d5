"""A pass over the schedules: the work of ``runschedules``, once or repeatedly."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from django.db import DatabaseError
from django.utils.translation import gettext as _

from .. import api, clock, wording
from ..exceptions import BackupError
from ..models.runs import BackupRun
from ..models.schedules import BackupSchedule
from .due import Claim, claim, is_lost, is_too_late, owed, retake, skip
from .work import Report, unexpected, work

logger = logging.getLogger("django_rclone_admin")


class Result(StrEnum):
    """The result of a schedule in a pass."""

    SUCCEEDED = "succeeded"
    FAILED = "failed"
    SKIPPED = "skipped"


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """A schedule that was due, or could not be evaluated, with its result."""

    schedule: BackupSchedule
    at: datetime | None
    """The time for which it ran."""
    result: Result
    sentence: str = ""
    runs: tuple[BackupRun, ...] = ()
    error: BackupError | None = None

    def as_dict(self) -> dict[str, object]:
        """Return the fields for the JSON output."""
        return {
            "schedule": self.schedule.name,
            "action": self.schedule.action,
            "due_at": self.at.isoformat() if self.at else None,
            "result": str(self.result),
            "message": self.sentence,
            "runs": [str(run.pk) for run in self.runs],
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class Preview:
    """What a pass would do with a schedule now."""

    schedule: BackupSchedule
    due_at: datetime | None
    """The time for which it would run now."""
    next_at: datetime | None
    error: BackupError | None = None


def run_pass(report: Callable[[Outcome], None], stop: threading.Event) -> list[Outcome]:
    """Carry out every due schedule, one after another, and then look at the health of the site.

    :param report: called with each outcome as soon as it is known.
    :raises Interrupted: this process is ending; unfinished work is left to the next pass.
    """
    begin_pass()
    outcomes = []
    for key in due_keys():
        if outcome := run_one(key, stop):
            report(outcome)
            outcomes.append(outcome)
    api.health()
    return outcomes


def begin_pass() -> None:
    """Record that a pass looks at the schedules, and close stale runs.

    :raises ImproperlyConfigured: the settings are wrong.
    """
    api.all_databases()
    BackupSchedule.objects.update(seen_at=clock.now())
    if api.has_history():
        api.reap_stale()


def due_keys() -> list[int]:
    """Return the keys of the schedules that a pass has to look at, those due for the longest time first."""
    now = clock.now()
    found = [
        (at or now, schedule.pk)
        for schedule in BackupSchedule.objects.all()
        for needs, at in [_needs(schedule, now)]
        if needs
    ]
    return [key for _at, key in sorted(found)]


def previews() -> Iterator[Preview]:
    """Give what a pass would do now, without changing anything."""
    now = clock.now()
    for schedule in BackupSchedule.objects.all():
        try:
            at = owed(schedule, now)
        except BackupError as error:
            yield Preview(schedule=schedule, due_at=None, next_at=None, error=error)
            continue
        if at is None and is_lost(schedule, now) and schedule.last_run is None:
            at = schedule.last_due_at
        is_free = schedule.claimed_at is None or is_lost(schedule, now)
        will = at if is_free and at and not is_too_late(schedule, at, now) else None
        yield Preview(schedule=schedule, due_at=will, next_at=schedule.next_time())


def run_one(key: int, stop: threading.Event) -> Outcome | None:
    """Carry out a schedule if it is still due and unclaimed.

    :returns: ``None`` if there was nothing to do.
    :raises Interrupted: this process is ending.
    """
    schedule = BackupSchedule.objects.filter(pk=key).first()
    if schedule is None:
        return None
    now = clock.now()
    try:
        at, found = _take(schedule, now)
    except BackupError as error:
        return _refuse(schedule, error)
    except DatabaseError as error:
        return _refuse(schedule, unexpected(error))
    if found is None:
        return _skipped(schedule, at) if at else None
    return _carry_out(found, stop)


def _needs(schedule: BackupSchedule, now: datetime) -> tuple[bool, datetime | None]:
    """Whether a pass has to handle a schedule, and the time for which it must run."""
    try:
        at = owed(schedule, now)
        is_free = schedule.claimed_at is None or is_lost(schedule, now)
        # A paused or disabled schedule keeps up with its times, so that no run is caught up afterwards.
        return (is_free and bool(at)) or is_lost(schedule, now) or _passes_by(schedule, now) is not None, at
    except BackupError:
        return schedule.enabled, None


def _passes_by(schedule: BackupSchedule, now: datetime) -> datetime | None:
    """Return the last time that passed while the schedule was disabled or paused, if it is not recorded yet."""
    is_resting = not schedule.enabled or (schedule.paused_until and schedule.paused_until > now)
    at = schedule.last_time(now) if is_resting else None
    return at if at and (schedule.last_due_at is None or at > schedule.last_due_at) else None


def _take(schedule: BackupSchedule, now: datetime) -> tuple[datetime | None, Claim | None]:
    """Claim a schedule.

    :returns: its time, if that is skipped, and the claim, if any.
    """
    at, gone = owed(schedule, now), is_lost(schedule, now)
    if passed := _passes_by(schedule, now):
        skip(schedule, passed, schedule.problem)
        return None, None
    if schedule.claimed_at and not gone:
        return None, None  # already running; the next time is handled afterwards
    if gone and at is None:
        return None, _take_over(schedule, now)
    if at is None:
        return None, None
    if is_too_late(schedule, at, now):
        return (at, None) if skip(schedule, at, _too_late(at)) else (None, None)
    return None, claim(schedule, at)


def _take_over(schedule: BackupSchedule, now: datetime) -> Claim | None:
    """Take over what a dead process has not started; if it started a run, the schedule's time counts as handled."""
    at = schedule.last_due_at
    logger.info("The schedule “%s” was claimed by a process that is dead: %s", schedule, schedule.claimed_by)
    found = retake(schedule)
    if found is None:
        return None
    if schedule.last_run is None and schedule.enabled and at and not is_too_late(schedule, at, now):
        return found
    found.end(_("The process stopped unexpectedly (killed, crashed or out of memory)."))
    return None


def _carry_out(found: Claim, stop: threading.Event) -> Outcome:
    try:
        report = work(found, stop)
    except BaseException:
        found.give_back()
        raise
    try:
        found.end(report.problem, report.telling)
    except DatabaseError as error:  # the next pass detects that this process is dead
        logger.warning("The end of a schedule could not be recorded: %s", error)
    return _outcome(found, report)


def _outcome(found: Claim, report: Report) -> Outcome:
    errors = [error for _name, error in report.errors]
    lines = [run.message for run in report.runs] if not errors else [report.problem]
    return Outcome(
        schedule=found.schedule,
        at=found.at,
        result=Result.FAILED if errors else Result.SUCCEEDED,
        sentence=" ".join(lines),
        runs=tuple(report.runs),
        error=errors[0] if errors else None,
    )


def _refuse(schedule: BackupSchedule, error: BackupError) -> Outcome:
    """Record at a schedule why it can't run. The others continue."""
    sentence = wording.describe(error)[0]
    try:
        BackupSchedule.objects.filter(pk=schedule.pk).update(problem=sentence, next_run_at=None)
    except DatabaseError as failure:
        logger.warning("A problem of a schedule could not be recorded: %s", failure)
    return Outcome(schedule=schedule, at=None, result=Result.FAILED, sentence=sentence, error=error)


def _skipped(schedule: BackupSchedule, at: datetime) -> Outcome:
    return Outcome(schedule=schedule, at=at, result=Result.SKIPPED, sentence=_too_late(at))


def _too_late(at: datetime) -> str:
    return _("Skipped: its time, %(time)s, is longer ago than it may start late.") % {
        "time": wording.time(at)
    }
