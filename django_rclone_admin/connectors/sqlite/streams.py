"""Dumps and restores SQLite without its command-line program: a source for a consistent copy, a sink that restores one.

Both copy in one transaction: other processes may have the file open, also in WAL mode. A restore uses SQLite's online
backup API: after a crash the next reader rolls back. Replacing the file would provide neither.
"""

from __future__ import annotations

import contextlib
import sqlite3
from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import IO

from ...core.control import Control
from ...core.temporary import private_folder, remove_folder
from ...exceptions import ProgramFailed, RestoreRefused, UsageError, gettext_noop
from .background import Background
from .checking import check, is_damage, missing_name, refuse_cut
from .copying import Copier
from .opening import Opener, connect, connect_private, is_wal
from .schema import carry_over, count_rows, empty, names, tables
from .staged import Staged
from .text import dump_lines

MAGIC = b"SQLite format 3\0"
CHUNK = 1 << 20

LIVE_DAMAGED = gettext_noop("The live SQLite database is damaged, so it can't be backed up.")
DAMAGED = gettext_noop(
    "Nothing was changed. The live file itself is damaged, or not a SQLite database: to restore, move it away, with those "
    "of the same name that end in -wal, -shm and -journal, and use --no-safety-backup."
)
READING = gettext_noop("The copy of the SQLite database could not be read: %(reason)s.")


@contextlib.contextmanager
def explained(doing: str) -> Iterator[None]:
    """Turn SQLite's errors into typed errors.

    :param doing: a sentence with ``%(reason)s``.
    """
    try:
        yield
    except sqlite3.Error as error:
        hint = DAMAGED if is_damage(error) else gettext_noop("Nothing was changed.")
        raise ProgramFailed(doing, hint=hint, reason=error) from error


class Snapshot:
    """The bytes of a consistent copy of a database, taken in one transaction.

    The copy is checked in parallel; if it is damaged, ``finish`` raises, or ``read`` does as soon as the damage is
    known.

    :param path: the live file; it must exist.
    :param history: this package's own tables, which are copied empty and not reported.
    :param leave_out: tables whose rows the site excludes.
    :param open_copy: opens the copy, with the functions that its constraints and indexes need.
    :param is_full: also compare each index with its table.
    """

    def __init__(
        self,
        path: str,
        *,
        history: Sequence[str] = (),
        leave_out: Sequence[str] = (),
        open_copy: Opener = connect_private,
        is_full: bool = False,
    ) -> None:
        self._path, self._history, self._leave_out = path, history, leave_out
        self._open_copy, self._is_full = open_copy, is_full
        self.objects: dict[str, list[str]] = {}
        """Names of the copied objects, by kind."""
        self.rows: dict[str, int] = {}
        """After ``finish``: number of rows, by table."""
        self.emptied: list[str] = []
        """Those of ``leave_out`` that exist."""
        self._copier = Copier()
        self._opened = contextlib.ExitStack()
        self._checking: Background | None = None
        self._stream: IO[bytes] | None = None

    def open(self) -> None:
        folder = private_folder()
        self._opened.callback(remove_folder, folder)
        path = folder / "copy.sqlite3"
        with explained(gettext_noop("The SQLite database could not be copied: %(reason)s.")):
            # The copy would hold zeros instead of the missing bytes.
            self._copier.copy(self._path, path, partial(refuse_cut, damaged=LIVE_DAMAGED))
            copy = self._opened.enter_context(self._copier.watched(self._open_copy(str(path))))
            self.objects = names(copy, without=self._history)
            self.emptied = sorted(set(self._leave_out) & set(self.objects.get("tables", ())))
            empty(copy, {*self.emptied, *self._history} & set(tables(copy)))
        # Before the check begins: settings of the site's receivers, such as WAL, can't be reverted while another reads.
        self._stream = self._opened.enter_context(self.stream(path))
        self._checking = Background(partial(self._check, copy), self.abort)
        path.unlink()  # it stays open, and is removed even if this process is killed

    def _check(self, copy: sqlite3.Connection) -> None:
        check(copy, LIVE_DAMAGED, is_full=self._is_full)
        counted = count_rows(copy, without=self._history)
        self.rows = {name: count for name, count in counted.items() if count is not None}

    def stream(self, copy: Path) -> IO[bytes]:
        """Return the copy as a file open for reading."""
        return copy.open("rb", buffering=0)

    def read(self) -> bytes:
        assert self._stream is not None
        assert self._checking is not None
        if self._checking.has_failed:
            self.finish()
        return self._stream.read(CHUNK)

    def finish(self) -> None:
        assert self._checking is not None
        with explained(READING):
            if interruption := self._checking.wait():
                raise interruption

    def abort(self) -> None:
        self._copier.abort()

    def close(self) -> None:
        if self._checking:
            self._checking.stop()
        self._opened.close()


