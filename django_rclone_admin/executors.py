"""Executors: where queued work runs. They take a callable and know nothing of jobs."""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable
from typing import Protocol

from django.db import connections
from django.utils.module_loading import import_string

from .conf import get_settings


class Executor(Protocol):
    """Runs a callable with one run's id, now or later."""

    in_process: bool
    """Whether queued work is lost when this process ends."""

    def submit(self, work: Callable[[str], object], run_id: str) -> None: ...


class ImmediateExecutor:
    """Runs the work before ``submit`` returns: for tests and scripts."""

    in_process = True

    def submit(self, work: Callable[[str], object], run_id: str) -> None:
        work(run_id)


class ThreadExecutor:
    """Runs the work in a few threads of this process; the default."""

    in_process = True
    workers = 4

    def __init__(self) -> None:
        self._waiting: queue.SimpleQueue[tuple[Callable[[str], object], str]] = queue.SimpleQueue()
        self._idle = threading.Semaphore(0)
        self._threads: list[threading.Thread] = []
        self._lock = threading.Lock()

    def submit(self, work: Callable[[str], object], run_id: str) -> None:
        self._waiting.put((work, run_id))
        with self._lock:
            if self._idle.acquire(blocking=False) or len(self._threads) >= self.workers:
                return
            # A daemon: a backup must not keep a web worker from ending. See stop_at_exit in jobs.
            thread = threading.Thread(target=self._work, name="django-rclone-admin", daemon=True)
            self._threads.append(thread)
            thread.start()

    def _work(self) -> None:
        while True:
            work, run_id = self._waiting.get()
            try:
                work(run_id)
            finally:
                connections.close_all()
                self._idle.release()


_executors: dict[str, Executor] = {}


def get_executor() -> Executor:
    """Return the configured executor, the same one each time."""
    path = get_settings().executor
    if path not in _executors:
        _executors[path] = import_string(path)()
    return _executors[path]
