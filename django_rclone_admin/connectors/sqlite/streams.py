"""SQLite without its command-line program: a source that takes a consistent copy, a sink that puts one back.

Both go through SQLite's online backup API, which is one transaction: it works while others have the file open, in WAL
mode too, and a crash in its middle is rolled back by the next reader. Replacing the file would do neither.
"""

from __future__ import annotations

import contextlib
import sqlite3
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import IO

from ...core.control import Control
from ...core.temporary import private_folder, remove_folder
from ...exceptions import BackupDamaged, ProgramFailed, UsageError, gettext_noop
from .copying import Copier, connect
from .text import Script, dump_lines, quote

MAGIC = b"SQLite format 3\0"
CHUNK = 1 << 20


def tables(connection: sqlite3.Connection) -> list[str]:
    """Return the names of the tables, SQLite's own left out."""
    rows = connection.execute(
        "SELECT name FROM sqlite_master WHERE type='table' AND name NOT LIKE 'sqlite\\_%' ESCAPE '\\'"
    )
    return sorted(name for (name,) in rows)


DAMAGED = gettext_noop(
    "Nothing was changed. The live file itself is damaged: to restore, move it away, with those of the same name that "
    "end in -wal, -shm and -journal, and use --no-safety-backup."
)


@contextlib.contextmanager
def explained(doing: str) -> Iterator[None]:
    """Turn SQLite's errors into ours.

    :param doing: a sentence with ``%(reason)s``.
    """
    try:
        yield
    except sqlite3.Error as error:
        is_damaged = getattr(error, "sqlite_errorcode", 0) & 0xFF in (
            sqlite3.SQLITE_CORRUPT,
            sqlite3.SQLITE_NOTADB,
        )
        raise ProgramFailed(
            doing, hint=DAMAGED if is_damaged else gettext_noop("Nothing was changed."), reason=error
        ) from error


def check_integrity(connection: sqlite3.Connection, damaged: str) -> None:
    """Read the whole database.

    :raises BackupDamaged: with the sentence ``damaged``, when SQLite finds anything wrong.
    """
    try:
        (answer,) = connection.execute("PRAGMA integrity_check(1)").fetchone()
    except sqlite3.DatabaseError as error:
        answer = str(error)
    if answer != "ok":
        raise BackupDamaged(
            damaged, hint=gettext_noop("SQLite says: %(answer)s"), answer=" ".join(answer.split())
        )


def _empty(connection: sqlite3.Connection, names: Iterable[str]) -> None:
    """Delete the rows of tables, with what the file still holds of them, and as if there were no triggers."""
    connection.execute("PRAGMA secure_delete=ON")
    for table in names:
        owned = "FROM sqlite_master WHERE type='trigger' AND tbl_name=? COLLATE NOCASE"
        triggers = connection.execute(f"SELECT name, sql {owned}", [table]).fetchall()
        for name, _sql in triggers:
            connection.execute(f"DROP TRIGGER {quote(name)}")
        connection.execute(f"DELETE FROM {quote(table)}")
        for _name, sql in triggers:
            connection.execute(sql)


class Snapshot:
    """The bytes of a consistent copy of a database, taken in one step and checked before the first byte is given.

    :param path: the live file; it must exist.
    :param leave_out: tables whose rows are not copied.
    """

    def __init__(self, path: str, *, leave_out: Sequence[str] = ()) -> None:
        self._path, self._leave_out = path, leave_out
        self._copier = Copier()
        self._folder: Path | None = None
        self._stream: IO[bytes] | None = None

    def open(self) -> None:
        self._folder = private_folder()
        copy = self._folder / "copy.sqlite3"
        with (
            explained(gettext_noop("The SQLite database could not be copied: %(reason)s.")),
            self._copier.connect(self._path) as live,
            self._copier.connect(str(copy)) as target,
        ):
            self._copier.copy(live, target)
            target.execute("PRAGMA journal_mode=DELETE")
            _empty(target, set(self._leave_out) & set(tables(target)))
            check_integrity(
                target, gettext_noop("The live SQLite database is damaged; a copy of it is no backup.")
            )
        self._stream = self.stream(copy)

    def stream(self, copy: Path) -> IO[bytes]:
        """Return the bytes to store, given the copy."""
        stream = copy.open("rb")
        copy.unlink()  # open is enough; so nothing is left behind, however we end
        return stream

    def read(self) -> bytes:
        assert self._stream is not None
        return self._stream.read(CHUNK)

    def finish(self) -> None:
        pass

    def abort(self) -> None:
        self._copier.abort()

    def close(self) -> None:
        if self._stream:
            self._stream.close()
        if self._folder:
            remove_folder(self._folder)


