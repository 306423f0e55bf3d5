"""Commands: programs as frozen argument lists, and the processes that run them. Never a shell."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from subprocess import DEVNULL, PIPE, Popen, TimeoutExpired
from typing import IO

from ..exceptions import BackupError, ProgramFailed, ProgramMissing, Stalled
from ..exceptions import gettext_noop as _
from .control import Control
from .orphans import bind
from .tail import Tail

A_FEW_BYTES = 16 * 1024
"""More than this is work; less may be what keeps a dead connection open."""

Explain = Callable[[str, int, str], BackupError]
"""Turns (program name, exit status, error output) into an error for people."""


def redact(text: str, secrets: frozenset[str]) -> str:
    """Return ``text`` with every secret replaced, longest first so that no part of one is left."""
    for secret in sorted(secrets, key=len, reverse=True):
        text = text.replace(secret, "***")
    return text


def last_words(output: str) -> str:
    """Return the lines of error output that best explain a failure: the last three that are not empty."""
    lines = [line.strip() for line in output.splitlines() if line.strip()]
    return " ".join(lines[-3:])[:500]


def program_failed(name: str, status: int, output: str) -> BackupError:
    """Explain the failure of any program by its last words."""
    if status < 0:
        return ProgramFailed(
            _("%(program)s was killed by signal %(signal)s."),
            hint=_("Nothing was changed. The system may have run out of memory; look into its log."),
            program=name,
            signal=signal.Signals(-status).name if -status in signal.valid_signals() else -status,
        )
    return ProgramFailed(
        _("%(program)s failed with exit status %(status)s: %(output)s"),
        hint=_("Nothing was changed. The text after the colon is the program's own."),
        program=name,
        status=status,
        output=last_words(output) or "-",
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Command:
    """A program with its arguments and its whole environment. ``repr`` shows the program's name alone."""

    argv: tuple[str, ...] = field(repr=False)
    """Program first. Secrets never belong here: every user of the machine can read it."""
    env: Mapping[str, str] = field(default_factory=dict, repr=False)
    """The complete environment of the process."""
    name: str
    """What messages call the program."""
    secrets: frozenset[str] = field(default=frozenset(), repr=False)
    """Strings to cut out of the program's output."""
    explain: Explain = field(default=program_failed, repr=False)
    missing_hint: str = field(default=_("Install it, or put its folder on the PATH."), repr=False)


class Process:
    """One running command, in a session of its own, its error output drained into a bounded tail.

    :param stdin: we write to its standard input, or it is this file; otherwise it has none.
    :param stdout: we read its standard output; otherwise nobody does.
    :param on_line: called with each line of its error output, in another thread.
    :param bound: it ends with the thread that starts it; a program without a pipe to us would go on when we are gone.
    :raises ProgramMissing: the program can't be found or run.
    """

    def __init__(
        self,
        command: Command,
        *,
        stdin: bool | IO[bytes] = False,
        stdout: bool = False,
        on_line: Callable[[str], None] | None = None,
        bound: bool = False,
    ) -> None:
        self.command = command
        try:
            self._popen = Popen(  # an argument list, never a shell
                bind(command.argv, command.env) if bound else command.argv,
                stdin=(PIPE if stdin else DEVNULL) if isinstance(stdin, bool) else stdin,
                stdout=PIPE if stdout else DEVNULL,
                stderr=PIPE,
                env=dict(command.env),
                bufsize=0,
                # Ctrl-C in the terminal must reach us alone: we decide in which order our programs end.
                start_new_session=True,
            )
        except (FileNotFoundError, PermissionError, NotADirectoryError) as error:
            raise ProgramMissing(
                _("The program %(program)s was not found or can't be run."),
                hint=command.missing_hint,
                program=command.name,
            ) from error
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
        """End the process and what it started, at once. Does nothing when it has ended already."""
        # Popen.returncode is set only after the child was reaped; before that its pid can't belong to another.
        if self._popen.returncode is None:
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.killpg(self._popen.pid, signal.SIGKILL)

    def wait(self, timeout: float | None = None) -> int:
        """Wait for the end and return the exit status; negative for a signal.

        :raises subprocess.TimeoutExpired: it still runs after ``timeout`` seconds.
        """
        status = self._popen.wait(timeout)
        self._stderr.settle()
        return status

    def check(self, control: Control | None = None) -> None:
        """Wait for the end.

        :param control: is told that the work is alive whenever the process has moved bytes.
        :raises BackupError: the exit status is not 0.
        """
        seen = 0
        while True:
            try:
                status = self.wait(timeout=1 if control else None)
                break
            except TimeoutExpired:
                assert control
                if (moved := self._moved()) - seen > A_FEW_BYTES:
                    seen = moved
                    control.touch()
        if status:
            raise self.failure(status)

    def _moved(self) -> int:
        """Return how many bytes it has read and written by now, network included; 0 where the system does not tell."""
        try:
            counts = Path(f"/proc/{self.pid}/io").read_text().split()
        except OSError:  # only Linux has it; or it has ended just now
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
        """Kill what still runs and give back every pipe. Safe to call twice."""
        self.kill()
        for pipe in (self._popen.stdin, self._popen.stdout):
            if pipe is not None:
                with contextlib.suppress(OSError):
                    pipe.close()
        self.wait()


