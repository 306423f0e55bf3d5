"""Copies a SQLite database into another one by the online backup API, and can stop in the middle."""

from __future__ import annotations

import contextlib
import sqlite3
import threading
import time
from collections.abc import Callable, Iterator

from .background import PAUSE
from .opening import connect

BUSY_SECONDS = 30
"""How long to wait for the locks of others."""
PAGES = 256
"""How much is copied between two looks whether to stop: 1 MB of the usual pages."""

Prepare = Callable[[sqlite3.Connection], None]


class Copier:
    """Copies databases, and can be told to give up."""

    def __init__(self) -> None:
        self._aborted = False
        self._open: list[sqlite3.Connection] = []

    @contextlib.contextmanager
    def watched(self, connection: sqlite3.Connection) -> Iterator[sqlite3.Connection]:
        """Close a connection at the end of the block; until then its statements end when we are told to give up."""
        self._open.append(connection)
        try:
            yield connection
        finally:
            self._open.remove(connection)
            connection.close()

    def abort(self) -> None:
        """Give up. Called from another thread, or from a signal handler."""
        self._aborted = True
        self._interrupt()
        with contextlib.suppress(RuntimeError):  # the interpreter shuts down, and starts no threads any more
            threading.Thread(target=self._interrupt_until_closed, daemon=True).start()

    def _interrupt(self) -> None:
        for each in list(self._open):
            with contextlib.suppress(sqlite3.ProgrammingError):  # it is closed by now
                each.interrupt()

    def _interrupt_until_closed(self) -> None:
        """Again and again: an interrupt ends the statements that run now, not one that begins the next moment."""
        while self._open:
            self._interrupt()
            time.sleep(PAUSE)

    def copy(self, source: sqlite3.Connection, target: sqlite3.Connection) -> None:
        """Copy a database into a private file.

        :raises sqlite3.OperationalError: others lock the source for longer than we wait, or we were told to give up.
        """
        with self.reading(source):
            source.backup(target, pages=PAGES, progress=self._patience().look, sleep=PAUSE)

    def replace(
        self, path: str, source: sqlite3.Connection, *, prepare: Prepare, may_begin: Callable[[], bool]
    ) -> None:
        """Replace the live database at ``path`` by ``source``, in one transaction.

        :param prepare: gives ``source`` its last touch. It is called when nobody else can write to the live database any
            more, with a connection that reads it.
        :param may_begin: is asked once it is locked: the process may have been frozen while it waited for that.
        :raises sqlite3.OperationalError: others lock it for longer than we wait, or we were told to give up. It is what
            it was before.
        """

        def begin() -> None:
            if not may_begin():
                raise sqlite3.OperationalError("interrupted")

        with self.watched(connect(path)) as live:
            if self._lock(live):
                prepare(live)
                live.execute("ROLLBACK")  # the lock stays
                self._put(source, live, begin)
                return
            with self.watched(connect(path)) as reader:
                self._put_beside_readers(source, live, reader, prepare, begin)

    def _lock(self, live: sqlite3.Connection) -> bool:
        """Lock everybody else out until the connection is closed; false for a file in WAL mode, where that can't be done.

        The copy would lock them out too, but only when we have read the live file for the last time.
        """
        self._persist(lambda: live.execute("BEGIN EXCLUSIVE"))
        if live.execute("PRAGMA journal_mode").fetchone() == ("wal",):
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
        """Replace a database in WAL mode, whose writers are locked out by the first step of the copy."""
        seen: int | None = None

        def prepare_now() -> None:
            nonlocal seen
            seen = _version(reader)
            prepare(reader)

        def begin_now() -> None:
            begin()
            if _version(reader) != seen:
                # Somebody has written between our look and our lock. The copy takes up what we change in its source.
                prepare_now()

        self._persist(prepare_now)
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
        # Two steps at least: the first one locks, the last one commits.
        source.backup(live, pages=max(1, min(PAGES, pages // 2)), progress=look, sleep=PAUSE)

    @contextlib.contextmanager
    def reading(self, connection: sqlite3.Connection) -> Iterator[None]:
        """Hold a read transaction: a copy in several steps would begin anew whenever somebody writes."""
        connection.execute("BEGIN")
        try:
            self._persist(lambda: connection.execute("SELECT 1 FROM sqlite_master LIMIT 1").fetchone())
            yield
        finally:
            with contextlib.suppress(sqlite3.Error):
                connection.execute("ROLLBACK")

    def _persist(self, attempt: Callable[[], object]) -> None:
        """Do something until others let it be done."""
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
    """Waits for the locks of others, but not for ever, and not when we are told to give up."""

    def __init__(self, is_aborted: Callable[[], bool]) -> None:
        self._is_aborted = is_aborted
        self._since: float | None = None

    def look(self, status: int, remaining: int = 0, total: int = 0) -> None:
        """Called after each step.

        :raises sqlite3.OperationalError: told to give up, or locked for longer than ``BUSY_SECONDS``.
        """
        if status == sqlite3.SQLITE_DONE:  # it is committed
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
