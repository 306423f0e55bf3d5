"""Handles the signals that end a process, and its exit: stops its active runs, and lets them clean up first.

A command in the main thread unwinds by itself once its run is stopped. A server with runs in its threads waits for
them, and then proceeds as usual.
"""

from __future__ import annotations

import contextlib
import signal
import socket
import threading
import time
from collections.abc import Iterator
from types import FrameType

from ..exceptions import Cancelled, Interrupted, Stopped, gettext_noop
from .at_work import ending, running, stop_all, waiting

SECONDS = 9.0
"""How long the process waits for its runs; servers kill a worker that takes much longer."""

REASONS: dict[int, tuple[type[Stopped], str]] = {
    signal.SIGINT: (Cancelled, gettext_noop("Cancelled by Ctrl-C.")),
    signal.SIGTERM: (Interrupted, gettext_noop("Ended by the signal SIGTERM.")),
}
"""The error that stops the run of a command, by signal."""
SIGNALS = (signal.SIGTERM, signal.SIGHUP)
"""Signals that end a server at once, unless it handles them."""


class Abandoned(KeyboardInterrupt):
    """A second Ctrl-C: the command did not wait for the work."""


def stop_and_wait() -> None:
    """Stop the runs of this process, and give them time to clean up. Safe in a signal handler: it queries no
    database."""
    deadline = time.monotonic() + SECONDS
    while (running or waiting) and time.monotonic() < deadline:
        # Repeatedly, because a waiting run may begin when another one ends.
        stop_all(Interrupted(gettext_noop("The process that worked on it was shut down.")))
        time.sleep(0.05)


def watch_signals() -> None:
    """Make the signals that end this process stop its runs first, and then call the previous handlers.

    Also in a server that handles them: uvicorn shuts down cleanly, but then restores the handlers that it found
    and sends itself the signal again.
    """
    for number in SIGNALS:
        previous = signal.getsignal(number)
        if previous is not None and previous is not signal.SIG_IGN:
            # Only the main thread may handle signals. Code that loads Django in another thread must stop its runs
            # itself.
            with contextlib.suppress(ValueError):
                signal.signal(number, _Handler(previous))


class _Handler:
    def __init__(self, previous: signal._HANDLER) -> None:
        self.previous = previous

    def __call__(self, number: int, frame: FrameType | None) -> None:
        signal.signal(number, self.previous)  # first, so that a second signal takes effect at once
        stop_and_wait()
        signal.raise_signal(number)


@contextlib.contextmanager
def stoppable() -> Iterator[None]:
    """Let Ctrl-C and SIGTERM stop the run of a command, and those that it would begin; a second Ctrl-C ends it at once.

    A process that has handlers of its own, such as a worker of a task queue, hears of the signal afterwards.

    :raises KeyboardInterrupt: no run was active.
    :raises Abandoned: it was the second Ctrl-C.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    command = _Command()
    previous = {number: signal.signal(number, command) for number in REASONS}
    try:
        with _listening():
            yield
    finally:
        ending.clear()
        for number, handler in previous.items():
            signal.signal(number, handler)
        if command.heard and _is_of_a_host(previous[command.heard]):
            signal.raise_signal(command.heard)


class _Command:
    """The handler of a command."""

    heard: signal.Signals | None = None

    def __call__(self, number: int, frame: FrameType | None) -> None:
        self.heard = signal.Signals(number)
        if number == signal.SIGINT:
            signal.signal(number, _abandon)
        # A run that has done its work can't be stopped any more, but no other one may follow.
        error, reason = REASONS[number]
        ending.append(error(reason))
        if not _stop(number):
            raise KeyboardInterrupt


def _is_of_a_host(handler: signal._HANDLER) -> bool:
    """Whether a handler is of a program in which a command was called, and not of “manage.py” or another command."""
    if handler is signal.SIG_DFL:  # ours was replaced: a worker that a signal shall end at once
        return True
    while isinstance(handler, _Handler):
        handler = handler.previous
    return (
        callable(handler) and handler is not signal.default_int_handler and not isinstance(handler, _Command)
    )


@contextlib.contextmanager
def _listening() -> Iterator[None]:
    """Stop the run from a second thread, too.

    Python runs signal handlers in the main thread, between two bytecodes. If a signal arrives after Python's check and
    before the main thread blocks on a read, the handler runs only after the next bytes arrive.
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