class SqlText(Snapshot):
    """The same copy as SQL text, as the ``.dump`` of SQLite's own program writes it."""

    def stream(self, copy: Path) -> IO[bytes]:
        self._connection = connect(str(copy))
        self._lines = dump_lines(self._connection)  # what is left out has no rows any more
        return copy.open("rb")

    def read(self) -> bytes:
        lines, size = [], 0
        for line in self._lines:
            lines.append(line)
            size += len(line)
            if size >= CHUNK:
                break
        return b"".join(lines)

    def close(self) -> None:
        if self._stream:
            self._connection.close()
        super().close()


class Loader:
    """Collects a database in a private file, checks it, and puts it into the live file in one transaction.

    :param path: the live file, which need not exist.
    :param control: is asked right before the live file is changed.
    :param keep: tables whose live rows survive, whatever the backup has.
    :param is_text: the bytes are SQL text.
    """

    def __init__(
        self, path: str, control: Control | None = None, *, keep: Sequence[str] = (), is_text: bool = False
    ) -> None:
        self._path, self._keep, self._is_text = path, keep, is_text
        self._control = control or Control()
        self._copier = Copier()
        self.vanished: list[str] = []
        """After the commit: the tables that were there and are no more."""
        self._folder: Path | None = None
        self._stream: IO[bytes] | None = None
        self._script: Script | None = None
        self._write: Callable[[bytes], object]

    def open(self) -> None:
        self._folder = private_folder()
        staged = self._folder / "staged.sqlite3"
        if self._is_text:
            self._script = Script(self._copier.watch(connect(str(staged))))
            self._write = self._script.execute
        else:
            self._stream = staged.open("wb")
            self._write = self._stream.write

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

    def commit(self) -> None:
        assert self._folder is not None
        if self._stream:
            self._stream.close()
        if self._script:
            self._script.finish()
        with (
            explained(gettext_noop("The SQLite database could not be restored: %(reason)s.")),
            self._copier.connect(str(self._folder / "staged.sqlite3")) as staged,
        ):
            check_integrity(staged, gettext_noop("The backup holds a damaged SQLite database."))
            staged.execute("PRAGMA journal_mode=DELETE")
            with self._connect_live() as live:
                self._fit(staged, live)
                before = tables(live)
                self._control.confirm()
                self._copier.copy(staged, live, may_begin=lambda: not self._control.is_due())
                self.vanished = sorted(set(before) - set(tables(live)))

    @contextlib.contextmanager
    def _connect_live(self) -> Iterator[sqlite3.Connection]:
        try:
            connect(self._path).close()
        except sqlite3.Error as error:
            raise UsageError(
                gettext_noop("The SQLite file can't be opened: %(reason)s."),
                hint=gettext_noop(
                    "Check that the folder of the database exists and that we may write there."
                ),
                reason=error,
            ) from error
        with self._copier.connect(self._path) as live:
            yield live

    def _fit(self, staged: sqlite3.Connection, live: sqlite3.Connection) -> None:
        """Carry the kept tables over, and match the page size, which a file in WAL mode can't change."""
        (size,), (staged_size,) = (each.execute("PRAGMA page_size").fetchone() for each in (live, staged))
        (pages,) = live.execute("PRAGMA page_count").fetchone()
        schema = live.execute(
            "SELECT name, type, tbl_name, sql FROM sqlite_master WHERE sql NOT NULL"
        ).fetchall()
        for table in self._keep:
            staged.execute(f"DROP TABLE IF EXISTS {quote(table)}")
            # An index comes with its table, and must wait for it.
            for name, kind, owner, sql in sorted(schema, key=lambda row: row[1] != "table"):
                if owner == table:
                    staged.execute(sql)
                    if kind == "table":
                        self._copy_rows(live, staged, name)
        if size != staged_size and pages:
            staged.execute(f"PRAGMA page_size={int(size)}")
            staged.execute("VACUUM")

    @staticmethod
    def _copy_rows(live: sqlite3.Connection, staged: sqlite3.Connection, table: str) -> None:
        rows = live.execute(f"SELECT * FROM {quote(table)}")
        marks = ",".join("?" * len(rows.description))
        staged.execute("BEGIN")
        staged.executemany(f"INSERT INTO {quote(table)} VALUES ({marks})", rows)
        staged.execute("COMMIT")

    def abort(self) -> None:
        self._copier.abort()

    def close(self) -> None:
        if self._stream:
            self._stream.close()
        if self._script:
            self._script.close()
        if self._folder:
            remove_folder(self._folder)
