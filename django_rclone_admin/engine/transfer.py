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
import subprocess
import threading
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import IO, Protocol

from ..exceptions import BackupError, ProgramFailed, UsageError
from ..exceptions import gettext_noop as _
from .command import Command, Process, write_all
from .compression import Stage
from .control import Control

CHUNK = 1 << 20
"""Bytes read at a time."""
HEAD = 512
"""Bytes needed to recognise a format."""


class Source(Protocol):
    """Where bytes come from."""

    def open(self) -> None: ...

    def read(self) -> bytes:
        """Return some bytes; none at the end."""

    def finish(self) -> None:
        """Say whether all of it was read: raise :class:`BackupError` when the source failed."""

    def abort(self) -> None:
        """Make a blocked read return. Called from another thread."""

    def close(self) -> None:
        """Give back everything; whatever still runs is killed."""


class Sink(Protocol):
    """Where bytes go. What was written counts for nothing until ``commit``."""

    def open(self) -> None: ...

    def write(self, data: bytes) -> None: ...

    def commit(self) -> None: ...

    def abort(self) -> None:
        """Make a blocked write return. Called from another thread."""

    def close(self) -> None:
        """Give back everything; what was not committed is undone."""


def transfer(
    source: Source,
    sink: Sink | Callable[[bytes], Sink],
    *,
    stages: Sequence[Stage] = (),
    control: Control | None = None,
) -> None:
    """Stream ``source`` through ``stages`` into ``sink``, under the rule of this module.

    :param sink: the sink, or what chooses one by the first bytes of the data.
    :param control: counts the bytes and can stop the transfer.
    :raises BackupError: anything failed; the sink has not committed.
    """
    control = control or Control()
    with contextlib.ExitStack() as stack:
        opened: list[Sink] = []

        def abort() -> None:
            source.abort()
            for each in opened:
                each.abort()

        def open_sink(head: bytes) -> Sink:
            chosen = sink(head) if callable(sink) else sink
            stack.callback(chosen.close)
            chosen.open()
            opened.append(chosen)
            control.check()  # a stop between the choice and here has missed this sink
            return chosen

        stack.callback(source.close)
        stack.enter_context(control.guard(abort))
        stack.enter_context(control.watch())
        try:
            source.open()
            _pump(source, open_sink, stages, control)
        except BackupError:
            control.check()  # a program that we killed ends with an error: the reason is why we killed it
            raise


def _pump(
    source: Source, open_sink: Callable[[bytes], Sink], stages: Sequence[Stage], control: Control
) -> None:
    sink: Sink | None = None
    held = b""  # always keeps the last bytes back until the source's success is known
    while chunk := source.read():
        control.check()
        for piece in _through(stages, chunk):
            if sink is None and len(held) < HEAD:
                held += piece
                continue
            sink = sink or open_sink(held)
            sink.write(held)
            held = piece
        control.advance(len(chunk))
    control.check()
    source.finish()
    held += b"".join(_flush(stages))
    sink = sink or open_sink(held)
    sink.write(held)
    control.check()
    sink.commit()


def _through(stages: Sequence[Stage], data: bytes) -> Iterable[bytes]:
    if not stages:
        return (data,) if data else ()
    return (out for piece in stages[0].feed(data) if piece for out in _through(stages[1:], piece))


def _flush(stages: Sequence[Stage]) -> Iterable[bytes]:
    for index, stage in enumerate(stages):
        yield from _through(stages[index + 1 :], stage.finish())


class CommandSource:
    """The standard output of a program; it succeeded when the program exits with 0."""

    def __init__(self, command: Command) -> None:
        self.command = command
        self._process: Process | None = None

    def open(self) -> None:
        self._process = Process(self.command, stdout=subprocess.PIPE)

    def read(self) -> bytes:
        assert self._process is not None
        return os.read(self._process.stdout.fileno(), CHUNK)

    def finish(self) -> None:
        assert self._process is not None
        self._process.check()

    def abort(self) -> None:
        if self._process:
            self._process.kill()

    def close(self) -> None:
        if self._process:
            self._process.close()


