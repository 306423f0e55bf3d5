"""SQLite without its command-line program: a source that takes a consistent copy, a sink that puts one back.

Both go through SQLite's online backup API, which is one transaction: it works while others have the file open, in WAL
mode too, and a crash in its middle is rolled back by the next reader. Replacing the file would do neither.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import sqlite3
import tempfile
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import IO

from ..exceptions import BackupDamaged, ProgramFailed, UsageError
from ..exceptions import gettext_noop as _
from .sqltext import Script, dump_lines, quote

MAGIC = b"SQLite format 3\0"
CHUNK = 1 << 20
BUSY_SECONDS = 30
"""How long to wait for the locks of others."""
PREFIX = "django-rclone-admin-"


def private_folder() -> Path:
    """Create a folder that only we can read, and sweep those that a killed process of ours left behind."""
    base = Path(tempfile.gettempdir())
    for left in base.glob(f"{PREFIX}[0-9]*-*"):
        pid = left.name.removeprefix(PREFIX).split("-")[0]
        if (
            pid.isdigit()
            and left.stat(follow_symlinks=False).st_uid == os.getuid()
            and not _is_alive(int(pid))
        ):
            shutil.rmtree(left, ignore_errors=True)
    return Path(tempfile.mkdtemp(prefix=f"{PREFIX}{os.getpid()}-"))


def _is_alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True


def connect(path: str) -> sqlite3.Connection:
    """Open a database by file name or ``file:`` URI, in autocommit mode."""
    connection = sqlite3.connect(
        path,
        uri=path.startswith("file:"),
        timeout=BUSY_SECONDS,
        isolation_level=None,
        check_same_thread=False,
    )
    connection.execute("PRAGMA foreign_keys=OFF")
    return connection


def tables(connection: sqlite3.Connection) -> list[str]:
    """Return the names of the tables, SQLite's own left out."""
    rows = connection.execute(
        "SELECT name FROM sqlite_master WHERE type='table' AND name NOT LIKE 'sqlite\\_%' ESCAPE '\\'"
    )
    return sorted(name for (name,) in rows)


@contextlib.contextmanager
def explained(doing: str) -> Iterator[None]:
    """Turn SQLite's errors into ours.

    :param doing: a sentence with ``%(reason)s``.
    """
    try:
        yield
    except sqlite3.Error as error:
        raise ProgramFailed(doing, hint=_("Nothing was changed."), reason=error) from error


def check_integrity(connection: sqlite3.Connection, damaged: str) -> None:
    """Read the whole database.

    :raises BackupDamaged: with the sentence ``damaged``, when SQLite finds anything wrong.
    """
    try:
        (answer,) = connection.execute("PRAGMA integrity_check(1)").fetchone()
    except sqlite3.DatabaseError as error:
        answer = str(error)
    if answer != "ok":
        raise BackupDamaged(damaged, hint=_("SQLite says: %(answer)s"), answer=" ".join(answer.split()))


def copy_database(source: sqlite3.Connection, target: sqlite3.Connection) -> None:
    """Replace one database by another in one transaction.

    :raises sqlite3.OperationalError: others hold one of them for longer than we wait.
    """

    def give_up(status: int, remaining: int, total: int) -> None:
        if status in (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED):  # Python would try for ever
            raise sqlite3.OperationalError("database is locked")

    source.backup(target, pages=-1, progress=give_up)  # any smaller step begins anew whenever somebody writes


class Snapshot:
    """The bytes of a consistent copy of a database, taken in one step and checked before the first byte is given.

    :param path: the live file; it must exist.
    :param leave_out: tables whose rows are not copied.
    """

    def __init__(self, path: str, *, leave_out: Sequence[str] = ()) -> None:
        self._path, self._leave_out = path, leave_out
        self._folder: Path | None = None
        self._stream: IO[bytes] | None = None

    def open(self) -> None:
        self._folder = private_folder()
        copy = self._folder / "copy.sqlite3"
        with (
            explained(_("The SQLite database could not be copied: %(reason)s.")),
            contextlib.closing(connect(self._path)) as live,
            contextlib.closing(connect(str(copy))) as target,
        ):
            copy_database(live, target)
            target.execute("PRAGMA journal_mode=DELETE")
            for table in set(self._leave_out) & set(tables(target)):
                target.execute(f"DELETE FROM {quote(table)}")
            check_integrity(target, _("The live SQLite database is damaged; a copy of it is no backup."))
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
        pass  # a read from a local file does not block

    def close(self) -> None:
        if self._stream:
            self._stream.close()
        if self._folder:
            shutil.rmtree(self._folder, ignore_errors=True)


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
    :param keep: tables whose live rows survive, whatever the backup has.
    :param is_text: the bytes are SQL text.
    """

    def __init__(self, path: str, *, keep: Sequence[str] = (), is_text: bool = False) -> None:
        self._path, self._keep, self._is_text = path, keep, is_text
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
            self._script = Script(connect(str(staged)))
            self._write = self._script.execute
        else:
            self._stream = staged.open("wb")
            self._write = self._stream.write

    def write(self, data: bytes) -> None:
        try:
            self._write(data)
        except OSError as error:
            raise ProgramFailed(
                _("The private copy could not be written: %(reason)s."),
                hint=_(
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
            explained(_("The SQLite database could not be restored: %(reason)s.")),
            contextlib.closing(connect(str(self._folder / "staged.sqlite3"))) as staged,
        ):
            check_integrity(staged, _("The backup holds a damaged SQLite database."))
            staged.execute("PRAGMA journal_mode=DELETE")
            with contextlib.closing(self._connect_live()) as live:
                self._fit(staged, live)
                before = tables(live)
                copy_database(staged, live)
                self.vanished = sorted(set(before) - set(tables(live)))

    def _connect_live(self) -> sqlite3.Connection:
        try:
            return connect(self._path)
        except sqlite3.Error as error:
            raise UsageError(
                _("The SQLite file can't be opened: %(reason)s."),
                hint=_("Check that the folder of the database exists and that we may write there."),
                reason=error,
            ) from error

    def _fit(self, staged: sqlite3.Connection, live: sqlite3.Connection) -> None:
        """Carry the kept tables over, and match the page size, which a file in WAL mode can't change."""
        (size,), (staged_size,) = (each.execute("PRAGMA page_size").fetchone() for each in (live, staged))
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
        if size != staged_size and schema:
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
        pass  # a write to a local file does not block

    def close(self) -> None:
        if self._stream:
            self._stream.close()
        if self._script:
            self._script.close()
        if self._folder:
            shutil.rmtree(self._folder, ignore_errors=True)
