"""Passes a secret to a program in a private file that exists only while the program runs."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from .command import Command
from .temporary import explained, private_folder, remove_folder
from .transfer import CommandSink, CommandSource, ProgramStream


class SecretFile:
    """A private file with a secret, which exists between ``open`` and ``close``.

    :param content: its text; if empty, no file is created.
    """

    def __init__(self, content: str) -> None:
        self._content = content
        self._folder: Path | None = None

    def open(self) -> Path | None:
        """Write the file, and return its path."""
        if not self._content:
            return None
        self._folder = private_folder()
        file = self._folder / "config"
        with explained():
            file.touch(mode=0o600)
            file.write_text(self._content)
        return file

    def close(self) -> None:
        """Remove the file."""
        if self._folder:
            remove_folder(self._folder)
            self._folder = None


Make = Callable[[Path | None], Command]
"""Returns the command for the path of the file."""


class SecretProgram(ProgramStream):
    """A program that reads a secret from a file; the source and the sink below say which stream is used."""

    def __init__(self, make: Make, content: str) -> None:
        super().__init__(make(None))
        self._make, self._file = make, SecretFile(content)

    def open(self) -> None:
        self.command = self._make(self._file.open())
        super().open()

    def close(self) -> None:
        try:
            super().close()
        finally:
            self._file.close()


class SecretSource(SecretProgram, CommandSource):
    """The standard output of a program that reads a secret from a file."""


class SecretSink(SecretProgram, CommandSink):
    """The standard input of a program that reads a secret from a file."""
