"""A thread that does the writes of one run to the history, so that a server that never answers blocks nobody else."""

from __future__ import annotations

import contextlib
import os
import queue
import socket
import threading
import time
from collections.abc import Callable
from concurrent.futures import Future
from typing import Any, TypeVar

from django.db import InterfaceError, OperationalError, connections
from django.db.backends.base.base import BaseDatabaseWrapper

T = TypeVar("T")

CONNECT_SECONDS = 5
"""How long a connection to the history may take."""
ANSWER_SECONDS = 10
"""How long a server may take to answer, where the client library can watch that by itself."""
LIMITS: dict[str, dict[str, int]] = {
    "postgresql": {"connect_timeout": CONNECT_SECONDS},
    "mysql": {
        "connect_timeout": CONNECT_SECONDS,
        "read_timeout": ANSWER_SECONDS,
        "write_timeout": ANSWER_SECONDS,
    },
}
"""Options of the thread's own connection, by vendor. What the site has set itself counts."""


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
        """Have the call that is being carried out fail: end its connection under its feet."""
        raw = self._connection.connection if self._connection else None
        with contextlib.suppress(Exception):  # it may be closed at this very moment, or have no socket
            holder = raw if hasattr(raw, "fileno") else getattr(raw, "_sock", None)
            duplicate = socket.socket(fileno=os.dup(holder.fileno()))  # type: ignore[union-attr]
            with duplicate:
                duplicate.shutdown(socket.SHUT_RDWR)

    def close(self, patience: float) -> None:
        """Let the thread end after its calls, and wait for that; one that hangs is left behind."""
        self._calls.put(None)
        self._thread.join(patience)

    def _work(self) -> None:
        connection = connections[self._alias]
        options = {**LIMITS.get(connection.vendor, {}), **connection.settings_dict.get("OPTIONS", {})}
        connection.settings_dict = {**connection.settings_dict, "OPTIONS": options}
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
