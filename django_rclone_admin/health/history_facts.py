"""Facts from the run history and the schedules for the health of the site."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from django.db import DatabaseError
from django.db.models import Min
from django.utils.translation import gettext as _

from .. import clock, wording
from ..connectors.registry import all_databases
from ..core.naming import MEDIA
from ..jobs import history, stale
from ..models.runs import ACTIVE, BackupRun, Kind, Status
from ..models.schedules import Action, BackupSchedule
from ..schedules.due import first_due, last_pass, overdue
from .facts import DAYS, Failure, RunFacts, ScheduleFacts, Unfinished

KINDS = {"database": Kind.DB_BACKUP, "media": Kind.MEDIA_BACKUP}


@dataclass(frozen=True, slots=True, kw_only=True)
class Ended:
    """A backup run that has ended."""

    database: str
    is_success: bool
    created_at: datetime
    began_at: datetime
    seconds: float | None
    trigger: str
    path: str
    size: int | None
    message: str
    hint: str

    @classmethod
    def of(cls, run: BackupRun) -> Ended:
        """Return the facts of a run."""
        return cls(
            database=run.database or MEDIA,
            is_success=run.status == Status.SUCCEEDED,
            created_at=run.created_at,
            began_at=run.started_at or run.created_at,
            seconds=run.duration.total_seconds() if run.duration else None,
            trigger=run.trigger,
            path=run.path,
            size=run.size,
            message=run.message,
            hint=run.hint,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class History:
    """The facts from the history."""

    problem: str = ""
    """The hint if it can't be read; empty otherwise."""
    runs: list[Ended] = field(default_factory=list)
    """Recently ended backups, newest first."""
    firsts: dict[str, datetime] = field(default_factory=dict)
    """When each database was first backed up."""
    active: list[RunFacts] = field(default_factory=list)
    schedules: ScheduleFacts = field(default_factory=ScheduleFacts)
    next_runs: dict[str, datetime] = field(default_factory=dict)
    """When the next schedule backs up each database."""

    def ended(self, name: str, kind: str) -> list[Ended]:
        """Return the recently ended backups of a database, or of the media files, newest first."""
        return [each for each in self.runs if each.database == (MEDIA if kind == "media" else name)]

    def first_at(self, name: str) -> datetime | None:
        """Return when a database was first backed up."""
        return self.firsts.get(name)

    def next_run_at(self, name: str) -> datetime | None:
        """Return when the next schedule backs up a database."""
        return self.next_runs.get(name)


def read() -> History:
    """Return the facts from the history, or the reason why it can't be read."""
    try:
        if not history.has_table():
            return History(
                problem=_("Run “manage.py migrate”, and check that the database of the history answers.")
            )
        schedules = list(BackupSchedule.objects.filter(enabled=True))
        return History(
            runs=_ended(),
            firsts=_firsts(),
            active=_active(),
            schedules=_of_schedules(schedules),
            next_runs=_next_runs(schedules),
        )
    except DatabaseError as error:
        return History(problem=" ".join(str(error).split()) or type(error).__name__)


def failure(ended: Sequence[Ended], since: datetime | None) -> Failure | None:
    """Return the failure of the last runs, if they did not succeed.

    :param ended: newest first.
    :param since: the time of the last good backup: earlier failures are over.
    """
    later = [each for each in ended if since is None or each.created_at > since]
    count = next((index for index, each in enumerate(later) if each.is_success), len(later))
    if not count:
        return None
    newest = later[0]
    return Failure(failed_at=newest.created_at, count=count, message=newest.message, hint=newest.hint)


def _ended() -> list[Ended]:
    """Return the recently ended backups.

    Cancelled runs are left out: they were ended on purpose.
    """
    since = clock.now() - timedelta(days=DAYS)
    runs = BackupRun.objects.filter(kind__in=KINDS.values(), created_at__gte=since)
    ended = runs.exclude(status__in=[*ACTIVE, Status.CANCELLED]).defer("log", "options")
    return [Ended.of(run) for run in ended.order_by("-created_at")]


def _firsts() -> dict[str, datetime]:
    succeeded = BackupRun.objects.filter(kind__in=KINDS.values(), status=Status.SUCCEEDED)
    # The model's default ordering would group single runs.
    first = succeeded.order_by().values_list("database").annotate(Min("created_at"))
    return {database or MEDIA: time for database, time in first}


def _of_schedules(schedules: Sequence[BackupSchedule]) -> ScheduleFacts:
    late = [
        Unfinished(name=each.schedule.name, due_at=each.due_at, reason=each.reason, hint=each.hint)
        for each in overdue()
    ]
    names = {each.name for each in late}
    failed = [
        Unfinished(name=each.name, due_at=each.last_due_at, reason=each.problem)
        for each in schedules
        if each.problem and each.name not in names
    ]
    return ScheduleFacts(
        enabled=len(schedules),
        passed_at=last_pass(),
        first_due_at=first_due(),
        overdue=late,
        failed=failed,
    )


def _next_runs(schedules: Sequence[BackupSchedule]) -> dict[str, datetime]:
    """Return the next backup of each database, and of the media files."""
    found: dict[str, datetime] = {}
    for schedule in schedules:
        if schedule.action != Action.BACKUP or schedule.next_run_at is None:
            continue
        names = [*(schedule.databases or all_databases()), *([MEDIA] if schedule.media else [])]
        for name in names:
            found[name] = min(found.get(name, schedule.next_run_at), schedule.next_run_at)
    return found


def _active() -> list[RunFacts]:
    return [
        RunFacts(
            id=str(run.pk),
            words=wording.a_run(run.kind),
            database=run.database or MEDIA,
            status=run.status,
            since_at=run.started_at or run.created_at,
            is_gone=stale.is_gone(run),
        )
        for run in BackupRun.objects.active().defer("log", "options")
    ]
