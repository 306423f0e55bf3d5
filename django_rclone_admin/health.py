"""Is the site safe? One answer for each database, from the listing of the remote and the history of the runs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from enum import IntEnum

from django.core.cache import cache
from django.db import DatabaseError
from django.utils import timezone
from django.utils.timesince import timesince
from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from . import site, wording
from .conf import get_settings
from .connectors.registry import all_databases, get_connector
from .engine.catalog import State, StoredObject, latest
from .exceptions import BackupError
from .models import BackupRun, Kind, Status

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
    """How safe one database is."""

    database: str
    vendor: str
    level: Level
    reason: str
    """Why it is not ``OK``; empty when it is."""
    last: StoredObject | None
    """The newest backup that a restore would take."""
    sizes: list[int] = field(default_factory=list)
    """Bytes of its last backups, oldest first."""
    days: list[Day] = field(default_factory=list)


@dataclass(frozen=True, slots=True, kw_only=True)
class Health:
    """How safe the site is."""

    level: Level
    sentence: str
    detail: str
    remote: str
    """The remote as people may see it."""
    databases: list[DatabaseHealth] = field(default_factory=list)
    hint: str = ""
    version: str = ""
    free: int | None = None
    """Bytes free on the remote, where it can tell."""


def check() -> Health:
    """Look at the remote and at the history, and judge. A remote that does not answer is a finding, not an error."""
    remote = site.get_rclone().label
    try:
        objects = site.cached_objects()
        found = [_check_database(alias, objects) for alias in all_databases()]
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
    level = max((each.level for each in found), default=Level.UNKNOWN)
    sentence, detail = _headline(found)
    return Health(
        level=level,
        sentence=sentence,
        detail=detail,
        databases=found,
        remote=remote,
        version=version,
        free=free,
    )


def _check_database(alias: str, objects: Sequence[StoredObject]) -> DatabaseHealth:
    mine = [each for each in objects if (each.kind, each.database) == ("database", alias) and each.taken_at]
    # The listing alone does not tell damaged backups, nor those that were made before a restore.
    newest = site.with_manifests(mine[:DAYS])
    last = latest(newest, alias) or latest(mine, alias)
    runs = _recent_runs(alias)
    level, reason = _judge(alias, newest, last, runs)
    sizes = [each.size for each in reversed(newest) if not each.is_safety and each.state is not State.DAMAGED]
    return DatabaseHealth(
        database=alias,
        vendor=get_connector(alias).vendor_name,
        level=level,
        reason=reason,
        last=last,
        sizes=sizes,
        days=_strip([*newest, *mine[DAYS:]], runs),
    )


def _judge(
    alias: str,
    newest: Sequence[StoredObject],
    last: StoredObject | None,
    runs: Sequence[tuple[str, datetime]],
) -> tuple[Level, str]:
    limits = {**DEFAULTS, **get_settings().health}
    limits |= limits.get(alias, {}) if isinstance(limits.get(alias), dict) else {}
    if last is None or last.taken_at is None:
        return Level.CRITICAL, _("There is no backup.")
    age = timezone.now() - last.taken_at
    if age > timedelta(hours=limits["max_age_hours"]):
        return Level.CRITICAL, _("The last backup is %(time)s old.") % {"time": timesince(last.taken_at)}
    if last.size < limits["min_size"]:
        return Level.CRITICAL, _("The last backup is too small.")
    if newest[0].state is State.DAMAGED:
        return Level.WARNING, _("The newest backup is damaged; an older one is good.")
    if runs and runs[0][0] != Status.SUCCEEDED and runs[0][1] > last.taken_at:
        return Level.WARNING, _("The last run did not succeed.")
    earlier = [each for each in newest if each.name != last.name and each.state is State.COMPLETE]
    drop = 1 - limits["max_size_drop_percent"] / 100
    if earlier and last.size < earlier[0].size * drop:
        return Level.WARNING, _("The last backup is much smaller than the one before it.")
    if last.state is State.LEGACY:
        return Level.WARNING, _("The last backup can't be checked: it has no manifest.")
    return Level.OK, ""


def _recent_runs(alias: str) -> list[tuple[str, datetime]]:
    """Return status and time of the ended backups of a database, newest first."""
    since = timezone.now() - timedelta(days=DAYS)
    ended = BackupRun.objects.filter(kind=Kind.DB_BACKUP, database=alias, created_at__gte=since).exclude(
        status__in=[Status.QUEUED, Status.RUNNING]
    )
    try:
        return list(ended.order_by("-created_at").values_list("status", "created_at"))
    except DatabaseError:
        return []


def _strip(mine: Sequence[StoredObject], runs: Sequence[tuple[str, datetime]]) -> list[Day]:
    today = timezone.localdate()
    good = {timezone.localtime(each.taken_at).date() for each in mine if each.state is not State.DAMAGED}
    tried = {timezone.localtime(time).date() for status, time in runs if status != Status.SUCCEEDED}
    tried |= {timezone.localtime(each.taken_at).date() for each in mine if each.state is State.DAMAGED}
    days = [today - timedelta(days=back) for back in range(DAYS - 1, -1, -1)]
    return [Day(day=day, state="ok" if day in good else "failed" if day in tried else "none") for day in days]


def _headline(found: Sequence[DatabaseHealth]) -> tuple[str, str]:
    bad = [each for each in found if each.level is not Level.OK]
    if bad:
        worst = max(bad, key=lambda each: each.level)
        detail = " ".join(f"{each.database}: {each.reason}" for each in bad)
        sentence = _("Something needs you.") if worst.level is Level.CRITICAL else _("Have a look.")
        return sentence, detail
    oldest = min(each.last.taken_at for each in found if each.last and each.last.taken_at) if found else None
    if oldest is None:
        return _("There is no database to back up."), ""
    count = ngettext("%(count)d database", "%(count)d databases", len(found)) % {"count": len(found)}
    detail = _("%(count)s, the oldest backup: %(ago)s.") % {"count": count, "ago": wording.ago(oldest)}
    return _("Everything is backed up."), detail


def _about_remote() -> tuple[str, int | None]:
    key = site.cache_key("remote")
    found: tuple[str, int | None] | None = cache.get(key)
    if found is None:
        rclone = site.get_rclone(timeout=site.PAGE_TIMEOUT)
        found = (rclone.version(), rclone.free())
        cache.set(key, found, REMOTE_SECONDS)
    return found
