"""What the app does when a signal is sent.

Every process of a site imports this when it starts, and most of them never send one of these signals. So what a
receiver needs is imported when it is called.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from django.apps import AppConfig
from django.db.models.signals import pre_migrate

from . import signals

if TYPE_CHECKING:
    from .models.runs import BackupRun


def connect(app: AppConfig) -> None:
    """Connect all receivers."""
    signals.run_started.connect(_notify_of_start, dispatch_uid="django_rclone_admin.notify", weak=False)
    for signal in (signals.run_finished, signals.run_failed):
        signal.connect(_keep_facts, dispatch_uid="django_rclone_admin.health", weak=False)
        signal.connect(_notify_of_end, dispatch_uid="django_rclone_admin.notify", weak=False)
    pre_migrate.connect(_back_up, sender=app)


def _notify_of_start(run: BackupRun, **kwargs: Any) -> None:
    from .notifications import chosen

    if chosen.is_configured():
        from .notifications import events

        events.note_start(run)


def _keep_facts(run: BackupRun, **kwargs: Any) -> None:
    from .health import after_runs

    after_runs.note_end(run)


def _notify_of_end(run: BackupRun, **kwargs: Any) -> None:
    from .notifications import chosen

    if chosen.is_configured():
        from .notifications import events

        events.note_end(run)


def _back_up(**kwargs: Any) -> None:
    from . import before_migrate

    before_migrate.back_up(**kwargs)
