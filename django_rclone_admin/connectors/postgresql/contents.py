"""The table of contents of pg_dump's custom format, which is at the head of an archive; and a restore without all of it."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import IO

from ...core.command import Command
from ...core.programs import run
from ...core.temporary import private_folder, remove_folder
from ...core.transfer import Sink
from ...exceptions import ProgramFailed, gettext_noop

HEAD_BYTES = 64 << 20
"""How much of the archive is kept for its table of contents; a table takes about 1 kB there."""
FIRST_TRY = 64 << 10
"""After so many bytes it is looked at for the first time, and then whenever there are twice as many."""
SECONDS = 300


class Head:
    """The first bytes of an archive in a private file, which pg_restore takes for an archive without its data."""

    def __init__(self) -> None:
        self.size = 0
        self._folder: Path | None = None
        self._file: IO[bytes] | None = None

    @property
    def path(self) -> Path:
        assert self._folder is not None
        return self._folder / "head"

    def open(self) -> None:
        self._folder = private_folder()
        self._file = self.path.open("wb", buffering=0)

    def keep(self, data: bytes) -> None:
        """Add the next bytes, as long as there is room.

        :raises ProgramFailed: the disk is full.
        """
        assert self._file is not None
        data = data[: HEAD_BYTES - self.size]
        self.size += len(data)
        try:
            while data:
                data = data[self._file.write(data) :]
        except OSError as error:
            raise ProgramFailed(
                gettext_noop("The head of the archive could not be written: %(reason)s."),
                hint=gettext_noop("Nothing was changed. The folder for temporary files needs 64 MB of room."),
                reason=error.strerror,
            ) from error

    def close(self) -> None:
        if self._file:
            self._file.close()
        if self._folder:
            remove_folder(self._folder)
            self._folder = None


class WithoutTables:
    """Loads an archive, but leaves some tables out: waits for its table of contents, then begins.

    Our own dumps do not have these tables; pg_restore has no option to leave one out but a list of all the rest.

    :param listing: returns pg_restore's command that lists the contents of a file.
    :param make: returns the sink that loads the archive, given more arguments for pg_restore.
    :param tables: names of what is left out, with all indexes and constraints that are called after it.
    """

    def __init__(
        self, listing: Callable[[str], Command], make: Callable[..., Sink], tables: Sequence[str]
    ) -> None:
        self._listing, self._make = listing, make
        names = "|".join(map(re.escape, tables)).encode()
        self._left_out = re.compile(rb"\d+;.* (?:%b)(?:_\w+)?\s" % names)
        self._head = Head()
        self._held = b""
        self._next_try = FIRST_TRY
        self._loader: Sink | None = None

    def open(self) -> None:
        self._head.open()

    def write(self, data: bytes) -> None:
        if self._loader:
            self._loader.write(data)
            return
        self._held += data
        if len(self._held) >= self._next_try:
            self._begin(is_all=False)

    def commit(self) -> None:
        if loader := self._loader or self._begin(is_all=True):
            loader.commit()

    def abort(self) -> None:
        if self._loader:
            self._loader.abort()

    def close(self) -> None:
        if self._loader:
            self._loader.close()
        self._head.close()

    def _begin(self, *, is_all: bool) -> Sink | None:
        """Begin to load, if the table of contents is there, what has come until now."""
        self._head.keep(self._held[self._head.size :])
        done = run(self._listing(str(self._head.path)), timeout=SECONDS)
        if done.status and not is_all and len(self._held) < HEAD_BYTES:
            self._next_try = 2 * len(self._held)
            return None
        arguments = [] if done.status else self._choice(done.output)
        # Rows may be in it, and nobody would remove it if we were killed.
        if arguments:
            self._head.path.unlink()
        else:
            self._head.close()
        self._loader = loader = self._make(*arguments)
        loader.open()
        loader.write(self._held)
        self._held = b""
        return loader

    def _choice(self, contents: bytes) -> list[str]:
        lines = contents.splitlines(keepends=True)
        wanted = [line for line in lines if not self._left_out.match(line)]
        if len(wanted) == len(lines):
            return []
        file = self._head.path.with_name("contents")
        file.write_bytes(b"".join(wanted))
        return [f"--use-list={file}"]
