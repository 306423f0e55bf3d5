"""A one-time signal from another thread, with a wait that an interruption can't spoil."""

from __future__ import annotations

import threading


class Latch:
    """Set once by one thread, and awaited by another, in which a signal handler may raise at any moment.

    Then the lock inside of a ``threading.Event`` may stay locked, and in Python 3.11 and 3.12 ``Thread.join`` marks the
    thread as ended.
    """

    def __init__(self) -> None:
        self.is_set = False
        self._lock = threading.Lock()
        self._lock.acquire()

    def set(self) -> None:
        """End all waits."""
        self.is_set = True
        self._lock.release()

    def wait(self, seconds: float) -> bool:
        """Wait at most some seconds; return whether it is set."""
        if not self.is_set and self._lock.acquire(timeout=seconds):
            self._lock.release()
        return self.is_set
