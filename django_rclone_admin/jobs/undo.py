"""What a restore leaves behind so that it can be undone, and which restore is the one to be undone."""

from __future__ import annotations

from ..connectors.registry import get_connector
from ..models import ACTIVE, UNFINISHED, BackupRun, Kind, Status
from . import history
from .job import Job

KEPT = "kept"
"""In the options of a restore: the name under which the server keeps what was live."""
SAFETY = "safety"
"""The path of the backup that was made before."""
PUT_BACK = "put_back"
"""Of an undo: the kept name that becomes live again."""


def remember(job: Job, kept: str) -> None:
    """Write down, before anything is changed, how this restore can be undone.

    A process that dies right after the change has no time for it, and the next undo would go back too far.
    """
    job.run.options[UNFINISHED] = True
    if kept:
        job.run.options[KEPT] = kept
    job.save_options()


def forget(job: Job) -> None:
    """Say that the restore has come to its end: all of it, or nothing."""
    job.run.options.pop(UNFINISHED, None)


def last_restore(alias: str) -> BackupRun | None:
    """Return the last restore that changed a database, or may have, as far as the history knows."""
    if not history.has_table():
        return None
    runs = BackupRun.objects.filter(database=alias, kind=Kind.DB_RESTORE).exclude(status__in=ACTIVE)
    return next((run for run in runs.order_by("-created_at").defer("log") if _has_happened(run)), None)


def _has_happened(run: BackupRun) -> bool:
    """Whether a restore took effect. One whose process died can't say so; then the server knows, or nobody does."""
    if run.status == Status.SUCCEEDED:
        return True
    if kept := run.options.get(KEPT):
        return get_connector(run.database).has_kept(kept)
    return run.is_half_done
