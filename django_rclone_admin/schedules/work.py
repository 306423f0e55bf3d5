"""Carries out a schedule step by step: one database after another, then the media files."""

from __future__ import annotations

import contextlib
import functools
import logging
import threading
import uuid
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from time import monotonic
from typing import Any

from .. import api, signals, wording
from ..exceptions import BackupError, Cancelled, Interrupted, NotChecked, gettext_noop
from ..models.runs import BackupRun, Origin, Status
from ..models.schedules import Action, BackupSchedule
from .aims import (
    action_of,
    has_media_to_back_up,
    has_media_to_prune,
    level_of,
    origin_of,
    to_back_up,
    to_check,
    to_prune,
)
from .beating import beating
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
    with beating(claim), _noting_runs(claim, report.runs):
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
            waiting = _attempt([step for step, _error in waiting], report)
    report.errors += [(step.name, error) for step, error in waiting]
    return report


def steps(schedule: BackupSchedule) -> list[Step]:
    """Return the steps of a schedule.

    :raises UsageError: its action or its list of databases is invalid.
    :raises RemoteError: the remote can't be listed.
    """
    return STEPS[action_of(schedule)](schedule)


def _backups(schedule: BackupSchedule) -> list[Step]:
    origin, group = origin_of(schedule), str(uuid.uuid4())
    common: dict[str, Any] = {"label": schedule.name, "origin": origin, "group": group}
    found = [
        Step(
            name=alias,
            work=_Backup(
                make=functools.partial(api.backup_database, alias, **common),
                level=schedule.level,
                clean=functools.partial(api.prune, alias, origin=origin) if schedule.clean else None,
            ),
        )
        for alias in to_back_up(schedule)
    ]
    if not has_media_to_back_up(schedule):
        return found
    clean = functools.partial(api.prune_media, origin=origin) if schedule.clean else None
    media = _Backup(make=functools.partial(api.backup_media, **common), level=schedule.level, clean=clean)
    return [*found, Step(name="media", work=media)]


class _Backup:
    """A backup, and the check and the clean-up that follow. After a check that failed, nothing is removed.

    Where another run is in the way, it is called again, and goes on from there: what was made is not made twice.
    """

    def __init__(
        self, *, make: Callable[[], BackupRun], level: str, clean: Callable[..., object] | None
    ) -> None:
        self._make, self._level, self._clean = make, level, clean
        self._run: BackupRun | None = None
        self._is_checked = False
        self._unchecked: NotChecked | None = None

    def __call__(self) -> None:
        if self._run is None:
            self._run = self._make()
        if self._level and not self._is_checked:
            try:
                api.verify_backup(self._run.path, level=self._level, origin=Origin.of(self._run))
            except NotChecked as error:
                self._unchecked = error
            self._is_checked = True
        if self._clean:
            self._clean(made=[self._run.path])
        if self._unchecked:
            raise self._unchecked


def _prunes(schedule: BackupSchedule) -> list[Step]:
    origin = origin_of(schedule)
    found = [
        Step(name=alias, work=functools.partial(api.prune, alias, origin=origin))
        for alias in to_prune(schedule)
    ]
    if has_media_to_prune(schedule):
        found.append(Step(name="media", work=functools.partial(api.prune_media, origin=origin)))
    return found


def _checks(schedule: BackupSchedule) -> list[Step]:
    level, origin = level_of(schedule), origin_of(schedule)
    return [
        Step(name=alias, work=functools.partial(api.verify_backup, each, level=level, origin=origin))
        for alias, each in to_check(schedule).items()
    ]


STEPS: dict[str, Callable[[BackupSchedule], list[Step]]] = {
    Action.BACKUP: _backups,
    Action.VERIFY: _checks,
    Action.PRUNE: _prunes,
}


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
