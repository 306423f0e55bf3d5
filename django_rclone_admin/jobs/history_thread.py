"""A thread for one run's writes to the history, so that an unresponsive server blocks nothing else."""

from __future__ import annotations

import queue
import threading
import time
from collections.abc import Callable
from concurrent.futures import Future
from typing import Any, TypeVar

from django.db import InterfaceError, OperationalError, connections
from django.db.backends.base.base import BaseDatabaseWrapper

from .connections import break_off, limit

T = TypeVar("T")


class HistoryThread:
    """Executes calls one after the other, with its own connection.

    :param alias: the database of the history.
    """

    def __init__(self, alias: str) -> None:
        self._alias = alias
        self._calls: queue.SimpleQueue[tuple[Future[Any], Callable[[], Any]] | None] = queue.SimpleQueue()
        self._connection: BaseDatabaseWrapper | None = None
        self._busy_since: float | None = None
        self._thread = threading.Thread(target=self._work, name="run history", daemon=True)
        self._thread.start()

    def submit(self, call: Callable[[], T]) -> Future[T]:
        """Execute a call; if the connection was lost, retry once with a new one."""
        future: Future[T] = Future()
        self._calls.put((future, call))
        return future

    @property
    def busy_seconds(self) -> float:
        """The duration of the current call so far."""
        since = self._busy_since
        return 0 if since is None else time.monotonic() - since

    def break_off(self) -> None:
        """Make the current call fail."""
        if self._connection:
            break_off(self._connection)

    def close(self, patience: float) -> None:
        """End the thread after its calls, and wait for that; a hanging thread is left behind."""
        self._calls.put(None)
        self._thread.join(patience)

    def _work(self) -> None:
        connection = connections[self._alias]
        limit(connection)
        self._connection = connection
        try:
            while task := self._calls.get():
                self._busy_since = time.monotonic()
                self._carry_out(*task)
                self._busy_since = None
        finally:
            connections.close_all()

    def _carry_out(self, future: Future[T], call: Callable[[], T]) -> None:
        if not future.set_running_or_notify_cancel():
            return
        try:
            try:
                result = call()
            except (OperationalError, InterfaceError):
                connection = connections[self._alias]
                if connection.vendor == "sqlite":  # a file can't lose its connection
                    raise
                connection.close()  # a swap ends all connections, and the server may do so, too
                result = call()
        except BaseException as error:  # noqa: BLE001  (raised again where the result is read)
            future.set_exception(error)
        else:
            future.set_result(result)
