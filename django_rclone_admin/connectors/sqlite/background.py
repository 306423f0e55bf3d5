"""Runs work in a separate thread, where no signal handler can interrupt it."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable

from ...core.latch import Latch

PAUSE = 0.02
"""Seconds between two looks while waiting."""


class Background:
    """Runs a function in a thread, from its creation on.

    :param work: must end soon after ``abort``.
    :param abort: called when the waiting thread is interrupted.
    """

    def __init__(self, work: Callable[[], object], abort: Callable[[], None]) -> None:
        self._work, self._abort = work, abort
        self._error: BaseException | None = None
        self._has_ended = Latch()
        threading.Thread(target=self._run, daemon=True).start()

    def _run(self) -> None:
        try:
            self._work()
        except BaseException as error:  # noqa: BLE001  (raised again in the waiting thread)
            self._error = error
        self._has_ended.set()

    def wait(self, look: Callable[[], None] = lambda: None) -> BaseException | None:
        """Wait for the end, also after an interruption.

        :param look: called repeatedly while waiting.
        :returns: the exception that interrupted the wait, such as a KeyboardInterrupt, if the work succeeded
            nevertheless.
        :raises BaseException: the work failed; an interruption takes precedence as its cause.
        """
        interruption: BaseException | None = None
        while not self._has_ended.is_set:
            try:
                look()
                self._has_ended.wait(PAUSE)
            except BaseException as error:  # noqa: BLE001  (raised below)
                interruption = error
                self._abort()
        if self._error is not None:
            raise interruption or self._error
        return interruption

    def stop(self) -> None:
        """Abort the work if it is still running; its result is ignored."""
        if not self._has_ended.is_set:
            self._abort()
            with contextlib.suppress(BaseException):
                self.wait()

    @property
    def has_failed(self) -> bool:
        """Whether it has ended with an error."""
        return self._error is not None

    @property
    def has_succeeded(self) -> bool:
        """Whether it has ended successfully."""
        return self._has_ended.is_set and self._error is None
