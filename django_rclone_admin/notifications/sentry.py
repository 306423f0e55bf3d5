"""Check-ins for Sentry, if its SDK is set up. The schedule of the run defines the times of Sentry's monitor."""

from __future__ import annotations

import sys
from typing import Any

from ..models.runs import BackupRun, Trigger
from ..models.schedules import Action, BackupSchedule

MARGIN_MINUTES = 60
"""How late a backup may be."""


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
    """Return the times of a monitor; ``None`` if no schedule makes this backup, so that Sentry keeps its own."""
    if run.trigger != Trigger.SCHEDULE:
        return None
    for schedule in BackupSchedule.objects.filter(enabled=True, action=Action.BACKUP):
        makes = (
            schedule.media
            if not run.database
            else not schedule.databases or run.database in schedule.databases
        )
        if makes:
            return {
                "schedule": {"type": "crontab", "value": schedule.cron},
                "timezone": schedule.time_zone,
                "checkin_margin": max(MARGIN_MINUTES, schedule.start_within + schedule.spread),
            }
    return None
