"""Stale runs: those whose process is gone. Whoever looks closes them."""

from __future__ import annotations

import os
import socket
import time
import uuid
from datetime import timedelta

from django.db import DatabaseError
from django.utils.translation import gettext as _

from .. import clock
from ..models.runs import UNTAKEN_AFTER, BackupRun, Status
from .history import has_table
from .options import UndoNotes

PULSE = 3.0
"""Seconds: a live run of this host writes its heartbeat more often than this."""


def reap(run: BackupRun, message: str = "") -> None:
    """Mark a run whose process is gone as interrupted, and free its lock.

    :param message: why; what is known from the row by default.
    """
    why, hint = _cause_of_death(run)
    run.end(Status.INTERRUPTED, message or why, hint)
    run.write_log(run.message)
    # Only if it has not beaten since: it may have been written a moment ago, by itself or by another reaper.
    BackupRun.objects.filter(
        pk=run.pk, status__in=[Status.QUEUED, Status.RUNNING], heartbeat_at=run.heartbeat_at
    ).update(
        status=run.status,
        message=run.message,
        hint=run.hint,
        log=run.log,
        lock=None,
        finished_at=run.finished_at,
    )


def _cause_of_death(run: BackupRun) -> tuple[str, str]:
    """Return as much as the row of a dead run tells, and a hint."""
    if run.status == Status.RUNNING:
        hint = _("Run it again. What it left on the remote is removed by the next backup.")
        if UndoNotes.from_run(run).unfinished:
            hint = _("The restore may have happened: see what the database holds before you run it again.")
        return _("The process that worked on it ended without a word."), hint
    if run.heartbeat_at:
        return _("The process in which it waited ended before it had begun."), _(
            "Nothing was done. Run it again."
        )
    return (
        _("No worker has begun it within %(hours)d hours.") % {"hours": UNTAKEN_AFTER // timedelta(hours=1)},
        _("Nothing was done. See that a worker of the task queue runs, then run it again."),
    )


def reap_stale() -> None:
    """Mark all runs whose heart stopped; called by whoever looks at the history."""
    for run in BackupRun.objects.stale():
        reap(run)


def is_over(run_id: str) -> bool | None:
    """Whether a run has ended, by its id; ``None`` when nothing is known of it."""
    if not has_table():
        return None
    try:
        run = BackupRun.objects.filter(pk=uuid.UUID(run_id)).first()
    except (ValueError, DatabaseError):
        return None
    if run is None:
        return None
    if run.is_active and is_gone(run):  # a part of another run, such as a safety backup, holds no lock
        reap(run)
        return True
    return not run.is_active


def is_gone(run: BackupRun) -> bool:
    """Whether the holder of a lock has ended, or its process has.

    A dead process of this host is certain only after a heartbeat's time: the number may come from another container
    that shares our host name. So wait for one more beat.
    """
    if not run.is_active:
        return True
    if BackupRun.objects.stale().filter(pk=run.pk).exists():
        return True
    if run.host != socket.gethostname() or run.pid is None or _process_exists(run.pid):
        return False
    assert run.heartbeat_at is not None
    seen = run.heartbeat_at
    while clock.now() - seen < timedelta(seconds=PULSE):
        time.sleep(0.2)
        run.refresh_from_db()
        if run.heartbeat_at != seen or not run.is_active:
            return not run.is_active
    return True


def _process_exists(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except OSError:
        return True
    return True
