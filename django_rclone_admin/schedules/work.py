"""Carries out a schedule step by step: one database after another, then the media files."""

from __future__ import annotations

import contextlib
import logging
import threading
import uuid
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from time import monotonic

from .. import api, signals, wording
from ..exceptions import BackupError, Cancelled, Interrupted, NotChecked, UsageError, gettext_noop
from ..models.runs import BackupRun, Origin, Status, Trigger
from ..models.schedules import Action, BackupSchedule
from .due import Claim

logger = logging.getLogger("django_rclone_admin")

LOCK_PATIENCE = 15 * 60.0
"""How long to wait for another run that locks a database."""
LOOK_AGAIN = 10.0
"""Seconds between two checks of such a lock."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """A part of the work that succeeds or fails independently."""

    name: str
    """The alias of a database, or ``media``."""
    work: Callable[[], object]


@dataclass(slots=True, kw_only=True)
class Report:
    """The results of a schedule."""

    runs: list[BackupRun] = field(default_factory=list)
    errors: list[tuple[str, BackupError]] = field(default_factory=list)
    """The errors, each with the name of its step; without a name, the whole schedule failed."""

    @property
    def problem(self) -> str:
        """All errors in one text; empty if there were none."""
        lines = ((name, wording.describe(error)[0]) for name, error in self.errors)
        return "\n".join(f"{name}: {sentence}" if name else sentence for name, sentence in lines)

    @property
    def telling(self) -> BackupRun | None:
        """The most important run: the first that failed, else the first."""
        failed = [run for run in self.runs if run.status != Status.SUCCEEDED]
        return next(iter([*failed, *self.runs]), None)


def work(claim: Claim, stop: threading.Event) -> Report:
    """Carry out a schedule that this process has claimed. A failed step does not stop the others.

    :param stop: ends a wait for a lock.
    :raises Interrupted: this process is ending.
    """
    report = Report()
    with _noting_runs(claim, report.runs):
        try:
            waiting = _attempt(steps(claim.schedule), report)
        except BackupError as error:
            if isinstance(error, Interrupted):
                raise
            report.errors.append(("", error))
            return report
        until = monotonic() + LOCK_PATIENCE
        while waiting and monotonic() < until:
            if stop.wait(LOOK_AGAIN):
                raise Interrupted(gettext_noop("The process that worked on it was shut down."))
            claim.beat()
            waiting = _attempt([step for step, _error in waiting], report)
    report.errors += [(step.name, error) for step, error in waiting]
    return report


def steps(schedule: BackupSchedule) -> list[Step]:
    """Return the steps of a schedule.

    :raises UsageError: its action or its list of databases is invalid.
    :raises RemoteError: the remote can't be listed.
    """
    chosen = schedule.databases
    if not isinstance(chosen, list) or not all(isinstance(each, str) for each in chosen):
        raise UsageError(
            gettext_noop("The list of databases of this schedule can't be read."),
            hint=gettext_noop("Choose the databases again, on the page of the schedule."),
        )
    if schedule.action not in STEPS:
        raise UsageError(
            gettext_noop("“%(action)s” is not an action of a schedule."),
            hint=gettext_noop("Choose the action again, on the page of the schedule."),
            action=schedule.action,
        )
    return STEPS[schedule.action](schedule, chosen)


def _backups(schedule: BackupSchedule, chosen: list[str]) -> list[Step]:
    origin, group = _origin(schedule), str(uuid.uuid4())

    def database(alias: str) -> None:
        run = api.backup_database(alias, label=schedule.name, origin=origin, group=group)
        _afterwards(schedule, run, lambda: api.prune(alias, made=[run.path], origin=origin))

    def media() -> None:
        run = api.backup_media(label=schedule.name, origin=origin, group=group)
        _afterwards(schedule, run, lambda: api.prune_media(made=[run.path], origin=origin))

    found = [_of(alias, database) for alias in dict.fromkeys(chosen or api.all_databases())]
    # A site that never had media files has nothing to back up; missing files after an earlier backup are a problem.
    has_media = schedule.media and (api.has_media_files() or (api.has_media() and bool(api.list_media())))
    return [*found, *([Step(name="media", work=media)] if has_media else [])]


def _afterwards(schedule: BackupSchedule, run: BackupRun, clean: Callable[[], object]) -> None:
    """Check a new backup, and clean up, as the schedule says. After a failed check, nothing is removed."""
    unchecked: NotChecked | None = None
    if schedule.level:
        try:
            api.verify_backup(run.path, level=schedule.level, origin=_origin(schedule))
        except NotChecked as error:
            unchecked = error
    if schedule.clean:
        clean()
    if unchecked:
        raise unchecked


def _prunes(schedule: BackupSchedule, chosen: list[str]) -> list[Step]:
    origin = _origin(schedule)
    # Like “prunebackups”: including databases that were removed from the settings.
    databases = chosen or sorted({each.database for each in api.list_backups()})
    found = [_of(alias, lambda alias: api.prune(alias, origin=origin)) for alias in databases]
    has_media = schedule.media and api.has_media() and bool(api.list_media())
    return [*found, *([Step(name="media", work=lambda: api.prune_media(origin=origin))] if has_media else [])]


def _checks(schedule: BackupSchedule, chosen: list[str]) -> list[Step]:
    origin, found = _origin(schedule), to_check(schedule, chosen)

    def check(alias: str) -> None:
        api.verify_backup(found[alias], level=level_of(schedule), origin=origin)

    return [_of(alias, check) for alias in found]


def level_of(schedule: BackupSchedule) -> str:
    """Return the level of the checks of a schedule."""
    return schedule.level or "structure"


def to_check(schedule: BackupSchedule, chosen: list[str]) -> dict[str, api.StoredObject]:
    """Return the backup of each database that needs a check most; the others follow at later times."""
    found: dict[str, api.StoredObject] = {}
    for each in api.choose_for_check("due", level=level_of(schedule)):
        is_wanted = schedule.media if each.kind == "media" else not chosen or each.database in chosen
        if is_wanted:
            found.setdefault(each.database, each)
    return found


STEPS: dict[str, Callable[[BackupSchedule, list[str]], list[Step]]] = {
    Action.BACKUP: _backups,
    Action.VERIFY: _checks,
    Action.PRUNE: _prunes,
}


def _of(alias: str, function: Callable[[str], object]) -> Step:
    return Step(name=alias, work=lambda: function(alias))


def _origin(schedule: BackupSchedule) -> Origin:
    return Origin(trigger=Trigger.SCHEDULE, requested_by=schedule.name)


def _attempt(todo: list[Step], report: Report) -> list[tuple[Step, BackupError]]:
    """Try each step; return those that wait for another run, with the reason."""
    waiting: list[tuple[Step, BackupError]] = []
    for step in todo:
        try:
            step.work()
        except api.RunInProgress as error:
            waiting.append((step, error))
        except BackupError as error:
            if isinstance(error, Interrupted) or (
                isinstance(error, Cancelled) and not _is_of_a_person(report)
            ):
                raise
            report.errors.append((step.name, error))
        except Exception as error:
            logger.exception("A schedule failed at “%s”.", step.name)
            report.errors.append((step.name, unexpected(error)))
    return waiting


def _is_of_a_person(report: Report) -> bool:
    """Whether a person has cancelled the current run, rather than this process."""
    if not report.runs:
        return False
    asked = BackupRun.objects.filter(pk=report.runs[-1].pk, cancel_requested_at__isnull=False)
    return asked.exists()


def unexpected(error: Exception) -> BackupError:
    """Return an error of another package as a :class:`BackupError`."""
    return BackupError(
        gettext_noop("It failed with an unexpected error: %(reason)s"),
        hint=gettext_noop("The log of the site has more details."),
        reason=" ".join(str(error).split()) or type(error).__name__,
    )


@contextlib.contextmanager
def _noting_runs(claim: Claim, runs: list[BackupRun]) -> Iterator[None]:
    """Collect the runs that this thread starts, and record them at the schedule."""
    here = threading.get_ident()

    def note(run: BackupRun, **values: object) -> None:
        if threading.get_ident() == here:
            runs.append(run)
            claim.note_run(run)

    signals.run_started.connect(note, weak=False)
    try:
        yield
    finally:
        signals.run_started.disconnect(note)
