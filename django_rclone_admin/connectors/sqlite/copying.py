"""Copies a SQLite database into another one by the online backup API, and can stop in the middle."""

from __future__ import annotations

import contextlib
import sqlite3
import threading
import time
from collections.abc import Callable, Iterator

BUSY_SECONDS = 30
"""How long to wait for the locks of others."""
PAUSE = 0.05
"""Seconds between two tries to get a lock."""
PAGES = 2048
"""How much is copied between two looks whether to stop: 8 MB of the usual pages."""
STEPS = 1000
"""The same for statements, in instructions of SQLite's virtual machine."""


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


class Copier:
    """Replaces one database by another in one transaction, and can be told to give up."""

    def __init__(self) -> None:
        self._aborted = threading.Event()
        self._connections: list[sqlite3.Connection] = []
        # One that a signal handler of the thread which holds it can take, too.
        self._closing = threading.RLock()

    @contextlib.contextmanager
    def connect(self, path: str) -> Iterator[sqlite3.Connection]:
        """Open a database whose statements end when we are told to give up."""
        with contextlib.closing(connect(path)) as connection:
            self._connections.append(self.watch(connection))
            try:
                yield connection
            finally:
                with self._closing:
                    self._connections.remove(connection)

    def watch(self, connection: sqlite3.Connection) -> sqlite3.Connection:
        """Have the statements of a connection end when we are told to give up, and return it."""
        connection.set_progress_handler(self._aborted.is_set, STEPS)
        return connection

    def copy(
        self,
        source: sqlite3.Connection,
        target: sqlite3.Connection,
        *,
        may_begin: Callable[[], bool] = lambda: True,
    ) -> None:
        """Copy a database.

        :param may_begin: is asked once the target is locked: the process may have been frozen while it waited for that.
        :raises sqlite3.OperationalError: others hold one of the two for longer than we wait, or we were told to give
            up. The target is what it was before.
        """
        for connection in (source, target):
            connection.execute(
                "PRAGMA busy_timeout=200"
            )  # Python goes on trying, and in between we can be stopped
        with _reading(source, _Patience(self._aborted)):
            (pages,) = source.execute("PRAGMA page_count").fetchone()
            patience = _Patience(self._aborted, may_begin)
            # The first step, which locks the target, must not be the last one, which commits.
            source.backup(target, pages=max(1, min(PAGES, pages - 1)), progress=patience.look, sleep=PAUSE)

    def abort(self) -> None:
        """Give up. Called from another thread."""
        self._aborted.set()
        with self._closing:
            for connection in self._connections:
                connection.interrupt()


class _Patience:
    """Waits for the locks of others, but not for ever, and not when we are told to give up."""

    def __init__(self, aborted: threading.Event, may_begin: Callable[[], bool] = lambda: True) -> None:
        self._aborted, self._may_begin = aborted, may_begin
        self._since: float | None = None
        self._has_begun = False

    def look(self, status: int, remaining: int = 0, total: int = 0) -> None:
        """Decide after each step, by what it came to, whether there shall be another.

        :raises sqlite3.OperationalError: no.
        """
        if status == sqlite3.SQLITE_DONE:  # it is committed
            return
        if self._aborted.is_set():
            raise sqlite3.OperationalError("interrupted")
        if not _is_busy(status):
            self._since = None
            if not self._has_begun and not self._may_begin():
                raise sqlite3.OperationalError("interrupted")
            self._has_begun = True
            return
        self._since = self._since or time.monotonic()
        if time.monotonic() - self._since > BUSY_SECONDS:
            raise sqlite3.OperationalError("database is locked")


@contextlib.contextmanager
def _reading(source: sqlite3.Connection, patience: _Patience) -> Iterator[None]:
    """Hold a read transaction: a copy in several steps would begin anew whenever somebody writes."""
    source.execute("BEGIN")
    try:
        while True:
            try:
                source.execute("SELECT 1 FROM sqlite_master LIMIT 1").fetchone()
                break
            except sqlite3.OperationalError as error:
                if not _is_busy(error.sqlite_errorcode):
                    raise
                patience.look(error.sqlite_errorcode)
                time.sleep(PAUSE)
        yield
    finally:
        with contextlib.suppress(sqlite3.Error):
            source.execute("ROLLBACK")


def _is_busy(status: int) -> bool:
    return status & 0xFF in (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED)
