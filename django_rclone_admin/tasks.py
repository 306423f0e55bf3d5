"""Runs as tasks of Django's tasks framework, or of the package ``django-tasks`` before Django 6.0."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from typing import Any

try:
    from django.tasks import task
except ImportError:  # before Django 6.0
    try:
        from django_tasks import task  # type: ignore[import-not-found, no-redef, unused-ignore]
    except ImportError:
        # Celery and Procrastinate import the module of this name of every app: it must be there without the framework.
        def task(function: Any) -> Any:  # type: ignore[no-redef, unused-ignore]
            return function


PAUSE = 0.2
"""Seconds between two checks of a task."""


@task
def carry_out(run_id: str) -> None:
    """Carry out one queued run."""
    from .jobs.queued import (
        carry_out_queued,
    )  # this module is imported while the apps are still being loaded

    carry_out_queued(run_id)


@task
def answer() -> None:
    """Do nothing; proves that a worker is running."""


class TasksExecutor:
    """Passes the work to Django's tasks framework, or to the package ``django-tasks`` before Django 6.0."""

    in_process = False
    begins_at_once = False
    using: Mapping[str, Any] = {}
    """For subclasses: options of the task, such as another ``queue_name`` or ``backend``."""

    def __init__(self) -> None:
        """Check that there is a framework.

        :raises ImportError: there is none.
        """
        if not hasattr(carry_out, "enqueue"):
            raise ImportError("it needs Django 6.0 or the package django-tasks")

    def submit(self, work: Callable[[str], object], run_id: str) -> None:
        carry_out.using(**self.using).enqueue(run_id)

    def is_working(self, seconds: float) -> bool | None:
        """Whether a worker executed a trivial task; ``None`` where the queue stores no results.

        Without a running worker, the task stays in the queue.
        """
        asked = answer.using(**self.using)
        result, deadline = asked.enqueue(), time.monotonic() + seconds
        if not asked.get_backend().supports_get_result:
            return True if result.is_finished else None
        while not result.is_finished and time.monotonic() < deadline:
            time.sleep(PAUSE)
            result.refresh()
        return bool(result.is_finished)
