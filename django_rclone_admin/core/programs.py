"""Runs a command to its end: a short one, one that reports its progress, or one that runs for hours without output."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable
from dataclasses import dataclass, field

from ..exceptions import BackupError, Interrupted, Stalled, gettext_noop
from .command import Command
from .control import Control
from .leash import ENDED, Leash
from .process import Process, write_all

CHUNK = 1 << 20
"""Bytes read at a time."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Completed:
    """The result of a short command."""

    command: Command
    status: int
    output: bytes = field(repr=False)
    errors: str = field(repr=False)

    def failure(self) -> BackupError:
        """Return the error that explains the exit status."""
        return self.command.explain(self.command.name, self.status, self.errors)

    def check(self) -> Completed:
        """Return this result if it succeeded.

        :raises BackupError: it failed.
        """
        if self.status:
            raise self.failure()
        return self


def run(
    command: Command,
    *,
    timeout: float,
    stdin: bytes | None = None,
    control: Control | None = None,
    take: Callable[[bytes], object] | None = None,
) -> Completed:
    """Run a short command to its end and collect its output, whatever its exit status.

    :param timeout: seconds of wall-clock time.
    :param control: can stop it earlier.
    :param take: receives the output in pieces, which is then not collected.
    :raises Stalled: it took longer and was killed.
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
            output: list[bytes] = []
            while chunk := process.stdout.read(CHUNK):
                (take or output.append)(chunk)
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
            gettext_noop("%(program)s did not answer within %(seconds)d seconds."),
            hint=gettext_noop("Nothing was changed. Check the network and the remote, then try again."),
            program=command.name,
            seconds=timeout,
        )
    return Completed(command=command, status=status, output=b"".join(output), errors=process.errors)


def run_to_end(command: Command, control: Control) -> None:
    """Run a command that may take hours without moving visible bytes, such as building indexes.

    :raises BackupError: it failed, or the work was stopped.
    """
    process = Process(command, bound=True)
    try:
        with control.guard(process.kill):
            control.touch()
            while (status := process.wait_for(1)) is None:
                control.touch()
    finally:
        process.close()
    control.check()
    if status:
        raise process.failure(status)


def follow(command: Command, control: Control, on_line: Callable[[str], None], *, stdin: bytes = b"") -> None:
    """Run a command that reports its progress on its error output, line by line.

    :raises BackupError: it failed, or the work was stopped.
    """
    with contextlib.ExitStack() as stack:
        leash = Leash(control.lease / 2, lambda: not control.is_due()) if control.lease else None
        if leash:
            stack.enter_context(leash)
        process = Process(command, stdin=True, on_line=on_line, bound=True, leash=leash)
        stack.callback(process.close)
        with control.guard(process.kill), control.watch():
            _feed(process, stdin)
            status = process.wait()
    control.check()
    if leash and status == ENDED:
        raise Interrupted(
            gettext_noop(
                "This process stood still for more than %(seconds)d seconds, so %(program)s was ended."
            ),
            hint=gettext_noop("Nothing was changed. Run it again."),
            seconds=leash.seconds,
            program=command.name,
        )
    if status:
        raise process.failure(status)


def _feed(process: Process, data: bytes) -> None:
    with contextlib.suppress(BrokenPipeError), process.stdin as pipe:
        write_all(pipe, data)
