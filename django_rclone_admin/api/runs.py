"""Runs: done here and now, queued with the executor, carried out, stopped."""

from __future__ import annotations

import functools
import logging
from collections.abc import Callable

from django.db import transaction
from django.utils import timezone
from django.utils.translation import gettext

from ..engine.media import NAME
from ..engine.retention import Decision
from ..exceptions import BackupError, gettext_noop
from ..executors import Executor, get_executor
from ..jobs import history, shutdown
from ..jobs.backup import back_up
from ..jobs.job import Job, Progress, carry_out
from ..jobs.media import back_up_media
from ..jobs.prune import prune as prune_job
from ..jobs.prune_media import prune_media as prune_media_job
from ..jobs.prune_media import prune_versions
from ..jobs.restore import put_back, restore
from ..jobs.restore_media import restore_media
from ..jobs.undo import PUT_BACK
from ..jobs.waiting import waiting
from ..models import BackupRun, Kind, Status

logger = logging.getLogger("django_rclone_admin")


WORK: dict[str, Callable[[Job], str]] = {
    Kind.DB_BACKUP: back_up,
    Kind.DB_RESTORE: restore,
    Kind.MEDIA_BACKUP: back_up_media,
    Kind.MEDIA_RESTORE: restore_media,
    Kind.PRUNE: prune_versions,
}
"""What carries out a queued run, by its kind; everything else that it needs is in the run's row."""


def do(run: BackupRun, work: Callable[[Job], str], progress: Progress | None = None) -> BackupRun:
    """Claim the database and do the work here and now.

    :raises RunInProgress: another run holds the database.
    :raises BackupError: it failed.
    """
    run.status, run.lock = Status.RUNNING, run.lock_name
    history.begin(run, recorded=history.will_record(run))
    return carry_out(run, work, progress=progress)


def queue(run: BackupRun) -> BackupRun:
    """Claim the database and hand the work to the executor, once what is being written is committed.

    :raises RunInProgress: another run holds the database.
    :raises BackupError: the executor did not take it.
    """
    run.lock = run.lock_name
    executor = get_executor()
    history.enqueue(run, executor)
    # Before that, neither another thread nor another process sees the row.
    transaction.on_commit(functools.partial(_submit, run, executor), using=history.database())
    return run


def _submit(run: BackupRun, executor: Executor) -> None:
    if executor.in_process:
        shutdown.watch_exit()
        waiting.add(str(run.pk))
    try:
        executor.submit(carry_out_queued, str(run.pk))
    except Exception as error:
        waiting.remove(str(run.pk))
        run.refresh_from_db()
        if run.status != Status.QUEUED:
            raise  # it was taken at once, and has ended with an error of its own
        history.reap(run, gettext("The executor did not take it."))
        raise BackupError(
            gettext_noop("The executor did not take the run: %(reason)s"),
            hint=gettext_noop(
                "Nothing was done. See that what EXECUTOR needs is running, such as the server of its queue."
            ),
            reason=" ".join(str(error).split()),
        ) from error


def carry_out_queued(run_id: str) -> bool:
    """Carry out one queued run; what executors call. Its outcome is in its row; false when no such run is queued."""
    try:
        if not history.begin_queued(run_id):
            return False
        run = BackupRun.objects.get(pk=run_id)
        carry_out(run, put_back if PUT_BACK in run.options else WORK[run.kind])
        if run.options.get("clean"):
            if run.kind == Kind.MEDIA_BACKUP:
                clean_up_media(trigger=run.trigger, requested_by=run.requested_by)
            else:
                clean_up(run.database, trigger=run.trigger, requested_by=run.requested_by)
    except BackupError as error:
        logger.warning("%s failed: %s", run, error)
    finally:
        waiting.remove(run_id)
    return True


def cancel(run: BackupRun) -> None:
    """Ask a run to stop, on whichever machine it works; one that still waits ends at once."""
    now = timezone.now()
    waiting = BackupRun.objects.filter(pk=run.pk, status=Status.QUEUED)
    if waiting.update(
        status=Status.CANCELLED,
        lock=None,
        cancel_requested_at=now,
        finished_at=now,
        message=gettext("Cancelled."),
    ):
        return
    BackupRun.objects.filter(pk=run.pk, status=Status.RUNNING).update(cancel_requested_at=now)


def reap_stale() -> None:
    """Mark the runs whose process is gone as interrupted, and free their locks."""
    history.reap_stale()


def clean_up(database: str, *, trigger: str, requested_by: str) -> list[Decision]:
    """Remove what the retention does not keep of a database, as a run of its own."""
    decisions: list[Decision] = []
    run = BackupRun(kind=Kind.PRUNE, database=database, trigger=trigger, requested_by=requested_by)
    do(run, functools.partial(prune_job, decisions=decisions))
    return decisions


def clean_up_media(*, trigger: str, requested_by: str) -> list[Decision]:
    """Remove the media backups that the retention does not keep, as a run of its own."""
    decisions: list[Decision] = []
    run = BackupRun(kind=Kind.PRUNE, database=NAME, trigger=trigger, requested_by=requested_by)
    do(run, functools.partial(prune_media_job, decisions=decisions))
    return decisions
