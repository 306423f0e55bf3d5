"""Records how a restore can be undone, and finds the restore that the next undo reverts."""

from __future__ import annotations

import dataclasses

from django.db.models import F

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
    """Record, before anything is changed, how this restore can be undone.

    A process killed right after the change could not record it, and the next undo would revert an earlier restore.
    """
    note(job.run, unfinished=True, kept=kept or UndoNotes.from_run(job.run).kept)
    if job.recorded:
        job.run.number = _next_number(job.run.database)
    job.save_options()


def clear_unfinished(job: Job) -> None:
    """Clear the “unfinished” mark: the restore committed or changed nothing."""
    note(job.run, unfinished=False)


def _next_number(alias: str) -> int:
    """Return the number of a restore that is about to change a database: the highest so far, independent of clocks."""
    numbers = BackupRun.objects.filter(database=alias, number__isnull=False)
    return (numbers.order_by("-number").values_list("number", flat=True).first() or 0) + 1


def last_restore(alias: str) -> BackupRun | None:
    """Return the last restore that changed a database, or may have, by the history."""
    if not history.has_table():
        return None
    runs = BackupRun.objects.filter(database=alias, kind=Kind.DB_RESTORE).exclude(status__in=ACTIVE)
    runs = runs.order_by(F("number").desc(nulls_last=True), "-created_at").defer("log")
    return next((run for run in runs if _has_happened(run)), None)


def unneeded_safety_backups(alias: str) -> set[str]:
    """Return the paths of the safety backups of restores that changed nothing, by the history."""
    if not history.has_table():
        return set()
    runs = BackupRun.objects.filter(database=alias, kind=Kind.DB_RESTORE).exclude(status__in=ACTIVE)
    return {UndoNotes.from_run(run).safety for run in runs.defer("log") if not _has_happened(run)}


def _has_happened(run: BackupRun) -> bool:
    """Whether a restore took effect. If its process died, the server is asked where that is possible."""
    if run.status == Status.SUCCEEDED:
        return True
    if kept := UndoNotes.from_run(run).kept:
        return get_connector(run.database).has_kept(kept)
    return run.is_half_done
