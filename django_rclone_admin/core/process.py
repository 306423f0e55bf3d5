"""The processes that run commands. Every process of this package is started here."""

from __future__ import annotations

import contextlib
import errno
import fcntl
import os
import signal
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from subprocess import DEVNULL, PIPE, Popen, TimeoutExpired
from tempfile import TemporaryFile
from typing import IO, Any

from ..exceptions import BackupError, ProgramFailed, ProgramMissing, gettext_noop
from .command import Command, last_words, redact
from .control import Control
from .leash import Leash
from .orphans import bind
from .tail import Tail

LAST_BYTES = 4096
"""How many bytes of a detached command's output are read after it has ended."""
CANNOT_RUN = (
    errno.ENOENT,
    errno.EACCES,
    errno.ENOTDIR,
    errno.ENOEXEC,
    errno.ELOOP,
    errno.EISDIR,
    errno.EPERM,
)
TOO_LONG = gettext_noop(
    "Its arguments and its environment are too long for the system. Shorten what the settings and the environment give it."
)
NOT_NOW = gettext_noop(
    "The machine or this account has too little memory, or too many processes or open files. Try again later."
)
PIPE_SIZE_COMMAND = getattr(fcntl, "F_SETPIPE_SZ", None)
PIPE_BYTES = 1 << 20
"""The capacity of a pipe. With the default 64 KB, a tenth of a backup's time goes into context switches."""
Bind = Callable[[Sequence[str], Mapping[str, str]], Sequence[str]]
A_FEW_BYTES = 16 * 1024
"""Bytes that count as work; fewer may be keep-alive traffic of a dead connection."""


class Process:
    """One running command, in a session of its own, its error output drained into a bounded tail.

    :param stdin: true for a pipe, or a file to read from; otherwise standard input is empty.
    :param stdout: true for a pipe; otherwise standard output is discarded.
    :param on_line: called with each line of its error output, in another thread.
    :param bound: it ends with the thread that starts it; a program without a pipe to us would survive us.
    :param leash: it also ends when this process freezes.
    :raises ProgramMissing: the program can't be found or run.
    :raises ProgramFailed: the system can't start it now.
    """

    def __init__(
        self,
        command: Command,
        *,
        stdin: bool | IO[bytes] = False,
        stdout: bool = False,
        on_line: Callable[[str], None] | None = None,
        bound: bool = False,
        leash: Leash | None = None,
    ) -> None:
        self.command = command
        self._popen = _start(
            command,
            bind=leash.hold if leash else bind if bound else None,
            pass_fds=(leash.pipe,) if leash else (),
            stdin=(PIPE if stdin else DEVNULL) if isinstance(stdin, bool) else stdin,
            stdout=PIPE if stdout else DEVNULL,
            stderr=PIPE,
        )
        for pipe in (self._popen.stdin, self._popen.stdout):
            if pipe is not None:
                _widen(pipe)
        self._stderr = Tail(self._popen.stderr, on_line)

    @property
    def pid(self) -> int:
        return self._popen.pid

    @property
    def stdin(self) -> IO[bytes]:
        assert self._popen.stdin is not None
        return self._popen.stdin

    @property
    def stdout(self) -> IO[bytes]:
        assert self._popen.stdout is not None
        return self._popen.stdout

    def kill(self) -> None:
        """Kill the process and its children at once. Does nothing when it has ended."""
        # Popen.returncode is set only after the child was reaped; before that its pid can't be reused.
        if self._popen.returncode is None:
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.killpg(self._popen.pid, signal.SIGKILL)

    def wait(self) -> int:
        """Wait for the end and return the exit status; negative for a signal."""
        status = self._popen.wait()
        self._stderr.settle()
        return status

    def wait_for(self, seconds: float) -> int | None:
        """Wait at most some seconds; return the exit status, or ``None`` while it still runs.

        Waits for the end of its error output first, which usually comes with its own: Popen looks for that at
        intervals, which grow to 50 ms.
        """
        end = time.monotonic() + seconds
        self._stderr.wait(seconds)
        try:
            self._popen.wait(max(0, end - time.monotonic()))
        except TimeoutExpired:
            return None
        return self.wait()

    def check(self, control: Control | None = None) -> None:
        """Wait for the end.

        :param control: is touched whenever the process has moved bytes.
        :raises BackupError: the exit status is not 0.
        """
        seen = 0
        while control and self.wait_for(1) is None:
            if (moved := self._moved()) - seen > A_FEW_BYTES:
                seen = moved
                control.touch()
        status = self.wait()
        if status:
            raise self.failure(status)

    def _moved(self) -> int:
        """Return the bytes it has read and written so far, network included; 0 where the system does not count them."""
        try:
            counts = Path(f"/proc/{self.pid}/io").read_text().split()
        except OSError:  # not Linux, or the process has just ended
            return 0
        return int(counts[counts.index("rchar:") + 1]) + int(counts[counts.index("wchar:") + 1])

    def failure(self, status: int) -> BackupError:
        """Return the error that explains this exit status."""
        return self.command.explain(self.command.name, status, self.errors)

    @property
    def errors(self) -> str:
        """The end of the error output, without secrets."""
        return redact(self._stderr.text, self.command.secrets)

    def close(self) -> None:
        """Kill what still runs and close every pipe. Safe to call twice."""
        self.kill()
        for pipe in (self._popen.stdin, self._popen.stdout):
            if pipe is not None:
                with contextlib.suppress(OSError):
                    pipe.close()
        self.wait()


