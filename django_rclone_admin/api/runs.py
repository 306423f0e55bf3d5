"""Runs: cancelled, and closed when their process is gone."""

from __future__ import annotations

import contextlib

from django.db import DatabaseError
from django.utils.translation import gettext

from .. import clock
from ..cached_listing import renew_listing
from ..jobs import history, stale
from ..models.runs import BackupRun, Status


def cancel(run: BackupRun) -> None:
    """Ask a run to stop, on whichever machine it works; one that still waits ends at once."""
    now = clock.now()
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


def has_lost_its_process(run: BackupRun) -> bool:
    """Whether a run says that it works, but its process has ended or gives no heartbeat."""
    return run.status == Status.RUNNING and run.heartbeat_at is not None and stale.is_gone(run)


def has_history() -> bool:
    """Whether the table of the run history is there; it is not before ``manage.py migrate``."""
    return history.has_table()


def reap_stale() -> None:
    """Mark the runs whose process is gone as interrupted, and free their locks.

    If a run has ended since the last call, in whichever process, the next backup list asks the remote again.
    """
    stale.reap_stale()
    with contextlib.suppress(DatabaseError):
        renew_listing(BackupRun.objects.last_end())
