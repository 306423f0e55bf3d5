"""The task that :class:`~django_rclone_admin.executors.TasksExecutor` enqueues."""

from __future__ import annotations

try:
    from django.tasks import task
except ImportError:  # before Django 6.0
    from django_tasks import task  # type: ignore[import-not-found, no-redef, unused-ignore]


@task
def carry_out(run_id: str) -> None:
    """Carry out one queued run."""
    from . import api  # the task is found when the apps are still being loaded

    api.carry_out_queued(run_id)
