"""Streams bytes from a source into a sink, under one rule.

**The sink sees end-of-file only after the source has succeeded and every check of the bytes has passed. Otherwise the
sink is killed.** For rclone and for a database's loader end-of-file means "commit"; so a dump that dies never becomes
a backup, and a download that breaks never commits a restore.

End-of-file also happens when *we* are killed and the pipes close. A loader must not take that for success either, so
a :class:`CommandSink` may have an ``epilogue``, such as ``COMMIT``, which is sent only when the rule allows it.
"""

from __future__ import annotations

import contextlib
import os
import threading
from collections.abc import Callable, Iterable, Sequence
from typing import IO, Protocol

from ..exceptions import BackupError, OutcomeUnknown, ProgramFailed, gettext_noop
from .command import Command
from .compression import Stage
from .control import Control
from .process import Process, write_all

CHUNK = 1 << 20
"""Bytes read at a time."""
HEAD = 512
"""Bytes needed to recognise a format."""


class Source(Protocol):
    """Where bytes come from."""

    def open(self) -> None: ...

    def read(self) -> bytes:
        """Return some bytes; an empty string at the end."""

    def finish(self) -> None:
        """Check that all of it was read: raise :class:`BackupError` when the source failed."""

    def abort(self) -> None:
        """Make a blocked read return. Called from another thread."""

    def close(self) -> None:
        """Release all resources; kill what still runs."""


class Sink(Protocol):
    """Where bytes go. Written data takes effect only with ``commit``."""

    def open(self) -> None: ...

    def write(self, data: bytes) -> None: ...

    def commit(self) -> None: ...

    def abort(self) -> None:
        """Make a blocked write return. Called from another thread."""

    def close(self) -> None:
        """Release all resources; undo what was not committed."""


def transfer(
    source: Source,
    sink: Sink | Callable[[bytes], Sink],
    *,
    stages: Sequence[Stage] = (),
    control: Control | None = None,
) -> None:
    """Stream ``source`` through ``stages`` into ``sink``, under the rule of this module.

    :param sink: the sink, or a function that chooses one by the first bytes of the data.
    :param control: counts the bytes and can stop the transfer.
    :raises BackupError: a step failed; the sink has not committed.
    """
    control = control or Control()
    control.has_committed = False
    with contextlib.ExitStack() as stack:
        opened: list[Sink] = []

        def abort() -> None:
            source.abort()
            for each in opened:
                each.abort()

        def open_sink(head: bytes) -> Sink:
            chosen = sink(head) if callable(sink) else sink
            stack.callback(chosen.close)
            control.confirm()  # some sinks change the live data from the first byte
            chosen.open()
            opened.append(chosen)
            control.check()  # a stop before this point did not reach the sink
            return chosen

        stack.callback(source.close)
        stack.enter_context(control.guard(abort))
        stack.enter_context(control.watch())
        try:
            source.open()
            control.check()  # a stop before this point did not reach the source
            _pump(source, open_sink, stages, control)
        except OutcomeUnknown:
            raise
        except BackupError:
            control.check()  # a program that was killed fails: report why it was killed
            raise


def _pump(
    source: Source, open_sink: Callable[[bytes], Sink], stages: Sequence[Stage], control: Control
) -> None:
    sink: Sink | None = None
    held = b""  # the last bytes are held back until the source is known to have succeeded
    while chunk := source.read():
        control.check()
        for piece in _through(stages, chunk):
            if sink is None and len(held) < HEAD:
                held += piece
                continue
            sink = sink or open_sink(held)
            sink.write(held)
            held = piece
            # Checked here, not once a chunk: one stored megabyte may expand to gigabytes.
            control.check()
            control.touch()
        control.advance(len(chunk))
    control.check()
    source.finish()
    control.is_drained = True
    held += b"".join(_flush(stages))
    sink = sink or open_sink(held)
    sink.write(held)
    control.confirm()
    sink.commit()
    control.has_committed = True


def _through(stages: Sequence[Stage], data: bytes) -> Iterable[bytes]:
    if not stages:
        return (data,) if data else ()
    return (out for piece in stages[0].feed(data) if piece for out in _through(stages[1:], piece))


def _flush(stages: Sequence[Stage]) -> Iterable[bytes]:
    for index, stage in enumerate(stages):
        yield from _through(stages[index + 1 :], stage.finish())


class ProgramStream:
    """The part that the source and the sink of a program share."""

    def __init__(self, command: Command) -> None:
        self.command = command
        self._process: Process | None = None

    def open(self) -> None:
        """Start the program."""
        raise NotImplementedError

    def abort(self) -> None:
        if self._process:
            self._process.kill()

    def close(self) -> None:
        if self._process:
            self._process.close()


class CommandSource(ProgramStream):
    """The standard output of a program; it succeeded if the program exits with 0.

    :param bound: the program ends with the thread that opens this, so that thread must read it to the end.
    """

    def __init__(self, command: Command, *, bound: bool = True) -> None:
        super().__init__(command)
        self._bound = bound

    def open(self) -> None:
        self._process = Process(self.command, stdout=True, bound=self._bound)

    def read(self) -> bytes:
        assert self._process is not None
        return os.read(self._process.stdout.fileno(), CHUNK)

    def finish(self) -> None:
        assert self._process is not None
        self._process.check()


class CommandSink(ProgramStream):
    """The standard input of a program; it committed if the program exits with 0.

    :param prologue: bytes sent before the data.
    :param epilogue: bytes sent after the data, only when it is known to be complete.
    :param control: is touched while the program moves bytes after the end of its input: an rclone that spools for a
        storage without streaming sends them only then.
    """

    def __init__(
        self,
        command: Command,
        *,
        prologue: bytes = b"",
        epilogue: bytes = b"",
        control: Control | None = None,
    ) -> None:
        super().__init__(command)
        self._control = control
        self._prologue, self._epilogue = prologue, epilogue
        self._said: list[bytes] = []
        self._reader: threading.Thread | None = None
        self._heard = threading.Event()
        """Set when the program has printed more, or has ended."""
        self._has_ended = False

    @property
    def output(self) -> str:
        """The program's standard output."""
        return b"".join(self._said).decode(errors="replace")

    def open(self) -> None:
        self._process = Process(self.command, stdin=True, stdout=True, bound=True)
        self._reader = threading.Thread(target=self._listen, args=(self._process.stdout,), daemon=True)
        self._reader.start()
        self.write(self._prologue)

    def write(self, data: bytes) -> None:
        assert self._process is not None
        try:
            write_all(self._process.stdin, data)
        except BrokenPipeError:
            raise ended_early(self._process) from None

    def commit(self) -> None:
        assert self._process is not None
        self.write(self._epilogue)
        self._process.stdin.close()
        self._process.check(self._control)
        self._join()

    def close(self) -> None:
        if self._process:
            self._process.kill()  # before its input is closed: end-of-file would mean "commit"
            self._join()
        super().close()

    def _join(self) -> None:
        if self._reader:
            self._reader.join()

    def _listen(self, pipe: IO[bytes]) -> None:
        room = 1 << 20
        while chunk := pipe.read(65536):
            self._said.append(chunk[:room])
            room -= len(self._said[-1])
            self._heard.set()
        self._has_ended = True
        self._heard.set()


def ended_early(process: Process) -> BackupError:
    """Explain a program that ended before it had read all its input."""
    if status := process.wait():
        return process.failure(status)
    return ProgramFailed(
        gettext_noop("%(program)s ended before it had read everything."),
        hint=gettext_noop("Nothing was changed. The backup may end with bytes that do not belong to it."),
        program=process.command.name,
    )