class CommandSink:
    """The standard input of a program; it committed when the program exits with 0.

    :param prologue: bytes sent before the data.
    :param epilogue: bytes sent after it, only when the data is known to be whole.
    """

    def __init__(self, command: Command, *, prologue: bytes = b"", epilogue: bytes = b"") -> None:
        self.command = command
        self._prologue, self._epilogue = prologue, epilogue
        self._process: Process | None = None
        self._said: list[bytes] = []
        self._reader: threading.Thread | None = None

    @property
    def output(self) -> str:
        """What the program wrote to its standard output."""
        return b"".join(self._said).decode(errors="replace")

    def open(self) -> None:
        self._process = Process(self.command, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
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
        self._process.check()
        self._join()

    def abort(self) -> None:
        if self._process:
            self._process.kill()

    def close(self) -> None:
        if self._process:
            self._process.kill()  # before its input is closed: end-of-file would be a promise
            self._join()
            self._process.close()

    def _join(self) -> None:
        if self._reader:
            self._reader.join()

    def _listen(self, pipe: IO[bytes]) -> None:
        room = 1 << 20
        while chunk := pipe.read(65536):
            self._said.append(chunk[:room])
            room -= len(self._said[-1])


class ChainSink:
    """A program whose output goes on into another sink, with the rule kept at both joints.

    The second sink commits only after this one was told to commit *and* the program has exited with 0.

    :param control: is told that the work is alive while the last program works without moving bytes.
    :param stages: change what goes from the program into the second sink.
    """

    def __init__(
        self, command: Command, sink: Sink, control: Control, *, stages: Sequence[Stage] = ()
    ) -> None:
        self._command = command
        self._sink = sink
        self._stages = stages
        self._control = control
        self._process: Process | None = None
        self._released = threading.Event()
        self._error: BaseException | None = None
        self._thread = threading.Thread(target=self._forward, daemon=True)

    def open(self) -> None:
        self._process = Process(self._command, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        self._thread.start()

    def write(self, data: bytes) -> None:
        assert self._process is not None
        try:
            write_all(self._process.stdin, data)
        except BrokenPipeError:
            self._process.wait()
            self._released.set()  # lets the thread see how the program ended
            self._thread.join()
            raise self._error or ended_early(self._process) from None

    def commit(self) -> None:
        assert self._process is not None
        self._released.set()
        self._process.stdin.close()
        while self._thread.is_alive():
            self._control.touch()  # a database that builds its indexes moves no bytes
            self._thread.join(timeout=1)
        if self._error:
            raise self._error

    def abort(self) -> None:
        if self._process:
            self._process.kill()
        self._sink.abort()
        self._released.set()

    def close(self) -> None:
        if self._process:
            if self._thread.is_alive():
                self.abort()
            self._thread.join()
            self._process.close()

    def _forward(self) -> None:
        """Pump the program's output into the second sink; runs in a thread of its own."""
        assert self._process is not None
        try:
            transfer(_ReleasedOutput(self._process, self._released), self._sink, stages=self._stages)
        except BaseException as error:  # noqa: BLE001  (raised again in write() or commit(), by the thread that asked)
            self._error = error
            self._process.kill()


class _ReleasedOutput:
    """The output of a :class:`ChainSink`'s program; whole only after the chain was told to commit."""

    def __init__(self, process: Process, released: threading.Event) -> None:
        self._process = process
        self._released = released

    def open(self) -> None:
        pass

    def read(self) -> bytes:
        return os.read(self._process.stdout.fileno(), CHUNK)

    def finish(self) -> None:
        # A program may end before its input does, and with success: that alone must not commit anything.
        self._released.wait()
        if not self._process.stdin.closed and self._process.wait() == 0:
            raise ended_early(self._process)
        self._process.check()

    def abort(self) -> None:
        self._process.kill()

    def close(self) -> None:
        pass  # the chain owns the process


class FileSource:
    """A local file or an open binary stream, such as standard input."""

    def __init__(self, file: Path | IO[bytes]) -> None:
        self._file = file
        self._stream: IO[bytes] | None = None

    def open(self) -> None:
        try:
            self._stream = self._file.open("rb") if isinstance(self._file, Path) else self._file
        except OSError as error:
            raise UsageError(_("The file can't be read: %(reason)s."), reason=error.strerror) from error

    def read(self) -> bytes:
        assert self._stream is not None
        return self._stream.read(CHUNK)

    def finish(self) -> None:
        pass

    def abort(self) -> None:
        pass  # the next chunk is the last

    def close(self) -> None:
        if self._stream and isinstance(self._file, Path):
            self._stream.close()


class FileSink:
    """A local file, which appears under its name only when it is whole."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._partial = path.with_name(f"{path.name}.partial-{os.getpid()}")
        self._stream: IO[bytes] | None = None

    def open(self) -> None:
        try:
            self._stream = os.fdopen(
                os.open(self._partial, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb"
            )
        except OSError as error:
            raise UsageError(_("The file can't be written: %(reason)s."), reason=error.strerror) from error

    def write(self, data: bytes) -> None:
        assert self._stream is not None
        try:
            self._stream.write(data)
        except OSError as error:
            raise ProgramFailed(_("The file can't be written: %(reason)s."), reason=error.strerror) from error

    def commit(self) -> None:
        assert self._stream is not None
        try:
            self._stream.flush()
            os.fsync(self._stream.fileno())
        except OSError as error:
            raise ProgramFailed(_("The file can't be written: %(reason)s."), reason=error.strerror) from error
        self._partial.replace(self._path)

    def abort(self) -> None:
        pass  # a write to a local file does not block

    def close(self) -> None:
        if self._stream:
            with contextlib.suppress(OSError):
                self._stream.close()
            self._partial.unlink(missing_ok=True)


class StreamSink:
    """An open binary stream, such as standard output. What was written can't be taken back."""

    def __init__(self, stream: IO[bytes]) -> None:
        self._stream = stream

    def open(self) -> None:
        pass

    def write(self, data: bytes) -> None:
        try:
            self._stream.write(data)
        except BrokenPipeError as error:
            raise ProgramFailed(_("Nobody reads the output any more.")) from error

    def commit(self) -> None:
        self._stream.flush()

    def abort(self) -> None:
        pass

    def close(self) -> None:
        pass


def ended_early(process: Process) -> BackupError:
    """Explain a program that ended while there was more to read."""
    if status := process.wait():
        return process.failure(status)
    return ProgramFailed(
        _("%(program)s ended before it had read everything."),
        hint=_("Nothing was changed. The backup may have bytes at its end that do not belong to it."),
        program=process.command.name,
    )
