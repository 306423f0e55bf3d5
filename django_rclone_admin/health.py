"""Is the site safe? One answer for each database and one for the media files, from the listing and the history."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from enum import IntEnum
from pathlib import Path

from django.conf import settings as django_settings
from django.core.cache import cache
from django.db import DatabaseError
from django.utils import timezone
from django.utils.timesince import timesince
from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from . import clock, wording
from .cached_listing import PAGE_TIMEOUT, cache_key, cached_objects, with_manifests
from .conf import get_settings
from .connectors.registry import all_databases, get_connector
from .core.catalog import State, StoredObject, latest
from .core.file_lists import NAME
from .exceptions import BackupError
from .jobs import history
from .models.runs import BackupRun, Kind, Status
from .remote import get_rclone
from .single_flight import once

DAYS = 30
"""How far back the strip of days and the trend of sizes go."""
REMOTE_SECONDS = 300
"""How long the version of rclone and the free space are remembered."""
DEFAULTS = {"max_age_hours": 26, "max_size_drop_percent": 50, "min_size": 1}


class Level(IntEnum):
    """As monitoring plugins count."""

    OK = 0
    WARNING = 1
    CRITICAL = 2
    UNKNOWN = 3

    @property
    def slug(self) -> str:
        """The name, for style sheets and JSON."""
        return self.name.lower()


@dataclass(frozen=True, slots=True, kw_only=True)
class Day:
    """One day of the strip."""

    day: date
    state: str
    """``ok``: a backup was taken; ``failed``: one was tried, none succeeded; ``none``."""


@dataclass(frozen=True, slots=True, kw_only=True)
class DatabaseHealth:
    """How safe one database is, or the media files."""

    database: str
    """Its alias, or ``media``."""
    vendor: str
    level: Level
    reason: str
    """Why it is not ``OK``; empty when it is."""
    last: StoredObject | None
    """The newest backup that a restore would take."""
    sizes: list[int] = field(default_factory=list)
    """Bytes of its last backups, oldest first."""
    days: list[Day] = field(default_factory=list)
    kind: str = "database"


@dataclass(frozen=True, slots=True, kw_only=True)
class Health:
    """How safe the site is."""

    level: Level
    sentence: str
    detail: str
    remote: str
    """The remote as people may see it."""
    databases: list[DatabaseHealth] = field(default_factory=list)
    media: DatabaseHealth | None = None
    """``None`` where there are no media files to lose."""
    hint: str = ""
    version: str = ""
    free: int | None = None
    """Bytes free on the remote, where it can tell."""

    @property
    def parts(self) -> list[DatabaseHealth]:
        """All that was judged."""
        return [*self.databases, *([self.media] if self.media else [])]


def check() -> Health:
    """Look at the remote and at the history, and judge. A remote that does not answer is a finding, not an error."""
    remote = get_rclone().label
    try:
        objects = cached_objects()
        databases = [_check_database(alias, objects) for alias in all_databases()]
        media = _check_media(objects)
        version, free = _about_remote()
    except BackupError as error:
        sentence, hint = wording.describe(error)
        return Health(
            level=Level.CRITICAL,
            sentence=_("The remote does not answer."),
            detail=sentence,
            hint=hint,
            remote=remote,
        )
    parts = [*databases, *([media] if media else [])]
    sentence, detail = _headline(parts)
    return Health(
        level=max((each.level for each in parts), default=Level.UNKNOWN),
        sentence=sentence,
        detail=detail,
        databases=databases,
        media=media,
        remote=remote,
        version=version,
        free=free,
    )


def _check_database(alias: str, objects: Sequence[StoredObject]) -> DatabaseHealth:
    mine = [each for each in objects if (each.kind, each.database) == ("database", alias) and each.taken_at]
    runs = _recent_runs(kind=Kind.DB_BACKUP, database=alias)
    return _check(alias, get_connector(alias).vendor_name, mine, runs)


def _check_media(objects: Sequence[StoredObject]) -> DatabaseHealth | None:
    """Judge the media files as a database, if there are any here or on the remote and the settings want it."""
    # One without a manifest can't be restored.
    mine = [each for each in objects if each.kind == "media" and each.taken_at and each.has_manifest]
    if get_settings().health.get(NAME) is False or not (mine or has_media_files()):
        return None
    return _check(NAME, "", mine, _recent_runs(kind=Kind.MEDIA_BACKUP), kind="media")


def has_media_files() -> bool:
    """Whether there is anything to lose; of files in object storage that is taken for granted."""
    if get_settings().media_source:
        return True
    try:
        return bool(django_settings.MEDIA_ROOT) and any(Path(django_settings.MEDIA_ROOT).iterdir())
    except OSError:
        return False


def _check(
    alias: str,
    vendor: str,
    mine: Sequence[StoredObject],
    runs: Sequence[tuple[str, datetime]],
    *,
    kind: str = "database",
) -> DatabaseHealth:
    now = clock.now()
    in_time = [each for each in mine if not each.is_ahead(now)]
    # The listing alone does not tell damaged backups, nor those that were made before a restore.
    newest = with_manifests(in_time[:DAYS])
    last = latest(newest, alias) or latest(in_time[DAYS:], alias)
    level, reason = _judge(alias, newest, last, runs, ahead=len(mine) - len(in_time))
    good = [each for each in reversed(newest) if not each.is_safety and each.state is not State.DAMAGED]
    return DatabaseHealth(
        database=alias,
        vendor=vendor,
        level=level,
        reason=reason,
        last=last,
        sizes=[each.total_size for each in good],
        days=_strip([*newest, *in_time[DAYS:]], runs),
        kind=kind,
    )


def _judge(
    alias: str,
    newest: Sequence[StoredObject],
    last: StoredObject | None,
    runs: Sequence[tuple[str, datetime]],
    *,
    ahead: int,
) -> tuple[Level, str]:
    limits = {**DEFAULTS, **get_settings().health}
    limits |= limits.get(alias, {}) if isinstance(limits.get(alias), dict) else {}
    if last is None or last.taken_at is None:
        if ahead:
            return Level.CRITICAL, _("There is no backup but such with a time in the future.")
        return Level.CRITICAL, _("There is no backup.")
    age = clock.now() - last.taken_at
    if age > timedelta(hours=limits["max_age_hours"]):
        return Level.CRITICAL, _("The last backup is %(time)s old.") % {"time": timesince(last.taken_at)}
    is_empty_folder = bool(last.manifest and last.manifest.files == 0)
    if last.total_size < limits["min_size"] and not is_empty_folder:
        return Level.CRITICAL, _("The last backup is too small.")
    if ahead:
        return Level.WARNING, ngettext(
            "%(count)d backup has a time in the future: a clock was wrong.",
            "%(count)d backups have a time in the future: a clock was wrong.",
            ahead,
        ) % {"count": ahead}
    if newest[0].state is State.DAMAGED:
        return Level.WARNING, _("The newest backup is damaged; an older one is good.")
    if runs and runs[0][0] != Status.SUCCEEDED and runs[0][1] > last.taken_at:
        return Level.WARNING, _("The last run did not succeed.")
    earlier = [each for each in newest if each.name != last.name and each.state is State.COMPLETE]
    drop = 1 - limits["max_size_drop_percent"] / 100
    if earlier and last.total_size < earlier[0].total_size * drop:
        return Level.WARNING, _("The last backup is much smaller than the one before it.")
    if last.state is State.LEGACY:
        return Level.WARNING, _("The last backup can't be checked: it has no manifest.")
    return Level.OK, ""


def _recent_runs(**which: str) -> list[tuple[str, datetime]]:
    """Return status and time of the backups of the last days that have ended, newest first.

    What somebody cancelled was ended on purpose: that is no failure.
    """
    if not history.has_table():
        return []
    since = clock.now() - timedelta(days=DAYS)
    ended = BackupRun.objects.filter(**which, created_at__gte=since).exclude(
        status__in=[Status.QUEUED, Status.RUNNING, Status.CANCELLED]
    )
    try:
        return list(ended.order_by("-created_at").values_list("status", "created_at"))
    except DatabaseError:
        return []


def _strip(mine: Sequence[StoredObject], runs: Sequence[tuple[str, datetime]]) -> list[Day]:
    today = timezone.localtime(clock.now()).date()
    good = {timezone.localtime(each.taken_at).date() for each in mine if each.state is not State.DAMAGED}
    tried = {timezone.localtime(time).date() for status, time in runs if status != Status.SUCCEEDED}
    tried |= {timezone.localtime(each.taken_at).date() for each in mine if each.state is State.DAMAGED}
    days = [today - timedelta(days=back) for back in range(DAYS - 1, -1, -1)]
    return [Day(day=day, state="ok" if day in good else "failed" if day in tried else "none") for day in days]


def _headline(found: Sequence[DatabaseHealth]) -> tuple[str, str]:
    bad = [each for each in found if each.level is not Level.OK]
    if bad:
        worst = max(bad, key=lambda each: each.level)
        detail = " ".join(f"{_name(each)}: {each.reason}" for each in bad)
        sentence = _("Action needed.") if worst.level is Level.CRITICAL else _("Check the warnings.")
        return sentence, detail
    oldest = min(each.last.taken_at for each in found if each.last and each.last.taken_at) if found else None
    if oldest is None:
        return _("There is no database to back up."), ""
    databases = sum(each.kind == "database" for each in found)
    count = ngettext("%(count)d database", "%(count)d databases", databases) % {"count": databases}
    if databases < len(found):
        count = _("%(databases)s and the media files") % {"databases": count}
    detail = ngettext(
        "%(parts)s, backed up less than %(time)s ago.",
        "%(parts)s, each backed up less than %(time)s ago.",
        len(found),
    ) % {"parts": count, "time": wording.within(oldest)}
    return _("Protected."), detail


def _name(part: DatabaseHealth) -> str:
    return _("media files") if part.kind == "media" else part.database


def _about_remote() -> tuple[str, int | None]:
    """Return the version of rclone and the free bytes, by two calls of rclone every few minutes, however many ask."""
    key = cache_key("remote")

    def remembered() -> tuple[str, int | None] | None:
        found: tuple[str, int | None] | None = cache.get(key)
        return found

    def ask() -> tuple[str, int | None]:
        rclone = get_rclone(timeout=PAGE_TIMEOUT)
        found = (rclone.version(), rclone.free())
        cache.set(key, found, REMOTE_SECONDS)
        return found

    return once(key, remembered, ask, seconds=2 * PAGE_TIMEOUT)
