"""The table of contents of pg_dump's custom format, which is at the head of an archive; and a restore of a part of it."""

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
"""How much of the archive is kept for its table of contents; a table takes about 1 kB there."""
FIRST_TRY = 64 << 10
"""After so many bytes it is looked at for the first time, and then whenever there are twice as many."""
SECONDS = 300
HISTORY_INDEXES = "dra_run"
"""What those indexes of the history begin with that are not called after its table."""


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

    def choose(self, lines: bytes | None) -> list[str]:
        """Return pg_restore's arguments for a part of the archive.

        :param lines: those of the listing that are wanted; ``None`` for all.
        """
        if lines is None:
            return []
        file = self.path.with_name("contents")
        file.write_bytes(lines)
        return [f"--use-list={file}"]

    def forget(self) -> None:
        """Remove the bytes: rows may be in them, and nobody would remove them if we were killed."""
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
    """The OID of the system catalogue that has the object; 0 where there is none, as for rows."""
    oid: int
    """The object's OID in the database that was dumped."""
    text: str
    """Its kind, schema, name and owner, with a blank after each."""

    def is_called(self, name: str) -> bool:
        """Whether its kind, schema and name are these. One whose owner has a blank in his name is not recognised."""
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


def parts(listing: bytes) -> list[bytes | None]:
    """Cut a listing before tables that come after functions: a generated column may call a function that needs a search path."""
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
    """What of an archive is loaded into a database.

    :param history_tables: are left out, with all indexes and constraints that are called after them. Our own dumps don't have them:
        what is called alike there is the site's.
    :param others: entries that are left out too, as ``kind schema name``.
    """

    def __init__(self, history_tables: Sequence[str], others: Sequence[str]) -> None:
        tables = "|".join(map(re.escape, history_tables))
        self._table = re.compile(rf"TABLE \S+ (?:{tables}) \S+") if history_tables else None
        self._history = re.compile(
            rf"TABLE (?:DATA )?\S+ (?:{tables}) |(?!TABLE ).* (?:{tables}|{HISTORY_INDEXES})(?:_\w+)?\s"
        )
        # pg_restore puts a name into one line, too
        self._others = [re.sub(r"[\r\n]", " ", each) for each in others]

    def lines(self, listing: bytes) -> bytes | None:
        """Return the lines of a listing that are to be loaded; ``None`` for all."""
        listed = entries(listing)
        has_history = self._table is not None and any(self._table.fullmatch(each.text) for each in listed)
        wanted = [each.line for each in listed if not self._is_left_out(each, has_history=has_history)]
        return None if len(wanted) == len(listed) else b"".join(wanted)

    def _is_left_out(self, entry: Entry, *, has_history: bool) -> bool:
        is_history = has_history and self._history.match(entry.text) is not None
        return is_history or any(entry.is_called(each) for each in self._others)


class Archive:
    """Takes an archive in: waits for its table of contents, then begins to load it.

    :param listing: returns pg_restore's command that lists the contents of a file.
    :param begin: given the head of the archive and that list, returns the sink that loads the archive.
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
        """Begin to load, if the table of contents is there, what has come until now."""
        self.head.keep(self._held[self.head.size :])
        done = run(self._listing(str(self.head.path)), timeout=SECONDS)
        if done.status and not is_all and len(self._held) < HEAD_BYTES:
            self._next_try = 2 * len(self._held)
            return
        # Where it can't be listed, what loads it says why.
        self._loader = loader = self._begin(self.head, b"" if done.status else done.output)
        loader.open()
        loader.write(self._held)
        self._held = b""
