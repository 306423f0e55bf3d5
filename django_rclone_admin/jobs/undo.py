"""What a restore notes so that it can be undone, and which restore the next undo takes back."""

from __future__ import annotations

import dataclasses

from ..connectors.registry import get_connector
from ..models.runs import ACTIVE, BackupRun, Kind, Status
from . import history
from .job import Job
from .options import UndoNotes


def note(run: BackupRun, **values: object) -> None:
    """Change some of the undo notes of a run. Does not save."""
    names = {field.name for field in dataclasses.fields(UndoNotes)}
    others = {key: value for key, value in run.options.items() if key not in names}
    notes = dataclasses.replace(UndoNotes.from_run(run), **values)  # type: ignore[arg-type]
    run.options = {**others, **notes.as_dict()}


def mark_unfinished(job: Job, kept: str) -> None:
    """Write down, before anything is changed, how this restore can be undone.

    A process that dies right after the change has no time for it, and the next undo would go back too far.
    """
    note(job.run, unfinished=True, kept=kept or UndoNotes.from_run(job.run).kept)
    job.save_options()


def clear_unfinished(job: Job) -> None:
    """Clear the “unfinished” mark: the restore committed or changed nothing."""
    note(job.run, unfinished=False)


def last_restore(alias: str) -> BackupRun | None:
    """Return the last restore that changed a database, or may have, as far as the history knows."""
    if not history.has_table():
        return None
    runs = BackupRun.objects.filter(database=alias, kind=Kind.DB_RESTORE).exclude(status__in=ACTIVE)
    return next((run for run in runs.order_by("-created_at").defer("log") if _has_happened(run)), None)


def _has_happened(run: BackupRun) -> bool:
    """Whether a restore took effect. Where its process died, the server is asked if it can tell."""
    if run.status == Status.SUCCEEDED:
        return True
    if kept := UndoNotes.from_run(run).kept:
        return get_connector(run.database).has_kept(kept)
    return run.is_half_done
