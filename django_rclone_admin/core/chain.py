"""A program in the middle of a stream: its output goes into another sink."""

from __future__ import annotations

import os
import threading
from collections.abc import Sequence

from ..exceptions import Stopped, gettext_noop
from .command import Command
from .compression import Stage
from .control import Control
from .process import Process, write_all
from .transfer import CHUNK, Sink, ended_early, transfer


class ChainSink:
    """A program whose output goes into another sink, with the rule of ``transfer`` kept at both joints.

    The second sink commits only after this one was told to commit *and* the program has exited with 0.

    :param control: is kept informed of activity while the last program works without moving bytes, and is asked
        before the second sink commits.
    :param stages: change the bytes between the program and the second sink.
    """

    def __init__(
        self, command: Command, sink: Sink, control: Control, *, stages: Sequence[Stage] = ()
    ) -> None:
        self._command = command
        self._sink = sink
        self._stages = stages
        self._control = control
        self._inner = control.part()
        self._process: Process | None = None
        self._output: _Output | None = None
        self._error: BaseException | None = None
        self._has_ended = threading.Event()
        # Not joined: in Python 3.11 and 3.12 an interrupted join marks the thread as ended.
        self._thread = threading.Thread(target=self._forward, daemon=True)

    def open(self) -> None:
        self._process = Process(self._command, stdin=True, stdout=True, bound=True)
        self._output = _Output(self._process)
        self._thread.start()

    def write(self, data: bytes) -> None:
        assert self._process is not None
        assert self._output is not None
        try:
            write_all(self._process.stdin, data)
        except BrokenPipeError:
            self._output.release(is_whole=False)  # lets the thread see how the program ended
            self._has_ended.wait()
            raise self._error or ended_early(self._process) from None

    def commit(self) -> None:
        assert self._process is not None
        assert self._output is not None
        self._output.release(is_whole=True)
        self._process.stdin.close()
        while not self._has_ended.wait(timeout=0.2):
            self._control.touch()  # a database that builds its indexes moves no bytes
        if self._error:
            raise self._error

    def abort(self) -> None:
        self._inner.stop(Stopped(gettext_noop("The work was stopped.")))
        if self._process:
            self._process.kill()
        if self._output:
            self._output.release(is_whole=False)

    def close(self) -> None:
        if self._process:
            if self._thread.ident and not self._has_ended.is_set():
                self.abort()
                self._has_ended.wait()
            self._process.close()

    def _forward(self) -> None:
        """Pump the program's output into the second sink; runs in its own thread."""
        assert self._process is not None
        assert self._output is not None
        try:
            transfer(self._output, self._sink, stages=self._stages, control=self._inner)
        except BaseException as error:  # noqa: BLE001  (raised again in write() or commit(), by the thread that asked)
            self._error = error
            self._process.kill()
        finally:
            self._has_ended.set()


class _Output:
    """The output of a :class:`ChainSink`'s program; complete only when the chain was told to commit."""

    def __init__(self, process: Process) -> None:
        self._process = process
        self._released = threading.Event()
        self._is_whole = False

    def release(self, *, is_whole: bool) -> None:
        """Let ``finish`` continue and tell it whether the program received its whole input. Only the first call
        counts."""
        if not self._released.is_set():
            self._is_whole = is_whole
            self._released.set()

    def open(self) -> None:
        pass

    def read(self) -> bytes:
        return os.read(self._process.stdout.fileno(), CHUNK)

    def finish(self) -> None:
        # A program may exit with success before it has read all its input (pg_restore does not wait for end-of-file):
        # only the thread that writes the input knows whether all of it arrived.
        self._released.wait()
        if not self._is_whole:
            raise ended_early(self._process)
        self._process.check()

    def abort(self) -> None:
        self._process.kill()

    def close(self) -> None:
        pass  # the chain owns the process
