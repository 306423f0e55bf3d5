"""Bypasses a pooler in transaction mode, which pg_dump must not go through.

Such a pooler gives each transaction another session of the server. pg_dump changes settings of its session before its
transaction begins, so the changes would affect other clients: with an empty search path, they can't find their tables.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager
from functools import partial
from typing import Any

from django.db import DatabaseError, connections

from ...exceptions import UsageError, gettext_noop
from .server import Server

SOCKETS = ("/var/run/postgresql", "/tmp")  # noqa: S108  (PostgreSQL's socket folders, in packages and by default)
CONNECT_SECONDS = 5
Cursor = Callable[[], AbstractContextManager[Any]]
PLACE = ("HOST", "PORT", "NAME", "USER")
LOOKS = 20
"""How often the session is compared."""

HERE = """
SELECT pg_catalog.host(pg_catalog.inet_server_addr()), pg_catalog.current_setting('port'), pg_catalog.current_database(),
    session_user, pg_catalog.pg_postmaster_start_time()::text || ' ' || (
        SELECT oid FROM pg_catalog.pg_database WHERE datname = pg_catalog.current_database())
"""
"""The server as the pooler reaches it: address, port, database, user, and a value that identifies the server."""


def past_pooler(alias: str, settings: Mapping[str, Any], database: str) -> Mapping[str, Any]:
    """Return settings that reach the server itself; unchanged where no pooler in transaction mode is in between.

    :param settings: those of the live database, or of the replica.
    :raises UsageError: there is such a pooler, and it can't be bypassed.
    """
    server = Server(alias, settings)
    connection = connections[alias]
    is_own = all(settings.get(key) == connection.settings_dict.get(key) for key in PLACE)
    # A pooler that reserves a session for each client may allow only a few.
    first = (
        connection.cursor if is_own and not connection.in_atomic_block else partial(server.cursor, database)
    )
    found = _find_server(first, partial(server.cursor, database))
    if found is None:
        return settings
    address, port, name, user, identity = found
    options = {**settings.get("OPTIONS", {}), "connect_timeout": CONNECT_SECONDS}
    for host in _hosts(address, settings):
        direct = {**settings, "HOST": host, "PORT": port, "NAME": name, "USER": user, "OPTIONS": options}
        if _identity(Server(alias, direct), name) == identity:
            return direct
    raise UsageError(
        gettext_noop(
            "“%(database)s” is reached through a pooler in transaction mode, by which pg_dump would change the settings of "
            "other clients, and the server itself can't be reached at %(place)s."
        ),
        hint=gettext_noop(
            "Nothing was stored. Name the server itself, by HOST and PORT, in CONNECTION of CONNECTOR_OPTIONS, or let it be reached."
        ),
        database=alias,
        place=f"{address or SOCKETS[0]}:{port}",
    )


def _find_server(open_first: Cursor, open_second: Cursor) -> tuple[str, str, str, str, str] | None:
    """Return the result of :data:`HERE`; ``None`` if each client has a reserved session."""
    with open_first() as first:
        session = _session(first)
        if session == first.db.connection.info.backend_pid:
            return None  # the process id comes from the server itself
        with open_second() as second:
            if not any(_is_shared(session, first, second) for _ in range(LOOKS)):
                return None
            second.execute(HERE)
            found: tuple[str, str, str, str, str] = second.fetchone()
            return found


def _is_shared(session: int, first: Any, second: Any) -> bool:
    """Whether a session of the server that the first connection had goes to another one, or the other way round.

    A pooler gives a transaction the session that it got back last. So the second connection gets that of the first, or
    the first one that of the second from the time before, unless all other clients come in between each time.
    """
    second.execute("BEGIN")
    is_shared = _session(second) == session or _session(first) != session
    second.execute("ROLLBACK")
    return is_shared


def _session(cursor: Any) -> int:
    cursor.execute("SELECT pg_catalog.pg_backend_pid()")
    (number,) = cursor.fetchone()
    return int(number)


def _hosts(address: str | None, settings: Mapping[str, Any]) -> Iterator[str]:
    if address:
        yield address
    else:  # the pooler uses the server's socket, so the server runs on its machine, which may be this one
        yield from SOCKETS
        yield str(settings.get("HOST") or "")


def _identity(server: Server, database: str) -> str:
    try:
        with server.cursor(database) as cursor:
            cursor.execute(HERE)
            return str(cursor.fetchone()[-1])
    except DatabaseError:
        return ""