class SqlText(Snapshot):
    """The same copy as SQL text, as the ``.dump`` of SQLite's own program writes it."""

    def stream(self, copy: Path) -> IO[bytes]:
        connection = self._opened.enter_context(contextlib.closing(self._open_copy(str(copy))))
        self._lines = dump_lines(connection)  # excluded tables are empty by now
        return super().stream(copy)

    def read(self) -> bytes:
        lines, size = [], 0
        with explained(READING):
            try:
                for line in self._lines:
                    lines.append(line)
                    size += len(line)
                    if size >= CHUNK:
                        break
            except sqlite3.Error:
                self.finish()  # raises if the copy is damaged
                raise
        return b"".join(lines)


class Loader:
    """Writes a database into a private file, checks it, and copies it into the live file in one transaction.

    :param path: the live file, which need not exist.
    :param control: is asked right before the live file is changed.
    :param keep: tables whose live rows are kept.
    :param is_text: the bytes are SQL text.
    :param open_copy: opens the private file, with the functions that its constraints and indexes need.
    :param is_full: also compare each index with its table.
    """

    def __init__(
        self,
        path: str,
        control: Control | None = None,
        *,
        keep: Sequence[str] = (),
        is_text: bool = False,
        open_copy: Opener = connect_private,
        is_full: bool = False,
    ) -> None:
        self._path, self._keep, self._is_full = path, keep, is_full
        self._control = control or Control()
        self.vanished: list[str] = []
        """After the commit: the dropped tables."""
        self._copier = Copier()
        self._staged = Staged(self._copier, open_copy, is_text=is_text)
        self._opened = contextlib.ExitStack()
        self._replacing: Background | None = None

    @property
    def is_committed(self) -> bool:
        """Whether the live file holds the backup."""
        return self._replacing is not None and self._replacing.has_succeeded

    def open(self) -> None:
        folder = private_folder()
        self._opened.callback(remove_folder, folder)
        self._opened.callback(self._staged.close)
        self._staged.open(folder / "staged.sqlite3")

    def write(self, data: bytes) -> None:
        self._staged.write(data)

    def commit(self) -> None:
        """Replace the live data. Does not raise once the data was replaced."""
        try:
            with (
                explained(gettext_noop("The SQLite database could not be restored: %(reason)s.")),
                self._staged.whole() as staged,
            ):
                self._replacing = Background(partial(self._replace, staged), self.abort)
                self._replacing.wait(self._control.touch)
        except BaseException:
            if not self.is_committed:
                raise

    def _replace(self, staged: sqlite3.Connection) -> None:
        damaged = gettext_noop("The backup holds a damaged SQLite database.")
        missing = check(staged, damaged, is_full=self._is_full)
        try:
            live = connect(self._path)
        except sqlite3.Error as error:
            raise UsageError(
                gettext_noop("The SQLite file can't be opened: %(reason)s."),
                hint=gettext_noop(
                    "Check that the folder of the database exists and that we may write there."
                ),
                reason=error,
            ) from error
        with self._copier.watched(live), self._copier.reading(live):
            _fit(staged, live, missing)
        self._control.confirm()
        self._copier.replace(
            self._path,
            staged,
            prepare=partial(self._finish, staged),
            may_begin=lambda: not self._control.is_due(),
        )

    def _finish(self, staged: sqlite3.Connection, live: sqlite3.Connection) -> None:
        """Carry the kept tables over, and note which tables are dropped."""
        carry_over(live, staged, self._keep)
        self.vanished = sorted(set(tables(live)) - set(tables(staged)))

    def abort(self) -> None:
        self._copier.abort()

    def close(self) -> None:
        self._opened.close()


def _fit(staged: sqlite3.Connection, live: sqlite3.Connection, missing: Sequence[str]) -> None:
    """Match the page size where the live file can't change its own: in WAL mode.

    :param missing: functions and collations for which ``staged`` has only a stand-in.
    :raises RestoreRefused: the conversion would call stand-ins and build indexes from their results.
    """
    (size,), (staged_size,) = (each.execute("PRAGMA page_size").fetchone() for each in (live, staged))
    if is_wal(live) and size != staged_size:
        if missing:
            raise _not_convertible(", ".join(missing))
        try:
            staged.execute(f"PRAGMA page_size={int(size)}")
            staged.execute("VACUUM")
        except sqlite3.OperationalError as error:
            if name := missing_name(error):
                raise _not_convertible(name) from error
            raise


def _not_convertible(missing: str) -> RestoreRefused:
    return RestoreRefused(
        gettext_noop(
            "The live SQLite file is in WAL mode and has another page size than the backup, which can't be converted "
            "without the functions or collations %(missing)s."
        ),
        hint=gettext_noop(
            "Nothing was changed. Have your site add them to its connections, or move the live file away, with those "
            "that end in -wal and -shm, and restore into a new one."
        ),
        missing=missing,
    )
