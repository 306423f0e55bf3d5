"""The replacement for a backup list that can't be loaded: the error, and the last backups by the run history."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from django.db import DatabaseError
from django.utils.translation import gettext as _

from .. import api, wording
from ..models import BackupRun, Kind, Status

SEEN = 500
"""How many recent backups are searched for the last one of each database."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LastBackup:
    """The last successful backup, from the run history."""

    of: str
    taken_at: datetime
    size: int | None
    name: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Unlisted:
    """The content shown instead of the list."""

    sentence: str
    hint: str
    backups: Sequence[LastBackup]


def unlisted(error: Exception) -> Unlisted:
    """Return the content to show instead of the list."""
    sentence, hint = wording.describe(error)
    return Unlisted(sentence=sentence, hint=hint, backups=_last_backups())


def _last_backups() -> list[LastBackup]:
    if not api.has_history():
        return []
    kinds = (Kind.DB_BACKUP, Kind.MEDIA_BACKUP)
    runs = BackupRun.objects.filter(kind__in=kinds, status=Status.SUCCEEDED).exclude(path="").defer("log")
    found: dict[tuple[str, str], LastBackup] = {}
    try:
        for run in runs.order_by("-created_at")[:SEEN]:
            of = _("media files") if run.kind == Kind.MEDIA_BACKUP else run.database
            last = LastBackup(of=of, taken_at=run.created_at, size=run.size, name=run.path.rpartition("/")[2])
            found.setdefault((run.kind, run.database), last)
    except DatabaseError:
        return []
    return sorted(found.values(), key=lambda each: each.of)
