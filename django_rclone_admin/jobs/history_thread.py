"""A thread that does the writes of one run to the history, so that a server that never answers blocks nobody else."""

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
    """Carries out calls one after the other, with a connection of its own.

    :param alias: of the database that holds the history.
    """

    def __init__(self, alias: str) -> None:
        self._alias = alias
        self._calls: queue.SimpleQueue[tuple[Future[Any], Callable[[], Any]] | None] = queue.SimpleQueue()
        self._connection: BaseDatabaseWrapper | None = None
        self._busy_since: float | None = None
        self._thread = threading.Thread(target=self._work, name="run history", daemon=True)
        self._thread.start()

    def submit(self, call: Callable[[], T]) -> Future[T]:
        """Have a call carried out; where the connection turns out to be gone, once more with a new one."""
        future: Future[T] = Future()
        self._calls.put((future, call))
        return future

    @property
    def busy_seconds(self) -> float:
        """For how long the call that is being carried out has taken."""
        since = self._busy_since
        return 0 if since is None else time.monotonic() - since

    def break_off(self) -> None:
        """Have the call that is being carried out fail."""
        if self._connection:
            break_off(self._connection)

    def close(self, patience: float) -> None:
        """Let the thread end after its calls, and wait for that; one that hangs is left behind."""
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
                if connection.vendor == "sqlite":  # it has no connection to lose
                    raise
                connection.close()  # a swap ends all connections, and so may the server
                result = call()
        except BaseException as error:  # noqa: BLE001  (raised again by whoever asks for the result)
            future.set_exception(error)
        else:
            future.set_result(result)
