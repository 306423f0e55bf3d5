"""Cancels runs, and closes stale ones."""

from __future__ import annotations

import contextlib

from django.db import DatabaseError
from django.utils.translation import gettext

from .. import clock
from ..cached_listing import renew_listing
from ..jobs import history, stale
from ..models.runs import BackupRun, Status


def cancel(run: BackupRun) -> None:
    """Request that a run stops, on whichever machine it is running; a queued run ends at once."""
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
    """Whether a run is marked as active, but its process has ended or writes no heartbeat."""
    return run.status == Status.RUNNING and run.heartbeat_at is not None and stale.is_gone(run)


def has_history() -> bool:
    """Whether the table of the run history exists; before ``manage.py migrate`` it does not."""
    return history.has_table()


def reap_stale() -> None:
    """Mark stale runs as interrupted, and release their locks.

    If a run has ended since the last call, in any process, the cached backup list is discarded.
    """
    stale.reap_stale()
    with contextlib.suppress(DatabaseError):
        renew_listing(BackupRun.objects.last_end())
