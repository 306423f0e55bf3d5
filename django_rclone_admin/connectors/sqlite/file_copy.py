"""Copies the file of a database as it is, in a separate process.

The system copies a file with a quarter of the processor time that SQLite needs to copy its pages. It must be a separate
process: one that closes any descriptor of a file loses all its locks on that file, those of SQLite too.
"""

from __future__ import annotations

import os
import sqlite3
import stat
from pathlib import Path

from ...core.command import Command
from ...core.process import Process
from ...exceptions import BackupError
from .opening import is_wal

WORTHWHILE = 128 << 20
"""Bytes from which on a copy of the file saves more than the start of a process costs."""


class FileCopy:
    """The copy of a live file, which is made while a connection keeps writers out.

    :param path: the live file; a URI is not copied, because it may choose another way to store the database.
    """

    def __init__(self, path: str) -> None:
        self._path = path
        self._before = _identify(path)  # before SQLite opens it
        self._process: Process | None = None
        self._is_aborted = False

    def make(self, live: sqlite3.Connection, target: Path) -> bool:
        """Copy the file; return whether the copy is made and exact. If not, the target is not there.

        :param live: holds a read transaction.
        """
        # With a rollback journal, others write to the file only when nobody reads, and what a killed one left was rolled
        # back when the transaction began. In WAL mode the file alone is not the database.
        if self._before is None or is_wal(live):
            return False
        [(size,)] = live.execute("SELECT page_count * page_size FROM pragma_page_count, pragma_page_size")
        if not (self._run(target) and self._is_whole(target, size)):
            target.unlink(missing_ok=True)
            return False
        os.truncate(target, size)  # SQLite ignores what follows the last page
        return True

    def interrupt(self) -> None:
        """Abort the copy. Called from another thread."""
        self._is_aborted = True
        if self._process:
            self._process.kill()

    def close(self) -> None:
        if self._process:
            self._process.close()

    def _run(self, target: Path) -> bool:
        argv = ("cp", "--", self._path, str(target))
        try:
            target.touch(mode=0o600)  # the live file may be read-only
            self._process = Process(Command(argv=argv, env=os.environ, name="cp"), bound=True)
        except (OSError, BackupError):  # no more files, no such program, or no more processes
            return False
        if self._is_aborted:
            self._process.kill()
        return self._process.wait() == 0

    def _is_whole(self, target: Path, size: int) -> bool:
        """Whether the path still leads to the file that SQLite has opened, and all of it was copied.

        :param size: that of all pages; a file that is smaller does not hold them as they are.
        """
        now = _identify(self._path)
        if now is None or self._before is None or not os.path.samestat(now, self._before):
            return False
        return target.stat().st_size == now.st_size >= size


def _identify(path: str) -> os.stat_result | None:
    """Return what identifies a file that is worth copying."""
    if path.startswith("file:"):
        return None
    try:
        found = Path(path).stat()
    except OSError:
        return None
    return found if stat.S_ISREG(found.st_mode) and found.st_size >= WORTHWHILE else None
