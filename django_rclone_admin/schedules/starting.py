"""Starts a schedule immediately, through the executor; and suggests schedules for a new site."""

from __future__ import annotations

import uuid

from django.utils import timezone
from django.utils.translation import gettext as _

from .. import api
from ..models.runs import BackupRun, Origin
from ..models.schedules import Action, BackupSchedule

RETENTION = {"last": 3, "daily": 7, "weekly": 4, "monthly": 6}
"""The retention rules that the suggestion recommends. Rules belong to the settings and hold for every clean-up."""


def start(schedule: BackupSchedule, origin: Origin) -> list[BackupRun]:
    """Queue the actions of a schedule, and return the runs. Its own times stay unchanged.

    A clean-up is done before this returns, because it does not wait for anything.

    :raises RunInProgress: another run locks one of the databases; earlier ones have been queued.
    :raises BackupError: it can't be carried out.
    """
    databases = schedule.databases or api.all_databases()
    if schedule.action == Action.PRUNE:
        for alias in databases:
            api.prune(alias, origin=origin)
        return []
    if schedule.action == Action.VERIFY:
        from .work import (  # the page of the schedules, which every start imports, needs none of it
            level_of,
            to_check,
        )

        return [
            api.start_verify_backup(each.path, level=level_of(schedule), origin=origin)
            for each in to_check(schedule, list(schedule.databases)).values()
        ]
    group = str(uuid.uuid4())
    runs = [
        api.start_backup_database(
            alias, label=schedule.name, origin=origin, clean=schedule.clean, group=group
        )
        for alias in databases
    ]
    if schedule.media and api.has_media_files():
        runs.append(
            api.start_backup_media(label=schedule.name, origin=origin, clean=schedule.clean, group=group)
        )
    if runs:
        BackupSchedule.objects.filter(pk=schedule.pk).update(last_run=runs[0].pk, problem="")
    return runs


def offered() -> list[BackupSchedule]:
    """Return the suggested schedules of a new site, unsaved."""
    zone = timezone.get_default_timezone_name()
    return [
        BackupSchedule(name=_("Every night"), cron="0 2 * * *", time_zone=zone, clean=True),
        BackupSchedule(
            name=_("Test restore"), action=Action.VERIFY, cron="0 4 * * 0", time_zone=zone, level="restore"
        ),
    ]
