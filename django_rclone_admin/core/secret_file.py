"""Programs that take a secret only from a file: it exists for as long as the program runs, for our eyes alone."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from .command import Command
from .temporary import explained, private_folder, remove_folder
from .transfer import CommandSink, CommandSource


class SecretFile:
    """A file with a secret in it, there between ``open`` and ``close``.

    :param content: its text; no file is needed for none.
    """

    def __init__(self, content: str) -> None:
        self._content = content
        self._folder: Path | None = None

    def open(self) -> Path | None:
        """Write the file, and return where it is."""
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
"""Makes the command, given where the file is."""


class SecretSource(CommandSource):
    """The standard output of a program that is given a secret in a file."""

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


class SecretSink(CommandSink):
    """The standard input of a program that is given a secret in a file."""

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
