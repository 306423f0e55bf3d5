"""What became of a transaction whose end nobody has told us: the server is asked."""

from __future__ import annotations

import re
import time
from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import Any

from django.db import Error

SECONDS = 30
"""How long the server is asked, where it can't be reached or the transaction goes on."""
PAUSE = 0.2

NOTE = b"SELECT 'transaction: ' || pg_catalog.txid_current() || ' ' || pg_catalog.pg_backend_pid();\n"
"""Has psql say which transaction it is in, at the beginning of it."""
NOTED = re.compile(r"^transaction: (\d+) (\d+)$", re.MULTILINE)

END = """
SELECT pg_catalog.pg_terminate_backend(pid) FROM pg_catalog.pg_stat_activity
WHERE pid = %s AND backend_xid::text::bigint = %s & 4294967295
"""
"""Ends the session that is in the transaction still. One that waits for a standby has committed, and says so then."""


def was_committed(output: str, cursor: Callable[[], AbstractContextManager[Any]]) -> bool | None:
    """Return whether the transaction that psql has noted was committed; ``None`` when nobody can tell.

    :param output: what psql said. Without the note the transaction had not begun.
    :param cursor: opens a new connection.
    """
    noted = NOTED.search(output)
    if not noted:
        return False
    transaction, session = map(int, noted.groups())
    deadline = time.monotonic() + SECONDS
    while True:
        try:
            with cursor() as fresh:
                fresh.execute("SELECT pg_catalog.txid_status(%s)", [transaction])
                (status,) = fresh.fetchone()
                if status != "in progress":
                    return {"committed": True, "aborted": False}.get(status)
                fresh.execute(END, [session, transaction])
        except Error:  # no server answers, or not yet the one that has taken over
            pass
        if time.monotonic() > deadline:
            return None
        time.sleep(PAUSE)
