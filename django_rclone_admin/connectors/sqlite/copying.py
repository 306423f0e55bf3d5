"""Copies SQLite databases by the online backup API, or the file of one that nobody can write to, with cancellation."""

from __future__ import annotations

import contextlib
import sqlite3
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TypeVar

from .background import PAUSE
from .file_copy import FileCopy
from .opening import connect, connect_private, is_wal

BUSY_SECONDS = 30
"""How long to wait for locks of other connections."""
PAGES = 256
"""Pages copied between two checks for a stop: 1 MB at the default page size."""
CACHE_KB = 32_000
"""The cache for replacing a database with a rollback journal. Whenever it is full of new pages, SQLite waits until the
old ones in the journal are on the disk; with its default of 2 MB that would be 14 times as often."""

Prepare = Callable[[sqlite3.Connection], None]
Work = TypeVar("Work", sqlite3.Connection, FileCopy)


class Copier:
    """Copies databases; another thread can abort it."""

    def __init__(self) -> None:
        self._aborted = False
        self._open: list[sqlite3.Connection | FileCopy] = []

    @contextlib.contextmanager
    def watched(self, work: Work) -> Iterator[Work]:
        """Close a connection at the end of the block; inside, an abort interrupts its statements."""
        self._open.append(work)
        try:
            yield work
        finally:
            self._open.remove(work)
            work.close()

    def abort(self) -> None:
        """Abort all work. Called from another thread, or from a signal handler."""
        self._aborted = True
        self._interrupt()
        with contextlib.suppress(RuntimeError):  # the interpreter is shutting down and starts no threads
            threading.Thread(target=self._interrupt_until_closed, daemon=True).start()

    def _interrupt(self) -> None:
        for each in list(self._open):
            with contextlib.suppress(sqlite3.ProgrammingError):  # already closed
                each.interrupt()

    def _interrupt_until_closed(self) -> None:
        """Interrupt repeatedly: an interrupt ends the running statements, not one that begins a moment later."""
        while self._open:
            self._interrupt()
            time.sleep(PAUSE)

    def copy(self, path: str, target: Path, look: Prepare) -> None:
        """Copy the live database at ``path`` into a new private file, in one transaction.

        :param look: called in that transaction, before the copy is made.
        :raises sqlite3.OperationalError: the source stays locked for longer than ``BUSY_SECONDS``, or the copy was
            aborted.
        """
        with (
            self.watched(FileCopy(path)) as whole,
            self.watched(connect(path)) as source,
            self.reading(source),
        ):
            look(source)
            if whole.make(source, target):
                return
            with self.watched(connect_private(str(target))) as pages:
                source.backup(pages, pages=PAGES, progress=self._patience().look, sleep=PAUSE)

    def replace(
        self, path: str, source: sqlite3.Connection, *, prepare: Prepare, may_begin: Callable[[], bool]
    ) -> None:
        """Replace the live database at ``path`` by ``source``, in one transaction.

        :param prepare: makes the last changes to ``source``. Called when no other connection can write to the live
            database any more, with a connection that reads it.
        :param may_begin: called once it is locked: the process may have been frozen while it waited.
        :raises sqlite3.OperationalError: it stays locked for longer than ``BUSY_SECONDS``, or the copy was aborted. It
            is unchanged.
        """

        def begin() -> None:
            if not may_begin():
                raise sqlite3.OperationalError("interrupted")

        with self.watched(connect(path)) as live:
            if self._lock(live):
                prepare(live)
                live.execute("ROLLBACK")  # keeps the lock
                live.execute(f"PRAGMA cache_size=-{CACHE_KB}")
                self._put(source, live, begin)
                return
            with self.watched(connect(path)) as reader:
                self._put_beside_readers(source, live, reader, prepare, begin)

    def _lock(self, live: sqlite3.Connection) -> bool:
        """Lock out all other connections until this one is closed; false for WAL mode, where that is not possible.

        The copy itself locks them out too, but only after our last read of the live file.
        """
        self._retry_while_locked(lambda: live.execute("BEGIN EXCLUSIVE"))
        if is_wal(live):
            live.execute("ROLLBACK")
            return False
        live.execute("PRAGMA locking_mode=EXCLUSIVE")
        return True

    def _put_beside_readers(
        self,
        source: sqlite3.Connection,
        live: sqlite3.Connection,
        reader: sqlite3.Connection,
        prepare: Prepare,
        begin: Callable[[], None],
    ) -> None:
        """Replace a database in WAL mode; the first step of the copy locks out other writers."""
        seen: int | None = None

        def prepare_now() -> None:
            nonlocal seen
            seen = _version(reader)
            prepare(reader)

        def begin_now() -> None:
            begin()
            if _version(reader) != seen:
                # Another connection wrote between our check and our lock. The copy includes changes of its source.
                prepare_now()

        self._retry_while_locked(prepare_now)
        self._put(source, live, begin_now)

    def _put(self, source: sqlite3.Connection, live: sqlite3.Connection, begin: Callable[[], None]) -> None:
        """Copy a database into the live one.

        :param begin: called once, when the live one is locked.
        """
        patience, has_begun = self._patience(), False

        def look(status: int, remaining: int, total: int) -> None:
            nonlocal has_begun
            patience.look(status, remaining, total)
            if status == sqlite3.SQLITE_OK and not has_begun:
                has_begun = True
                begin()

        (pages,) = source.execute("PRAGMA page_count").fetchone()
        # At least two steps: the first locks, the last commits.
        source.backup(live, pages=max(1, min(PAGES, pages // 2)), progress=look, sleep=PAUSE)

    @contextlib.contextmanager
    def reading(self, connection: sqlite3.Connection) -> Iterator[None]:
        """Hold a read transaction: otherwise a copy in several steps restarts whenever another connection writes."""
        connection.execute("BEGIN")
        try:
            self._retry_while_locked(
                lambda: connection.execute("SELECT 1 FROM sqlite_master LIMIT 1").fetchone()
            )
            yield
        finally:
            with contextlib.suppress(sqlite3.Error):
                connection.execute("ROLLBACK")

    def _retry_while_locked(self, attempt: Callable[[], object]) -> None:
        """Retry until other connections release their locks."""
        patience = self._patience()
        while True:
            try:
                attempt()
            except sqlite3.OperationalError as error:
                if not _is_busy(error.sqlite_errorcode):
                    raise
                patience.look(error.sqlite_errorcode)
                time.sleep(PAUSE)
            else:
                return

    def _patience(self) -> _Patience:
        return _Patience(lambda: self._aborted)


class _Patience:
    """Waits for locks of other connections, up to a limit, and not after an abort."""

    def __init__(self, is_aborted: Callable[[], bool]) -> None:
        self._is_aborted = is_aborted
        self._since: float | None = None

    def look(self, status: int, remaining: int = 0, total: int = 0) -> None:
        """Called after each step.

        :raises sqlite3.OperationalError: aborted, or locked for longer than ``BUSY_SECONDS``.
        """
        if status == sqlite3.SQLITE_DONE:  # committed
            return
        if self._is_aborted():
            raise sqlite3.OperationalError("interrupted")
        if not _is_busy(status):
            self._since = None
            return
        self._since = self._since or time.monotonic()
        if time.monotonic() - self._since > BUSY_SECONDS:
            raise sqlite3.OperationalError("database is locked")


def _version(connection: sqlite3.Connection) -> int:
    """Return a number that changes when another connection has written."""
    number: int = connection.execute("PRAGMA data_version").fetchone()[0]
    return number


def _is_busy(status: int) -> bool:
    return status & 0xFF in (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED)
