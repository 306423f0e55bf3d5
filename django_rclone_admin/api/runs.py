"""Runs: cancelled, and closed when their process is gone."""

from __future__ import annotations

from django.utils import timezone
from django.utils.translation import gettext

from ..jobs import stale
from ..models.runs import BackupRun, Status


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
    stale.reap_stale()
