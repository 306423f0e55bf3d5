"""The table of contents at the head of pg_dump's custom format, and partial restores by it."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from ...core.command import Command
from ...core.programs import run
from ...core.temporary import private_folder, remove_folder
from ...core.transfer import Sink
from ...exceptions import ProgramFailed, gettext_noop

HEAD_BYTES = 64 << 20
"""How many bytes of the archive are kept for its table of contents; a table takes about 1 kB there."""
FIRST_TRY = 64 << 10
"""The size at which the table of contents is parsed first; then at every doubling."""
SECONDS = 300
HISTORY_INDEXES = "dra_run"
"""Prefixes of history indexes that are not named after their table."""


class Head:
    """The first bytes of an archive in a private file, which pg_restore accepts as an archive without data."""

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
        """Add the next bytes, up to the limit.

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

    def choose(self, lines: bytes | None) -> list[str]:
        """Return pg_restore's arguments for a part of the archive.

        :param lines: the wanted lines of the listing; ``None`` for all.
        """
        if lines is None:
            return []
        file = self.path.with_name("contents")
        file.write_bytes(lines)
        return [f"--use-list={file}"]

    def forget(self) -> None:
        """Remove the bytes: they may contain rows, and a killed process could not remove them."""
        self.path.unlink()

    def close(self) -> None:
        if self._file:
            self._file.close()
        if self._folder:
            remove_folder(self._folder)
            self._folder = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """One line of ``pg_restore --list``."""

    line: bytes
    catalogue: int
    """The OID of the object's system catalogue; 0 for entries without one, such as rows."""
    oid: int
    """The object's OID in the database that was dumped."""
    text: str
    """Its kind, schema, name and owner, with a blank after each."""

    def is_called(self, name: str) -> bool:
        """Whether its kind, schema and name are these. Fails to match if the owner's name contains a blank."""
        owner = self.text.removeprefix(name)
        return owner != self.text and owner.startswith(" ") and " " not in owner[1:]


def entries(listing: bytes) -> list[Entry]:
    """Read the output of ``pg_restore --list``."""
    found = []
    for line in listing.splitlines(keepends=True):
        if parts := re.match(rb"\d+; (\d+) (\d+) (.*)", line):
            text = parts[3].decode(errors="surrogateescape")
            found.append(Entry(line=line, catalogue=int(parts[1]), oid=int(parts[2]), text=text))
    return found


def dumped_by(listing: bytes) -> str:
    """Return the version of pg_dump from the output of ``pg_restore --list``.

    It costs nothing there. To ask ``pg_dump --version`` takes 30 ms of processor time where it is Debian's wrapper.
    """
    found = re.search(rb"^; +Dumped by pg_dump version: (\d+(?:\.\d+)*)", listing, re.MULTILINE)
    return found[1].decode() if found else ""


def parts(listing: bytes) -> list[bytes | None]:
    """Split a listing before tables that follow functions: a generated column may call a function that needs a search
    path."""
    if not listing:
        return [None]
    found: list[list[bytes]] = [[]]
    has_function = False
    for entry in entries(listing):
        if entry.text.startswith("FUNCTION "):
            has_function = True
        elif has_function and re.match(r"(FOREIGN )?TABLE (?!DATA )", entry.text):
            found.append([])
            has_function = False
        found[-1].append(entry.line)
    return [b"".join(lines) for lines in found]


class Choice:
    """Chooses the entries of an archive to load into a database.

    :param history_tables: omitted with all indexes and constraints named after them. Our own dumps don't contain these
        tables: objects with such names there belong to the site.
    :param others: more entries to omit, as ``kind schema name``.
    """

    def __init__(self, history_tables: Sequence[str], others: Sequence[str]) -> None:
        tables = "|".join(map(re.escape, history_tables))
        self._table = re.compile(rf"TABLE \S+ (?:{tables}) \S+") if history_tables else None
        self._history = re.compile(
            rf"TABLE (?:DATA )?\S+ (?:{tables}) |(?!TABLE ).* (?:{tables}|{HISTORY_INDEXES})(?:_\w+)?\s"
        )
        # pg_restore also writes a name on one line.
        self._others = [re.sub(r"[\r\n]", " ", each) for each in others]

    def lines(self, listing: bytes) -> bytes | None:
        """Return the lines of a listing to load; ``None`` for all."""
        listed = entries(listing)
        has_history = self._table is not None and any(self._table.fullmatch(each.text) for each in listed)
        wanted = [each.line for each in listed if not self._is_left_out(each, has_history=has_history)]
        return None if len(wanted) == len(listed) else b"".join(wanted)

    def _is_left_out(self, entry: Entry, *, has_history: bool) -> bool:
        is_history = has_history and self._history.match(entry.text) is not None
        return is_history or any(entry.is_called(each) for each in self._others)


class Archive:
    """Receives an archive: waits for its table of contents, then begins to load it.

    :param listing: returns the pg_restore command that lists the contents of a file.
    :param begin: called with the head of the archive and that list; returns the sink that loads the archive.
    """

    def __init__(self, listing: Callable[[str], Command], begin: Callable[[Head, bytes], Sink]) -> None:
        self._listing, self._begin = listing, begin
        self.head = Head()
        self._held = b""
        self._next_try = FIRST_TRY
        self._loader: Sink | None = None

    def open(self) -> None:
        self.head.open()

    def write(self, data: bytes) -> None:
        if self._loader:
            self._loader.write(data)
            return
        self._held += data
        if len(self._held) >= self._next_try:
            self._try(is_all=False)

    def commit(self) -> None:
        if not self._loader:
            self._try(is_all=True)
        assert self._loader is not None
        self._loader.commit()

    def abort(self) -> None:
        if self._loader:
            self._loader.abort()

    def close(self) -> None:
        if self._loader:
            self._loader.close()
        self.head.close()

    def _try(self, *, is_all: bool) -> None:
        """Begin to load the bytes received so far, if the table of contents is complete."""
        self.head.keep(self._held[self.head.size :])
        done = run(self._listing(str(self.head.path)), timeout=SECONDS)
        if done.status and not is_all and len(self._held) < HEAD_BYTES:
            self._next_try = 2 * len(self._held)
            return
        # If it can't be listed, the loader reports the reason.
        self._loader = loader = self._begin(self.head, b"" if done.status else done.output)
        loader.open()
        loader.write(self._held)
        self._held = b""
