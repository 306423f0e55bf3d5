"""The signals that end a process, and its end: the runs at work in it are stopped, and clean up before it goes.

A command that works in its main thread unwinds by itself once its run is stopped. A server with runs in its threads waits
for them, and then does what it would have done without them.
"""

from __future__ import annotations

import contextlib
import functools
import os
import signal
import socket
import threading
import time
from collections.abc import Iterator
from types import FrameType

from django.db import connections

from ..exceptions import Cancelled, Interrupted, Stopped, gettext_noop
from .job import running, stop_all
from .waiting import waiting

SECONDS = 9.0
"""How long the process waits for its runs; servers kill a worker that takes much longer."""

REASONS: dict[int, tuple[type[Stopped], str]] = {
    signal.SIGINT: (Cancelled, gettext_noop("Cancelled by Ctrl-C.")),
    signal.SIGTERM: (Interrupted, gettext_noop("Ended by the signal SIGTERM.")),
}
"""What the run of a command is stopped with, by the signal that stops it."""
SIGNALS = (signal.SIGTERM, signal.SIGHUP)
"""They end a server at once, unless it handles them."""


class Abandoned(KeyboardInterrupt):
    """A second Ctrl-C: the work was not waited for."""


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


@contextlib.contextmanager
def stoppable() -> Iterator[None]:
    """Let Ctrl-C and SIGTERM stop the run of a command; a second Ctrl-C ends the command at once.

    :raises KeyboardInterrupt: no run was at work.
    :raises Abandoned: it was the second.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    def on_signal(number: int, frame: FrameType | None) -> None:
        if number == signal.SIGINT:
            signal.signal(number, _abandon)
        if not _stop(number):
            raise KeyboardInterrupt

    previous = {number: signal.signal(number, on_signal) for number in REASONS}
    try:
        with _listening():
            yield
    finally:
        for number, handler in previous.items():
            signal.signal(number, handler)


@contextlib.contextmanager
def _listening() -> Iterator[None]:
    """Have a thread stop the run too.

    Python runs a signal's handler in the main thread, between two steps of it. When the signal comes after Python has
    looked for one and before the main thread begins to wait for bytes, that is not before the next bytes come.
    """
    ours, theirs = socket.socketpair()
    theirs.setblocking(False)

    def listen() -> None:
        while number := ours.recv(1):
            if number[0] in REASONS:
                _stop(number[0])

    thread = threading.Thread(target=listen, name="signals", daemon=True)
    thread.start()
    previous = signal.set_wakeup_fd(theirs.fileno(), warn_on_full_buffer=False)
    try:
        yield
    finally:
        signal.set_wakeup_fd(previous)
        theirs.close()
        thread.join()
        ours.close()


def _stop(number: int) -> bool:
    error, reason = REASONS[number]
    return stop_all(error(reason))


def _abandon(number: int, frame: FrameType | None) -> None:
    raise Abandoned


# In a forked process: what runs is the parent's, and its threads are not here.
os.register_at_fork(after_in_child=running.clear)
os.register_at_fork(after_in_child=watch_exit.cache_clear)
