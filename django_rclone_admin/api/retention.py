"""The retention rules, and a preview of what they remove."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import groupby

from django.utils import timezone

from .. import clock
from ..conf import get_settings
from ..core.catalog import StoredObject
from ..core.forecast import forecast, rhythm
from ..core.retention import Decision, RetentionPolicy, decide
from ..remote import has_media
from .backups import list_backups
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
