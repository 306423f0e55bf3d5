"""Control: shared by running work and the threads that watch it and may stop it."""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Callable, Iterator
from typing import Protocol

from ..exceptions import BackupError, Stalled, gettext_noop

LOOK = 0.2
"""Seconds between two checks for a stop while waiting."""


class Fence(Protocol):
    """Knows whether this run still owns its lock; see :meth:`Control.confirm`."""

    def is_due(self) -> bool:
        """Whether the last :meth:`confirm` was so long ago that another is needed first. Does no I/O."""

    def confirm(self) -> None:
        """Check that the work may continue.

        :raises BackupError: the work may not continue.
        """


class Control:
    """Counts bytes, holds the current stage, and stops the work from any thread by ending its programs.

    :param stall_timeout: seconds without a byte after which the work is stopped; ``None`` for no limit.
    :param lease: seconds that the process may be frozen before others take over its lock; ``None``: no one takes over.
    """

    def __init__(self, stall_timeout: float | None = None, lease: float | None = None) -> None:
        self.bytes_done = 0
        self.bytes_total: int | None = None
        """An estimate, from the last run of the same kind."""
        self.is_drained = False
        """Whether a transfer has read its source to the end and waits for its sink."""
        self.files_done, self.files_total = 0, 0
        """The number of files moved, and of all files, for work that moves files."""
        self.has_committed = False
        """Whether the sink of the last transfer has committed."""
        self.has_changed = False
        """Whether the work has changed something that stays if it fails."""
        self.stall_timeout, self.lease = stall_timeout, lease
        self._error: BackupError | None = None
        self._fences: list[Fence] = []
        self._aborts: list[Callable[[], None]] = []
        self._moved_at = time.monotonic()

    def advance(self, count: int) -> None:
        """Count transferred bytes."""
        self.bytes_done += count
        self.touch()

    def touch(self) -> None:
        """Record that the work is alive although no byte can be counted."""
        self._moved_at = time.monotonic()

    def stop(self, error: BackupError) -> None:
        """Stop the work with this error; only the first call counts. Safe in any thread and in a signal handler."""
        if self._error is None:
            self._error = error
        for abort in list(self._aborts):
            abort()

    @property
    def is_stopped(self) -> bool:
        """Whether the work was told to stop."""
        return self._error is not None

    def check(self) -> None:
        """Raise the error that the work was stopped with, if any.

        If the process was frozen, check first that the work may continue.
        """
        self.raise_if_stopped()
        if self.is_due():
            self.confirm()

    def is_due(self) -> bool:
        """Whether :meth:`confirm` must be called before anything else is done. Does no I/O."""
        return any(each.is_due() for each in self._fences)

    def raise_if_stopped(self) -> None:
        """Raise the error that the work was stopped with, if any. Does no I/O."""
        if self._error is not None:
            raise self._error

    def confirm(self) -> None:
        """Check that the work may continue. Called right before each irreversible step.

        The process may have been frozen for an hour since its last step, and another run may have taken its place.

        :raises BackupError: the work was stopped, or another run has taken its place.
        """
        self.raise_if_stopped()
        for each in list(self._fences):
            each.confirm()
            self.raise_if_stopped()

    @contextlib.contextmanager
    def fenced(self, fence: Fence) -> Iterator[None]:
        """While inside, the work continues only if ``fence`` confirms it."""
        self._fences.append(fence)
        try:
            yield
        finally:
            self._fences.remove(fence)

    def part(self) -> Control:
        """Return a control for a part of the work: stopped separately, confirmed by the same fences."""
        part = Control()
        part._fences = self._fences
        return part

    def sleep(self, seconds: float) -> None:
        """Wait for some seconds, or until the work is stopped.

        Polls instead of waiting for an event: a signal handler that interrupts the wait could not set that event.
        """
        end = time.monotonic() + seconds
        while (left := end - time.monotonic()) > 0:
            self.check()
            time.sleep(min(left, LOOK))
        self.check()

    @contextlib.contextmanager
    def guard(self, abort: Callable[[], None]) -> Iterator[None]:
        """While inside, stopping the work calls ``abort``. Raises at once if the work was stopped before."""
        with self.aborting(abort):
            self.check()
            yield

    @contextlib.contextmanager
    def aborting(self, abort: Callable[[], None]) -> Iterator[None]:
        """Like :meth:`guard`, for steps that must run even if the work was stopped."""
        self._aborts.append(abort)
        try:
            yield
        finally:
            self._aborts.remove(abort)

    @contextlib.contextmanager
    def watch(self) -> Iterator[None]:
        """While inside, stop the work when no byte moves for the stall timeout."""
        self.touch()
        done = threading.Event()
        watch = threading.Thread(target=self._watch, args=(done, self.stall_timeout), daemon=True)
        if self.stall_timeout:
            watch.start()
        try:
            yield
        finally:
            done.set()
            if watch.is_alive():
                watch.join()

    def _watch(self, done: threading.Event, limit: float) -> None:
        while not done.wait(min(1.0, limit / 4)):
            if time.monotonic() - self._moved_at > limit:
                self.stop(Stalled(gettext_noop("Nothing moved for %(seconds)d seconds."), seconds=limit))
                return
