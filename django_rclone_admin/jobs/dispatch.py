"""Queues runs with the executor; they are carried out later."""

from __future__ import annotations

import functools
import logging

from django.db import transaction
from django.utils.translation import gettext

from ..exceptions import BackupError, gettext_noop
from ..executors import Executor, ProcessExecutor, get_executor
from ..models.runs import BackupRun, Status
from . import history, lock, stale
from .process_exit import watch_exit
from .waiting import waiting

logger = logging.getLogger("django_rclone_admin")


def enqueue(run: BackupRun) -> BackupRun:
    """Lock the database and submit the run to the executor, once the current transaction is committed.

    :raises RunInProgress: another run locks the database.
    :raises BackupError: the executor failed.
    """
    run.lock = run.lock_name
    executor = get_executor()
    lock.enqueue(run, executor)
    # Other threads and processes don't see the row before the commit.
    transaction.on_commit(functools.partial(_submit, run, executor), using=history.database())
    return run


def _submit(run: BackupRun, executor: Executor) -> None:
    from .queued import carry_out_queued  # with the work of every kind: only for who queues a run

    if isinstance(executor, ProcessExecutor):
        executor.ended = _process_ended
    if executor.in_process:
        watch_exit()
        waiting.add(str(run.pk))
    try:
        executor.submit(carry_out_queued, str(run.pk))
    except Exception as error:
        waiting.remove(str(run.pk))
        run.refresh_from_db()
        if run.status != Status.QUEUED:
            raise  # it was executed at once, and failed with its own error
        stale.reap(run, gettext("The run could not be queued."))
        raise BackupError(
            gettext_noop("The run could not be queued: %(reason)s"),
            hint=gettext_noop("Nothing was done. Check that the service behind EXECUTOR is running."),
            reason=" ".join(str(error).split()),
        ) from error


def _process_ended(run_id: str, status: int, words: str) -> None:
    """Close a run whose process ended early."""
    run = BackupRun.objects.filter(pk=run_id).first()
    if run is None or not run.is_active:
        return
    values = {"status": status, "words": words or "-"}
    logger.error("The process of the run %s ended with %s: %s", run_id, status, words)
    if run.status == Status.QUEUED:
        stale.reap(run, gettext("Its process ended with %(status)s before it had begun: %(words)s") % values)
    elif stale.is_gone(run):
        stale.reap(run)
