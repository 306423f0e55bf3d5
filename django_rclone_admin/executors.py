"""Executors decide where queued runs are executed. They receive a callable and do not depend on jobs."""

from __future__ import annotations

import functools
import logging
import os
import queue
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Protocol, runtime_checkable

from django.conf import settings
from django.db import connections
from django.utils.module_loading import import_string

from .conf import get_settings
from .core.command import Command
from .core.interpreter import find_python
from .core.process import detach

logger = logging.getLogger("django_rclone_admin")


class Executor(Protocol):
    """Runs a callable with the id of a run, now or later."""

    in_process: bool
    """Whether queued work is lost when this process ends."""
    begins_at_once: bool
    """Whether work that has not started within ``STALE_AFTER`` seconds never will."""

    def submit(self, work: Callable[[str], object], run_id: str) -> None: ...


@runtime_checkable
class Answering(Protocol):
    """An executor that can test whether it works; optional for other executors."""

    def is_working(self, seconds: float) -> bool | None:
        """Whether it executed a trivial callable within so many seconds; ``None`` where that can't be determined."""


class ImmediateExecutor:
    """Runs the work before ``submit`` returns: for tests and scripts."""

    in_process = True
    begins_at_once = False

    def submit(self, work: Callable[[str], object], run_id: str) -> None:
        work(run_id)

    def is_working(self, seconds: float) -> bool:
        return True


class ThreadExecutor:
    """Runs the work in a few threads of this process; the default."""

    in_process = True
    begins_at_once = False
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
            # A daemon thread, so that a backup does not keep a web worker from ending. The job itself handles the exit.
            thread = threading.Thread(target=self._work, name="django-rclone-admin", daemon=True)
            self._threads.append(thread)
            thread.start()

    def is_working(self, seconds: float) -> bool:
        done = threading.Event()
        self.submit(lambda _run_id: done.set(), "")
        return done.wait(seconds) or len(self._threads) >= self.workers  # all of them may be busy

    def _work(self) -> None:
        while True:
            work, run_id = self._waiting.get()
            try:
                work(run_id)
            except Exception:  # the thread must survive for further work
                logger.exception("A backup job ended with an unexpected error")
            finally:
                connections.close_all()
                self._idle.release()


class ProcessExecutor:
    """Runs each callable as a detached ``manage.py runbackupjob``, which survives restarts of the web server."""

    in_process = False
    begins_at_once = True
    ended: Callable[[str, int, str], object] | None = None
    """Called with a run's id, the exit status and the last output of its process, if that ends before this one."""

    def submit(self, work: Callable[[str], object], run_id: str) -> None:
        python = find_python()
        if python is None:
            raise FileNotFoundError("The environment of this process lacks a Python interpreter.")
        settings_module = os.environ.get("DJANGO_SETTINGS_MODULE", settings.SETTINGS_MODULE)
        path = os.pathsep.join(each or str(Path.cwd()) for each in sys.path)
        command = Command(
            argv=(python, "-m", "django", "runbackupjob", run_id),
            env={**os.environ, "DJANGO_SETTINGS_MODULE": settings_module, "PYTHONPATH": path},
            name="runbackupjob",
        )
        detach(command, functools.partial(self._report, run_id))

    def is_working(self, seconds: float) -> bool:
        return find_python() is not None

    def _report(self, run_id: str, status: int, words: str) -> None:
        try:
            if self.ended:
                self.ended(run_id, status, words)
        finally:
            connections.close_all()


_executors: dict[str, Executor] = {}
os.register_at_fork(after_in_child=_executors.clear)  # a forked process has none of our threads


def get_executor() -> Executor:
    """Return the configured executor, always the same instance."""
    path = get_settings().executor
    if path not in _executors:
        _executors[path] = import_string(path)()
    return _executors[path]
