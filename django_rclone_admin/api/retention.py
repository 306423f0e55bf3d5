"""The retention rules: a preview of what they remove, and the clean-up by them."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import groupby

from django.utils import timezone

from .. import clock
from ..conf import get_settings
from ..connectors.registry import is_database, no_database
from ..core.catalog import StoredObject
from ..core.forecast import forecast, rhythm
from ..core.retention import Decision, RetentionPolicy, decide
from ..jobs.cleaning import clean_up
from ..jobs.dispatch import enqueue
from ..jobs.prune import decide_by_settings
from ..models.runs import API, BackupRun, Kind, Origin
from ..remote import has_media
from .backups import list_backups, list_databases
from .media import list_media


@dataclass(frozen=True, slots=True, kw_only=True)
class RetentionPreview:
    """The effect of the rules on the backups of one database, or on the media backups."""

    database: str
    """Its alias, or ``media``."""
    decisions: list[Decision]
    """On each backup, newest first: what a clean-up would do now, with reasons."""
    goes_at: dict[str, datetime]
    """When each will be removed, by name, if backups continue at this interval; those that stay are left out."""
    every: timedelta
    """The usual interval between two backups, used for the forecast."""

    @property
    def stored(self) -> int:
        """Total size in bytes."""
        return sum(each.backup.total_size for each in self.decisions)

    @property
    def kept(self) -> int:
        """Total size in bytes after a clean-up."""
        return sum(each.backup.total_size for each in self.decisions if each.keep)


def retention_rules() -> dict[str, float]:
    """Return the active retention rules of the settings, by name."""
    settings = get_settings()
    return {"last": settings.db_cleanup_keep, **settings.retention}


def preview_retention(rules: Mapping[str, float] | None = None) -> list[RetentionPreview]:
    """Return what a clean-up would remove now, and what later ones will; nothing is changed.

    :param rules: rules to try; by default those of the settings.
    :raises UsageError: the rules would keep nothing.
    :raises RemoteError: the remote can't be listed.
    """
    policy = RetentionPolicy(**(retention_rules() if rules is None else rules))  # type: ignore[arg-type]
    backups = sorted(
        [*list_backups(), *(list_media() if has_media() else [])], key=lambda each: each.database
    )
    return [_preview(name, list(each), policy) for name, each in groupby(backups, lambda each: each.database)]


def _preview(database: str, backups: list[StoredObject], policy: RetentionPolicy) -> RetentionPreview:
    now, zone, every = clock.now(), timezone.get_default_timezone(), rhythm(backups)
    return RetentionPreview(
        database=database,
        decisions=decide(backups, policy, now, zone=zone),
        goes_at=forecast(backups, policy, now, every=every, zone=zone),
        every=every,
    )


def prune(
    database: str, *, dry_run: bool = False, made: Collection[str] = (), origin: Origin = API
) -> list[Decision]:
    """Remove the backups of a database that the retention rules do not keep; return the decision on each, with reasons.

    :param dry_run: only decide.
    :param made: paths of backups just made: they are kept, and so are all that were stored later, whatever the clock
        says.
    :raises RunInProgress: another run locks the database.
    """
    if dry_run:
        return decide_by_settings(list_backups(database), made)
    _require_backups(database)
    return clean_up(database, origin, made=made)


def start_prune(database: str, *, origin: Origin = API) -> BackupRun:
    """Queue a clean-up of the backups of a database, and return its run at once; see :func:`prune`.

    :raises UsageError: the alias is not configured, and no backup is of it.
    :raises RunInProgress: another run locks the database.
    """
    _require_backups(database)
    return enqueue(BackupRun(kind=Kind.PRUNE, database=database, **origin.as_fields()))


def _require_backups(database: str) -> None:
    """Refuse an alias that is not configured and that no backup is of."""
    if not is_database(database) and database not in (known := list_databases()):
        raise no_database(database, known)
