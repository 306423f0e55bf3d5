"""Starts runs that are carried out before the caller goes on."""

from __future__ import annotations

from collections.abc import Callable

from .. import signals, wording
from ..exceptions import BackupError
from ..models.runs import BackupRun, Status
from . import history, lock
from .job import Job, Progress, carry_out


def run_now(run: BackupRun, work: Callable[[Job], str], progress: Progress | None = None) -> BackupRun:
    """Lock the database and do the work before returning.

    :raises RunInProgress: another run locks the database.
    :raises BackupError: it failed.
    """
    run.status, run.lock = Status.RUNNING, run.lock_name
    lock.begin(run, recorded=_will_record(run))
    return carry_out(run, work, progress=progress)


def _will_record(run: BackupRun) -> bool:
    """Whether the run will be recorded. If it can't begin, ``run_failed`` is sent."""
    try:
        return history.will_record(run)
    except BackupError as error:
        run.end(Status.FAILED, *wording.describe(error))
        signals.run_failed.send_robust(sender=BackupRun, run=run, exception=error)
        raise
