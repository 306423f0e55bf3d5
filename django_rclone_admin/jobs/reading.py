"""Protects backups that a run is reading: they are neither cleaned up nor deleted."""

from __future__ import annotations

from collections.abc import Iterable

from django.db import DatabaseError

from ..exceptions import BackupError, gettext_noop
from ..models.runs import READERS, BackupRun, Kind
from . import history
from .stale import is_gone

READING = (*READERS, Kind.DB_RESTORE, Kind.MEDIA_RESTORE)
"""The kinds of runs that read a backup from the remote."""


class BackupInUse(BackupError):
    """A run is reading the backup."""

    exit_code = 3
    default_hint = gettext_noop("Wait until that run ends, or cancel it.")


def being_read() -> dict[str, BackupRun]:
    """Return the active runs that read a backup, by the path of the backup, as far as the history knows."""
    if not history.has_table():
        return {}
    runs = BackupRun.objects.active().filter(kind__in=READING).exclude(path="").defer("log")
    try:
        return {run.path: run for run in runs if not is_gone(run)}
    except DatabaseError:
        return {}


def refuse_being_read(paths: Iterable[str]) -> None:
    """Refuse to delete backups that a run is reading.

    :raises BackupInUse: a run is reading one of them.
    """
    runs = being_read()
    for path in paths:
        if run := runs.get(path):
            raise BackupInUse(
                gettext_noop("The backup %(name)s is being read: %(kind)s."),
                name=path.rpartition("/")[2],
                kind=str(run.get_kind_display()),
            )
