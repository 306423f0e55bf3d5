"""Control: what a running piece of work shares with those who watch it and may stop it."""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Callable, Iterator
from typing import Protocol

from ..exceptions import BackupError, Stalled, gettext_noop

LOOK = 0.2
"""Seconds between looks, while waiting, whether the work was stopped."""


class Fence(Protocol):
    """Knows whether the work is still the only one of its kind; see :meth:`Control.confirm`."""

    def is_due(self) -> bool:
        """Whether it was last asked so long ago that it has to be asked before anything else is done. Asks nobody."""

    def confirm(self) -> None:
        """Ask it.

        :raises BackupError: the work may not go on.
        """


class Control:
    """Counts bytes, carries the stage, and stops the work from any thread by ending its programs.

    :param stall_timeout: seconds without a byte after which the work is stopped; ``None`` for no limit.
    :param lease: how long the process may stand still before others may take its place; ``None`` where nobody does.
    """

    def __init__(self, stall_timeout: float | None = None, lease: float | None = None) -> None:
        self.bytes_done = 0
        self.bytes_total: int | None = None
        """An estimate, from the last run of the same kind."""
        self.is_drained = False
        """Whether a transfer has read its source to the end and waits for its sink."""
        self.files_done, self.files_total = 0, 0
        """How many files have moved, of how many, where that is what moves."""
        self.has_committed = False
        """Whether the sink of the last transfer has committed."""
        self.has_changed = False
        """Whether the work has changed something that stays when it fails."""
        self.stall_timeout, self.lease = stall_timeout, lease
        self._error: BackupError | None = None
        self._fences: list[Fence] = []
        self._aborts: list[Callable[[], None]] = []
        self._moved_at = time.monotonic()

    def advance(self, count: int) -> None:
        """Count bytes that moved."""
        self.bytes_done += count
        self.touch()

    def touch(self) -> None:
        """Say that the work is alive, though no byte can be counted."""
        self._moved_at = time.monotonic()

    def stop(self, error: BackupError) -> None:
        """Stop the work with this error; the first one counts. Callable from any thread, and from a signal handler."""
        if self._error is None:
            self._error = error
        for abort in list(self._aborts):
            abort()

    @property
    def is_stopped(self) -> bool:
        """Whether the work was told to stop."""
        return self._error is not None

    def check(self) -> None:
        """Raise the error that the work was stopped with, if it was.

        A process that was frozen meanwhile also asks first whether it may go on.
        """
        self.raise_if_stopped()
        if self.is_due():
            self.confirm()

    def is_due(self) -> bool:
        """Whether :meth:`confirm` has to be called before anything else is done. Asks nobody."""
        return any(each.is_due() for each in self._fences)

    def raise_if_stopped(self) -> None:
        """Raise the error that the work was stopped with, if it was. Asks nobody."""
        if self._error is not None:
            raise self._error

    def confirm(self) -> None:
        """Ask whether the work may go on. Call it right before each step that can't be taken back.

        The process may have been frozen for an hour since its last step, and another run may have taken its place.

        :raises BackupError: the work was stopped, or is not the only one of its kind any more.
        """
        self.raise_if_stopped()
        for each in list(self._fences):
            each.confirm()
            self.raise_if_stopped()

    @contextlib.contextmanager
    def fenced(self, fence: Fence) -> Iterator[None]:
        """While inside, the work goes on only if ``fence`` agrees."""
        self._fences.append(fence)
        try:
            yield
        finally:
            self._fences.remove(fence)

    def part(self) -> Control:
        """Return the control of a part of the work: stopped on its own, and asking the same fences."""
        part = Control()
        part._fences = self._fences
        return part

    def sleep(self, seconds: float) -> None:
        """Wait; a stop ends that.

        Not by an event, which could not be set by a signal handler that has interrupted the waiting for it.
        """
        end = time.monotonic() + seconds
        while (left := end - time.monotonic()) > 0:
            self.check()
            time.sleep(min(left, LOOK))
        self.check()

    @contextlib.contextmanager
    def guard(self, abort: Callable[[], None]) -> Iterator[None]:
        """While inside, stopping the work calls ``abort``. Work that was stopped already does not come inside."""
        with self.aborting(abort):
            self.check()
            yield

    @contextlib.contextmanager
    def aborting(self, abort: Callable[[], None]) -> Iterator[None]:
        """The same for what has to be done also when the work was stopped."""
        self._aborts.append(abort)
        try:
            yield
        finally:
            self._aborts.remove(abort)

    @contextlib.contextmanager
    def watch(self) -> Iterator[None]:
        """While inside, the work is stopped when no byte moves for the stall timeout."""
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
