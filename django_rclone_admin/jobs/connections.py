"""Connections to databases that may never answer: how long they may take, and how a call that hangs is ended."""

from __future__ import annotations

import contextlib
import os
import socket
from collections.abc import Callable, Iterator
from typing import Any

from django.db import connections
from django.db.backends.base.base import BaseDatabaseWrapper

from ..core.control import Control

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
"""Connection options, by vendor. What the site has set itself counts."""


def limit(connection: BaseDatabaseWrapper) -> None:
    """Have a connection of this thread, which is not open yet, end by itself what takes too long."""
    options = {**LIMITS.get(connection.vendor, {}), **connection.settings_dict.get("OPTIONS", {})}
    connection.settings_dict = {**connection.settings_dict, "OPTIONS": options}


def break_off(connection: BaseDatabaseWrapper) -> None:
    """Have the call that another thread is making on a connection fail: end the connection under its feet."""
    raw = connection.connection
    holder = raw if hasattr(raw, "fileno") else getattr(raw, "_sock", None)
    # It may be closed at this very moment, or have no socket.
    with contextlib.suppress(Exception), socket.socket(fileno=os.dup(holder.fileno())) as duplicate:  # type: ignore[union-attr]
        duplicate.shutdown(socket.SHUT_RDWR)


@contextlib.contextmanager
def interruptible(control: Control, *aliases: str) -> Iterator[None]:
    """While inside, stopping the work ends a query that this thread waits for on its connections to these databases."""

    def wrap(connection: BaseDatabaseWrapper) -> Callable[..., Any]:
        def wrapper(execute: Callable[..., Any], *arguments: Any) -> Any:
            with control.aborting(lambda: break_off(connection)):
                return execute(*arguments)

        return wrapper

    with contextlib.ExitStack() as stack:
        for alias in connections.settings.keys() & {*aliases}:
            stack.enter_context(connections[alias].execute_wrapper(wrap(connections[alias])))
        yield
