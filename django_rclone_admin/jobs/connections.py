"""Time limits for connections to unresponsive databases, and a way to end a hanging call."""

from __future__ import annotations

import contextlib
import os
import socket
import sqlite3
from collections.abc import Callable, Iterator
from typing import Any

from django.db import connections
from django.db.backends.base.base import BaseDatabaseWrapper

from ..core.control import Control

CONNECT_SECONDS = 5
"""Time limit for connecting to the history's database."""
ANSWER_SECONDS = 10
"""Time limit for an answer, where the client library supports it."""
LIMITS: dict[str, dict[str, int]] = {
    "postgresql": {"connect_timeout": CONNECT_SECONDS},
    "mysql": {
        "connect_timeout": CONNECT_SECONDS,
        "read_timeout": ANSWER_SECONDS,
        "write_timeout": ANSWER_SECONDS,
    },
}
"""Connection options, by vendor. The site's own options take precedence."""


def limit(connection: BaseDatabaseWrapper) -> None:
    """Set time limits on an unopened connection of this thread."""
    options = {**LIMITS.get(connection.vendor, {}), **connection.settings_dict.get("OPTIONS", {})}
    connection.settings_dict = {**connection.settings_dict, "OPTIONS": options}


def break_off(connection: BaseDatabaseWrapper) -> None:
    """Make another thread's call on a connection fail: by shutting down its socket, or an interrupt of SQLite."""
    raw = connection.connection
    if isinstance(raw, sqlite3.Connection):
        with contextlib.suppress(sqlite3.ProgrammingError):  # closed at this moment
            raw.interrupt()
        return
    holder = raw if hasattr(raw, "fileno") else getattr(raw, "_sock", None)
    # The connection may be closed at this moment, or lack a socket.
    with contextlib.suppress(Exception), socket.socket(fileno=os.dup(holder.fileno())) as duplicate:  # type: ignore[union-attr]
        duplicate.shutdown(socket.SHUT_RDWR)


@contextlib.contextmanager
def interruptible(control: Control, *aliases: str, may_go_on: bool = True) -> Iterator[None]:
    """While inside, stopping the work ends a query that this thread waits for on its connections to these databases.

    :param may_go_on: whether further queries are executed after the stop.
    """
    watched = control.aborting if may_go_on else control.guard

    def wrap(connection: BaseDatabaseWrapper) -> Callable[..., Any]:
        def wrapper(execute: Callable[..., Any], *arguments: Any) -> Any:
            with watched(lambda: break_off(connection)):
                return execute(*arguments)

        return wrapper

    with contextlib.ExitStack() as stack:
        # Not by the keys: the alias of an opened backup is found, but not listed.
        for alias in {each for each in aliases if each in connections.settings}:
            stack.enter_context(connections[alias].execute_wrapper(wrap(connections[alias])))
        yield
