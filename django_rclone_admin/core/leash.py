"""Ends a child program when this process freezes, because a frozen process can't see that another run took over.

Programs that only move bytes between this process and others freeze with it. An rclone that copies many files does not.
"""

from __future__ import annotations

import contextlib
import os
import threading
from collections.abc import Callable, Mapping, Sequence
from types import TracebackType
from typing import Self

from .orphans import bind, find_binder, find_program

ENDED = 124
"""The exit status of a program that was ended by its guard."""
GUARD = """
import ctypes, os, select, signal, sys
prctl = ctypes.CDLL(None).prctl
prctl(1, signal.SIGTERM)  # PR_SET_PDEATHSIG
pipe, seconds = int(sys.argv[2]), float(sys.argv[3])
if os.getppid() != int(sys.argv[1]):
    sys.exit()
woken, wake = os.pipe()
os.set_blocking(wake, False)
signal.set_wakeup_fd(wake)
signal.signal(signal.SIGCHLD, lambda *_: None)
child = os.fork()
if not child:
    prctl(1, signal.SIGTERM)
    os.close(pipe)
    os.execvp(sys.argv[4], sys.argv[4:])
signal.signal(signal.SIGTERM, lambda *_: os.kill(child, signal.SIGTERM))
for stream in range(3):
    os.close(stream)
watched = [woken, pipe]
while True:
    # After the whole machine slept, all processes wake up together: the writer gets a moment more.
    found = select.select(watched, [], [], seconds)[0] or select.select(watched, [], [], seconds and seconds / 3)[0]
    ended, status = os.waitpid(child, os.WNOHANG)
    if ended:
        status = os.waitstatus_to_exitcode(status)
        if status < 0:
            signal.signal(-status, signal.SIG_DFL) if -status != signal.SIGKILL else None
            os.kill(os.getpid(), -status)
        os._exit(status)
    if not found:
        break
    if woken in found:
        os.read(woken, 4096)
    if pipe in found and not os.read(pipe, 4096):
        watched, seconds = [woken], None  # the writer has ended, and SIGTERM follows
os.kill(child, signal.SIGKILL)
os.waitpid(child, 0)
os._exit(ENDED)
""".replace("ENDED", str(ENDED))
"""Runs a program. Sends it SIGTERM when the thread that started it ends, SIGKILL when no byte arrives for some
seconds."""


class Leash:
    """Writes a byte to the guard a few times a second while this process is running.

    :param seconds: how long the process may be frozen.
    :param may_go_on: whether to continue writing.
    """

    def __init__(self, seconds: float, may_go_on: Callable[[], bool]) -> None:
        self.seconds, self._may_go_on = seconds, may_go_on
        self._done = threading.Event()
        self._thread = threading.Thread(target=self._show_life, name="leash", daemon=True)

    def __enter__(self) -> Self:
        self.pipe, self._ours = os.pipe()
        os.set_blocking(self._ours, False)
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._done.set()
        self._thread.join()
        os.close(self._ours)
        os.close(self.pipe)

    def _show_life(self) -> None:
        while not self._done.wait(self.seconds / 6):
            if self._may_go_on():
                with contextlib.suppress(OSError):  # the program has ended, or is frozen itself
                    os.write(self._ours, b".")

    def hold(self, argv: Sequence[str], env: Mapping[str, str]) -> Sequence[str]:
        """Return the argument list that runs a program under the guard, on Linux.

        On other systems, and by a Python without ctypes, the program continues while this process is frozen.

        :raises FileNotFoundError: the program does not exist.
        """
        python = find_binder()
        if python is None:
            return bind(argv, env)
        program = find_program(argv[0], env)
        return [
            python,
            "-ISc",
            GUARD,
            str(os.getpid()),
            str(self.pipe),
            str(self.seconds),
            program,
            *argv[1:],
        ]
