"""Executors of a site of its own, and such with which a queued run waits for as long as a test needs."""

from collections.abc import Callable

from django_rclone_admin.executors import ProcessExecutor, ThreadExecutor
from django_rclone_admin.tasks import TasksExecutor

NAMES = {
    each: f"{__name__}.{each}"
    for each in ("BusyThreadExecutor", "FailingProcessExecutor", "IdleTasksExecutor", "BackupQueue")
}
"""Dotted paths, for the setting ``EXECUTOR``."""


class BusyThreadExecutor(ThreadExecutor):
    """Never has a thread that is free."""

    workers = 0


class FailingProcessExecutor(ProcessExecutor):
    """Starts processes that end before they have begun anything."""

    def submit(self, work: Callable[[str], object], run_id: str) -> None:
        pass


class IdleTasksExecutor(TasksExecutor):
    """Has a queue that no worker looks into."""

    def submit(self, work: Callable[[str], object], run_id: str) -> None:
        pass


class BackupQueue(TasksExecutor):
    """Has a queue of its own."""

    using = {"queue_name": "backups"}
