"""The end of a process with runs at work in its threads: they are stopped, and clean up after themselves before it goes."""

from __future__ import annotations

import contextlib
import functools
import os
import signal
import threading
import time
from types import FrameType

from django.db import connections

from ..exceptions import Interrupted, gettext_noop
from .job import running, stop_all
from .waiting import waiting

SECONDS = 9.0
"""How long the process waits for its runs; servers kill a worker that takes much longer."""

SIGNALS = (signal.SIGTERM, signal.SIGHUP)
"""They end a process at once, unless it handles them."""


@functools.cache  # once is enough
def watch_exit() -> None:
    """Have the runs of this process stopped when its main thread ends.

    By the time of ``atexit`` it is too late: from Python 3.12 on no thread can be started then, and cleaning up needs
    some. But what is no daemon is waited for before that.
    """
    threading.Thread(target=_await_exit, name="exit of the process").start()


def _await_exit() -> None:
    threading.main_thread().join()
    try:
        waiting.give_up()
        stop_and_wait()
    finally:
        connections.close_all()


def stop_and_wait() -> None:
    """Stop the runs of this process, and give them time to clean up. Safe in a signal handler: it asks no database."""
    deadline = time.monotonic() + SECONDS
    while (running or waiting) and time.monotonic() < deadline:
        # Again and again: one that waits begins when another ends, and may just have begun.
        stop_all(Interrupted(gettext_noop("The process that worked on it was shut down.")))
        time.sleep(0.05)


def watch_signals() -> None:
    """Have the signals that end this process stop its runs first, and then do what they did before.

    Also in a server that handles them: uvicorn shuts down in good order, but then puts back the handlers that it found,
    and sends itself the signal once more.
    """
    for number in SIGNALS:
        previous = signal.getsignal(number)
        if previous is not None and previous is not signal.SIG_IGN:
            # Only the main thread may handle signals. What loads Django in another one has to end its runs by itself.
            with contextlib.suppress(ValueError):
                signal.signal(number, _Handler(previous))


class _Handler:
    def __init__(self, previous: signal._HANDLER) -> None:
        self._previous = previous

    def __call__(self, number: int, frame: FrameType | None) -> None:
        signal.signal(number, self._previous)  # now, so that a second signal is not made to wait
        stop_and_wait()
        signal.raise_signal(number)


# In a forked process: what runs is the parent's, and its threads are not here.
os.register_at_fork(after_in_child=running.clear)
os.register_at_fork(after_in_child=watch_exit.cache_clear)
