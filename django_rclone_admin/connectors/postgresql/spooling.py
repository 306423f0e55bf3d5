"""Loads the rows of an archive by several connections, for which pg_restore needs the archive as a file.

The free space is checked repeatedly. If it does not suffice, one connection loads the rows while they arrive, which
needs no file.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from pathlib import Path
from typing import IO

from ...core.command import Command
from ...core.control import Control
from ...core.programs import run_to_end
from ...core.room import room
from ...core.transfer import CHUNK, CommandSink

LOOK_BYTES = 64 << 20
"""Bytes written between two checks of the free space."""
RESERVE = 1 << 30
"""Bytes that must stay free."""
FACTOR = 3
"""How often the size of the file must fit into the free space: the new database may be on the same disk."""


class Spool:
    """Collects an archive in a file, and loads it when it is complete and verified.

    :param path: path of the file; the creator of its folder removes it.
    :param load: returns the command that loads the rows from a file.
    :param stream: returns the command that loads them from its standard input.
    """

    def __init__(
        self, path: Path, load: Callable[[Path], Command], stream: Callable[[], Command], control: Control
    ) -> None:
        self._path, self._load, self._stream, self._control = path, load, stream, control
        self._file: IO[bytes] | None = None
        self._size = self._next_look = 0
        self._streaming: CommandSink | None = None

    def open(self) -> None:
        self._file = self._path.open("w+b", buffering=0)

    def write(self, data: bytes) -> None:
        if self._streaming:
            self._streaming.write(data)
        elif rest := self._keep(data):
            self._go_on_streaming(rest)

    def commit(self) -> None:
        if self._streaming:
            self._streaming.commit()
        else:
            run_to_end(self._load(self._path), self._control)
            self._forget()

    def abort(self) -> None:
        if self._streaming:
            self._streaming.abort()

    def close(self) -> None:
        if self._streaming:
            self._streaming.close()
        if self._file:
            self._file.close()

    def _keep(self, data: bytes) -> bytes:
        """Write the next bytes; return those that must not, or can't, be stored in the file."""
        assert self._file is not None
        if self._size >= self._next_look and not self._has_room():
            return data
        try:
            while data:
                written = self._file.write(data)
                data, self._size = data[written:], self._size + written
        except OSError:  # another program has filled the disk
            return data
        return b""

    def _has_room(self) -> bool:
        """Whether the free space suffices until the next check."""
        assert self._file is not None
        self._next_look = self._size + LOOK_BYTES
        return room(self._file.fileno()) > FACTOR * self._next_look + RESERVE

    def _go_on_streaming(self, data: bytes) -> None:
        """Load the collected bytes, then those that arrive, by one connection."""
        assert self._file is not None
        self._streaming = CommandSink(self._stream(), control=self._control)
        self._streaming.open()
        self._file.seek(0)
        left = self._size
        while left and (chunk := self._file.read(min(CHUNK, left))):
            left -= len(chunk)
            self._streaming.write(chunk)
            self._control.check()
            self._control.touch()
        self._forget()
        self._streaming.write(data)

    def _forget(self) -> None:
        """Remove the rows from the disk."""
        with contextlib.suppress(FileNotFoundError):
            self._path.unlink()
