"""Starts a schedule immediately, through the executor; and suggests schedules for a new site."""

from __future__ import annotations

import functools
import uuid
from collections.abc import Callable, Iterator
from typing import Any

from django.utils import timezone
from django.utils.translation import gettext as _

from .. import api
from ..models.runs import BackupRun, Origin
from ..models.schedules import Action, BackupSchedule
from .aims import (
    action_of,
    has_media_to_back_up,
    has_media_to_prune,
    level_of,
    to_back_up,
    to_check,
    to_prune,
)

RETENTION = {"last": 3, "daily": 7, "weekly": 4, "monthly": 6}
"""The retention rules that the suggestion recommends. Rules belong to the settings and hold for every clean-up."""

Start = Callable[[], BackupRun]


def start(schedule: BackupSchedule, origin: Origin) -> list[BackupRun]:
    """Queue the actions of a schedule, and return the runs. Its own times stay unchanged.

    :raises RunInProgress: another run locks one of the databases; those before it have been queued.
    :raises BackupError: it can't be carried out.
    """
    starts = list(STARTS[action_of(schedule)](schedule, origin))
    runs = [each() for each in starts]
    if runs:
        BackupSchedule.objects.filter(pk=schedule.pk).update(last_run=runs[0].pk, problem="")
    return runs


def _backups(schedule: BackupSchedule, origin: Origin) -> Iterator[Start]:
    common: dict[str, Any] = {
        "label": schedule.name,
        "origin": origin,
        "clean": schedule.clean,
        "level": schedule.level,
        "group": str(uuid.uuid4()),
    }
    for alias in to_back_up(schedule):
        yield functools.partial(api.start_backup_database, alias, **common)
    if has_media_to_back_up(schedule):
        yield functools.partial(api.start_backup_media, **common)


def _prunes(schedule: BackupSchedule, origin: Origin) -> Iterator[Start]:
    for alias in to_prune(schedule):
        yield functools.partial(api.start_prune, alias, origin=origin)
    if has_media_to_prune(schedule):
        yield functools.partial(api.start_prune_media, origin=origin)


def _checks(schedule: BackupSchedule, origin: Origin) -> Iterator[Start]:
    for each in to_check(schedule).values():
        yield functools.partial(api.start_verify_backup, each.path, level=level_of(schedule), origin=origin)


STARTS: dict[Action, Callable[[BackupSchedule, Origin], Iterator[Start]]] = {
    Action.BACKUP: _backups,
    Action.VERIFY: _checks,
    Action.PRUNE: _prunes,
}


def offered() -> list[BackupSchedule]:
    """Return the suggested schedules of a new site, unsaved."""
    zone = timezone.get_default_timezone_name()
    return [
        BackupSchedule(name=_("Every night"), cron="0 2 * * *", time_zone=zone, clean=True),
        BackupSchedule(
            name=_("Test restore"), action=Action.VERIFY, cron="0 4 * * 0", time_zone=zone, level="restore"
        ),
    ]
