"""A thread that sends notifications, so that no run waits for a mail server."""

from __future__ import annotations

import atexit
import copy
import functools
import logging
import os
import queue
import threading
import time
from collections.abc import Callable

from django.db import connections

from ..exceptions import BackupError
from ..health.kept import last_known
from ..models.runs import BackupRun, Status, Trigger
from . import sentry
from .after_looks import BACKUPS, announce_changes
from .bounded import Call, call_all
from .channels import ping
from .sending import options

logger = logging.getLogger("django_rclone_admin")

EXIT_SECONDS = 10
"""How long the end of a process waits for pending messages."""
PING_SECONDS = 8
"""Time limit for a monitor."""


class Worker:
    """Executes tasks one after the other, in the order of their submission."""

    def __init__(self) -> None:
        self.clear()

    def clear(self) -> None:
        """Forget all tasks: after a fork, the thread is in the parent process."""
        self._tasks: queue.Queue[Callable[[], object]] = queue.Queue()
        self._thread: threading.Thread | None = None
        self._lock = threading.Lock()

    def add(self, task: Callable[[], object]) -> None:
        """Submit a task, and return at once."""
        with self._lock:
            self._tasks.put(task)
            if self._thread is None or not self._thread.is_alive():
                self._thread = threading.Thread(target=self._work, name="notifications", daemon=True)
                self._thread.start()

    def finish(self, seconds: float = EXIT_SECONDS) -> bool:
        """Wait until all tasks are done, with a time limit; false if it was exceeded."""
        end = time.monotonic() + seconds
        with self._tasks.all_tasks_done:
            while self._tasks.unfinished_tasks:
                left = end - time.monotonic()
                if left <= 0:
                    return False
                self._tasks.all_tasks_done.wait(left)
        return True

    def _work(self) -> None:
        while True:
            task = self._tasks.get()
            try:
                task()
            except Exception as error:
                logger.warning("A notification about the backups failed: %s", type(error).__name__)
                logger.debug("The reason:", exc_info=error)
            finally:
                connections.close_all()
                self._tasks.task_done()


worker = Worker()
os.register_at_fork(after_in_child=worker.clear)


@functools.cache
def _exit_by() -> float:
    return time.monotonic() + EXIT_SECONDS


def finish_before_exit() -> None:
    """Wait for pending messages before this process ends; the time limit holds for all calls together."""
    worker.finish(max(0, _exit_by() - time.monotonic()))


atexit.register(finish_before_exit)


def look_again() -> None:
    """Announce what has changed after a look at the health."""
    if _is_configured():
        worker.add(announce_changes)


def note_start(run: BackupRun) -> None:
    """Tell monitors that a run has begun."""
    if _is_watched(run):
        worker.add(functools.partial(_call_monitors, copy.copy(run), "start", "in_progress"))


def note_end(run: BackupRun) -> None:
    """Tell monitors and people how a run has ended."""
    if not _is_configured():
        return
    if _is_watched(run):
        is_good = run.status == Status.SUCCEEDED
        outcome, status = ("", "ok") if is_good else ("fail", "error")
        worker.add(functools.partial(_call_monitors, run, outcome, status))
    worker.add(functools.partial(announce_changes, run))


def _is_configured() -> bool:
    try:
        chosen = options()
    except Exception:  # noqa: BLE001  (wrong settings are reported where they are used)
        return False
    return chosen.is_set


def _is_watched(run: BackupRun) -> bool:
    """Whether monitors expect such runs: backups, except safety backups."""
    return _is_configured() and run.kind in BACKUPS and run.trigger != Trigger.SAFETY


def _ping(address: str, run: BackupRun, outcome: str) -> None:
    """Ping a monitor. One that covers several databases must not receive a success while another database fails."""
    if not outcome and isinstance(options().ping_url, str):
        others = [each for each in last_known().parts if each.database != (run.database or "media")]
        if any(each.facts.failure for each in others):
            outcome = "fail"
    ping(address, str(run.pk), outcome)


def _call_monitors(run: BackupRun, outcome: str, status: str) -> None:
    chosen, calls = options(), dict[str, Call]()
    if address := chosen.ping_url_of(run.database or "media"):
        calls["ping"] = functools.partial(_ping, address, run, outcome)
    if chosen.sentry is not False and sentry.is_set_up():
        calls["sentry"] = functools.partial(sentry.check_in, run, status)
    for name, result in call_all(calls, seconds=PING_SECONDS).items():
        if isinstance(result, BaseException):
            reason = str(result) if isinstance(result, BackupError) else type(result).__name__
            logger.warning("%s could not be told of a run: %s", name.capitalize(), reason)
