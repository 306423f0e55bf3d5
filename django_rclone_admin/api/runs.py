"""Runs: cancelled, and closed when their process is gone."""

from __future__ import annotations

from datetime import datetime, timedelta

from django.utils.translation import gettext

from .. import clock
from ..conf import get_settings
from ..jobs import stale
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
    """Whether a run says that it works, but has not beaten for ``STALE_AFTER`` seconds."""
    beat: datetime | None = run.heartbeat_at
    if run.status != Status.RUNNING or beat is None:
        return False
    return clock.now() - beat > timedelta(seconds=get_settings().stale_after)


def reap_stale() -> None:
    """Mark the runs whose process is gone as interrupted, and free their locks."""
    stale.reap_stale()
