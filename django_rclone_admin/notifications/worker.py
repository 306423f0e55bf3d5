"""A thread that sends notifications, so that no run waits for a mail server. What it sends is imported only where
something is sent."""

from __future__ import annotations

import atexit
import functools
import logging
import os
import queue
import threading
import time
from collections.abc import Callable

from django.db import connections

logger = logging.getLogger("django_rclone_admin")

EXIT_SECONDS = 10
"""How long the end of a process waits for pending messages."""


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