@dataclass(frozen=True, slots=True, kw_only=True)
class Completed:
    """What a short command left behind."""

    status: int
    output: bytes = field(repr=False)
    errors: str = field(repr=False)


def run(
    command: Command, *, timeout: float, stdin: bytes | None = None, control: Control | None = None
) -> Completed:
    """Run a short command to its end and collect its output, whatever its exit status.

    :param timeout: seconds of wall-clock time.
    :param control: can stop it before that.
    :raises Stalled: it took longer, and was killed.
    :raises ProgramMissing: it can't be started.
    """
    process = Process(command, stdin=stdin is not None, stdout=True)
    expired = threading.Event()

    def expire() -> None:
        expired.set()
        process.kill()

    timer = threading.Timer(timeout, expire)
    timer.daemon = True
    timer.start()
    try:
        with (control or Control()).guard(process.kill):
            feeder = threading.Thread(target=_feed, args=(process, stdin or b""), daemon=True)
            if stdin is not None:
                feeder.start()
            output = process.stdout.read()
            status = process.wait()
            if stdin is not None:
                feeder.join()
    finally:
        timer.cancel()
        process.close()
    if control:
        control.check()
    if expired.is_set() and status < 0:
        raise Stalled(
            _("%(program)s did not answer within %(seconds)d seconds."),
            hint=_("Nothing was changed. Check the network and the remote, then try again."),
            program=command.name,
            seconds=timeout,
        )
    return Completed(status=status, output=output, errors=process.errors)


def detach(command: Command) -> None:
    """Start a command that outlives us, with no pipe to us; a thread reaps it if it ends first."""
    process = Popen(
        command.argv,
        stdin=DEVNULL,
        stdout=DEVNULL,
        stderr=DEVNULL,
        env=dict(command.env),
        start_new_session=True,
    )
    threading.Thread(target=process.wait, daemon=True).start()


def run_to_end(command: Command, control: Control) -> None:
    """Run a command that may take hours and moves no bytes that we see, such as the building of indexes.

    :raises BackupError: it failed, or the work was stopped.
    """
    process = Process(command, bound=True)
    try:
        with control.guard(process.kill):
            while True:
                control.touch()
                try:
                    status = process.wait(timeout=1)
                    break
                except TimeoutExpired:
                    continue
    finally:
        process.close()
    control.check()
    if status:
        raise process.failure(status)


def follow(command: Command, control: Control, on_line: Callable[[str], None], *, stdin: bytes = b"") -> None:
    """Run a command that reports its progress on its error output, a line at a time.

    :raises BackupError: it failed, or the work was stopped.
    """
    process = Process(command, stdin=True, on_line=on_line, bound=True)
    try:
        with control.guard(process.kill), control.watch():
            _feed(process, stdin)
            status = process.wait()
    finally:
        process.close()
    control.check()
    if status:
        raise process.failure(status)


def _feed(process: Process, data: bytes) -> None:
    with contextlib.suppress(BrokenPipeError), process.stdin as pipe:
        write_all(pipe, data)


def write_all(pipe: IO[bytes], data: bytes) -> None:
    """Write all of ``data`` to an unbuffered pipe, which may take it in parts."""
    view = memoryview(data)
    while view:
        view = view[pipe.write(view) :]


def find_program(name: str, *folders: str | Path | None) -> str:
    """Return the full path of a program, looking into ``folders`` before the PATH; else its bare name."""
    for folder in folders:
        if folder and (found := shutil.which(name, path=str(folder))):
            return found
    return shutil.which(name) or name
