"""Work in a thread of its own, where no signal handler can raise in the middle of it."""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Callable

PAUSE = 0.02
"""Seconds between two looks."""


class Background:
    """Does something in a thread; it begins at once.

    :param work: it has to end soon after ``abort``.
    :param abort: called when whoever waits is interrupted.
    """

    def __init__(self, work: Callable[[], object], abort: Callable[[], None]) -> None:
        self._work, self._abort = work, abort
        self._error: BaseException | None = None
        self._has_ended = False
        threading.Thread(target=self._run, daemon=True).start()

    def _run(self) -> None:
        try:
            self._work()
        except BaseException as error:  # noqa: BLE001  (it is raised where the work is waited for)
            self._error = error
        self._has_ended = True

    def wait(self, look: Callable[[], None] = lambda: None) -> BaseException | None:
        """Wait for the end, whatever is raised meanwhile.

        Not by joining the thread: in Python 3.11 and 3.12 an interrupted ``Thread.join`` takes the thread for ended.

        :param look: called again and again until then.
        :returns: what was raised meanwhile, such as a KeyboardInterrupt, where the work has succeeded all the same.
        :raises BaseException: the work failed, for that reason if there is one.
        """
        interruption: BaseException | None = None
        while not self._has_ended:
            try:
                look()
                time.sleep(PAUSE)
            except BaseException as error:  # noqa: BLE001  (raised below)
                interruption = error
                self._abort()
        if self._error is not None:
            raise interruption or self._error
        return interruption

    def stop(self) -> None:
        """Have it end, if it has not; how it ends does not matter any more."""
        if not self._has_ended:
            self._abort()
            with contextlib.suppress(BaseException):
                self.wait()

    @property
    def has_failed(self) -> bool:
        """Whether it has come to an end that is an error."""
        return self._error is not None

    @property
    def has_succeeded(self) -> bool:
        """Whether it has come to a good end."""
        return self._has_ended and self._error is None
