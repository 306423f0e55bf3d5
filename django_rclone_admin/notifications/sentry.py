"""Check-ins for Sentry, if its SDK is set up. The schedule of the run defines the times of Sentry's monitor."""

from __future__ import annotations

import sys
from datetime import timedelta
from typing import Any

from .. import clock
from ..conf import get_settings
from ..core.naming import MEDIA
from ..exceptions import UsageError
from ..health.limits import Limits
from ..models.runs import BackupRun, Trigger
from ..models.schedules import Action, BackupSchedule

MARGIN_MINUTES = 60
"""How late a backup may be."""
MOST_MINUTES = 28 * 24 * 60
"""The longest run that a monitor of Sentry takes."""


def is_set_up() -> bool:
    """Whether the project has set Sentry up. Never imports the SDK itself."""
    sdk = sys.modules.get("sentry_sdk")
    return sdk is not None and bool(sdk.get_client().is_active())


def check_in(run: BackupRun, status: str) -> None:
    """Send the state of a run to Sentry.

    :param status: ``in_progress``, ``ok`` or ``error``.
    """
    from sentry_sdk.crons import capture_checkin  # installed by the project

    capture_checkin(
        monitor_slug=f"backup-{run.database or 'media'}".lower().replace("_", "-"),
        check_in_id=run.pk.hex,
        status=status,
        duration=run.duration.total_seconds() if run.duration and status != "in_progress" else None,
        monitor_config=_config(run),
    )


def _config(run: BackupRun) -> Any:
    """Return the times of a monitor; ``None`` where no schedule makes this backup, so that Sentry keeps its own.

    Of several schedules it is the one that comes most often, whichever made this run: a monitor has one.
    """
    if run.trigger != Trigger.SCHEDULE:
        return None
    schedules = BackupSchedule.objects.filter(enabled=True, action=Action.BACKUP)
    found = [(_gap(each), each.pk, each) for each in schedules if _makes(each, run)]
    if not found:
        return None
    _span, _key, schedule = min(found)
    hours = Limits.of(run.database or MEDIA, get_settings().health).max_run_hours
    return {
        "schedule": {"type": "crontab", "value": schedule.cron},
        "timezone": schedule.time_zone,
        "checkin_margin": max(MARGIN_MINUTES, schedule.start_within + schedule.spread),
        # Sentry's own limit is half an hour.
        "max_runtime": MOST_MINUTES if hours is None else min(MOST_MINUTES, max(1, round(hours * 60))),
    }


def _makes(schedule: BackupSchedule, run: BackupRun) -> bool:
    if not run.database:
        return schedule.media
    return not schedule.databases or run.database in schedule.databases


def _gap(schedule: BackupSchedule) -> timedelta:
    """Return the time between its next two times."""
    try:
        coming = schedule.next_times(clock.now(), 2)
    except UsageError:
        coming = []
    return coming[1] - coming[0] if len(coming) == 2 else timedelta.max