def _start(command: Command, *, bind: Bind | None = None, **details: Any) -> Popen[bytes]:
    """Start a command in a session of its own.

    Ctrl-C in the terminal must reach only this process, which decides the order in which its programs end.

    :param bind: returns the argument list that binds the program to this process.
    :raises ProgramMissing: the program can't be found or run.
    :raises ProgramFailed: the system can't start it now.
    """
    try:
        return Popen(  # an argument list, never a shell
            bind(command.argv, command.env) if bind else command.argv,
            env=dict(command.env),
            umask=command.umask,
            bufsize=0,
            start_new_session=True,
            **details,
        )
    except OSError as error:
        number, reason = error.errno, error.strerror
    except ValueError as error:  # a NUL in an argument or a variable
        number, reason = errno.EINVAL, str(error)
    # Not raised in the handlers: an error report would show the variables of the failed frames, passwords among them.
    if number in CANNOT_RUN:
        raise ProgramMissing(
            gettext_noop("The program %(program)s was not found or can't be run."),
            hint=command.missing_hint,
            program=command.name,
        )
    raise ProgramFailed(
        gettext_noop("The program %(program)s could not be started: %(reason)s."),
        hint=TOO_LONG if number == errno.E2BIG else NOT_NOW,
        program=command.name,
        reason=reason,
    )


def _widen(pipe: IO[bytes]) -> None:
    """Enlarge a pipe to reduce context switches between the programs on its ends."""
    if PIPE_SIZE_COMMAND is not None:
        with contextlib.suppress(OSError):  # more than this account is allowed
            fcntl.fcntl(pipe.fileno(), PIPE_SIZE_COMMAND, PIPE_BYTES)


def detach(command: Command, on_end: Callable[[int, str], object]) -> None:
    """Start a command that outlives this process and shares no pipe with it.

    :param on_end: if it ends before this process, called with its exit status and last output, in another thread.
    """
    with _nameless_file() as output:
        process = _start(command, stdin=DEVNULL, stdout=output, stderr=output)
        kept = os.dup(output.fileno())
    threading.Thread(target=_wait, args=(process, kept, on_end), daemon=True).start()


def _nameless_file() -> IO[bytes]:
    """Return an unnamed file that a command can write to after this process has ended, and that disappears with it."""
    try:
        return TemporaryFile(buffering=0)
    except OSError:  # no folder for temporary files: the output is discarded
        return Path(os.devnull).open("r+b", buffering=0)


def _wait(process: Popen[bytes], output: int, on_end: Callable[[int, str], object]) -> None:
    status = process.wait()
    with open(output, "rb") as stream:
        stream.seek(max(0, os.fstat(output).st_size - LAST_BYTES))
        on_end(status, last_words(stream.read().decode(errors="replace")))


def write_all(pipe: IO[bytes], data: bytes) -> None:
    """Write all of ``data`` to an unbuffered pipe, which may take it in parts."""
    view = memoryview(data)
    while view:
        view = view[pipe.write(view) :]
