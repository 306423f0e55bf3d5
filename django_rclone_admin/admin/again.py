"""Repeats a run from its page: which kinds can be repeated, by whom, and with which options."""

from __future__ import annotations

from typing import Any

from .. import api
from ..models import BackupRun, Kind, Origin
from .choices import RestoreChoices

BACKUPS, RESTORES = (Kind.DB_BACKUP, Kind.MEDIA_BACKUP), (Kind.DB_RESTORE, Kind.MEDIA_RESTORE)
AGAIN = (*BACKUPS, *RESTORES, Kind.VERIFY)
"""The kinds that can be repeated."""


def verb_of(run: BackupRun) -> str:
    """Return the permission that repeating a run requires."""
    if run.kind == Kind.VERIFY:
        return "verify"
    return "restore" if run.kind in RESTORES else "run"


def start_again(run: BackupRun, origin: Origin) -> BackupRun:
    """Start the same backup, or the same check, with all of its options."""
    if run.kind == Kind.VERIFY:
        return api.start_verify_backup(run.path, level=run.options.get("level", "structure"), origin=origin)
    options = {
        "label": run.label,
        "clean": run.options.get("clean", False),
        "level": run.options.get("level", ""),
        "group": run.options.get("group", ""),
        "origin": origin,
    }
    if run.kind == Kind.MEDIA_BACKUP:
        return api.start_backup_media(**options, full=run.options.get("full", False))
    return api.start_backup_database(run.database, **options)


def restore_again(run: BackupRun) -> dict[str, Any]:
    """Return the parameters of the confirmation that repeats a run's restore."""
    if run.kind == Kind.DB_RESTORE:
        return {"path": run.path, **RestoreChoices.of_run(run).fields}
    exact = "yes" if run.options.get("exact") else ""
    return {"path": run.path, "exact": exact, "file": run.options.get("files")}
