"""A private file that a dump is written into, for a restore or an opened backup."""

from __future__ import annotations

import contextlib
import sqlite3
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

from ...core.process import write_all
from ...exceptions import ProgramFailed, gettext_noop
from .copying import Copier
from .opening import Opener
from .text import Script


class Staged:
    """A database in a private file, written from its bytes or from SQL text.

    :param is_text: the bytes are SQL text.
    :param open_copy: opens the file, with the functions that its constraints and indexes need.
    """

    def __init__(self, copier: Copier, open_copy: Opener, *, is_text: bool) -> None:
        self._copier, self._open_copy, self._is_text = copier, open_copy, is_text
        self._opened = contextlib.ExitStack()
        self._close_input: Callable[[], None]
        self._write: Callable[[bytes], object]

    def open(self, file: Path) -> None:
        self.file = file
        if self._is_text:
            connection = self._opened.enter_context(self._copier.watched(self._open_copy(str(file))))
            script = Script(connection)
            self._write, self._close_input = script.execute, script.finish
        else:
            stream = self._opened.enter_context(file.open("wb", buffering=0))
            self._write, self._close_input = partial(write_all, stream), stream.close

    def write(self, data: bytes) -> None:
        try:
            self._write(data)
        except OSError as error:
            raise ProgramFailed(
                gettext_noop("The private copy could not be written: %(reason)s."),
                hint=gettext_noop(
                    "Nothing was changed. The folder for temporary files needs room for the whole database."
                ),
                reason=error.strerror,
            ) from error

    @contextlib.contextmanager
    def whole(self) -> Iterator[sqlite3.Connection]:
        """Open the file after all of it was written."""
        self._close_input()
        with self._copier.watched(self._open_copy(str(self.file))) as connection:
            yield connection

    def close(self) -> None:
        self._opened.close()
