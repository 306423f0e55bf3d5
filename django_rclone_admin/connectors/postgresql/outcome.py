"""Asks the server about the outcome of a transaction whose end was not reported."""

from __future__ import annotations

import re
import time
from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import Any

from django.db import Error

SECONDS = 30
"""How long to retry while the server can't be reached or the transaction is running."""
PAUSE = 0.2

NOTE = b"SELECT 'transaction: ' || pg_catalog.txid_current() || ' ' || pg_catalog.pg_backend_pid();\n"
"""Makes psql print the transaction id at the beginning of the transaction."""
NOTED = re.compile(r"^transaction: (\d+) (\d+)$", re.MULTILINE)

END = """
SELECT pg_catalog.pg_terminate_backend(pid) FROM pg_catalog.pg_stat_activity
WHERE pid = %s AND backend_xid::text::bigint = %s & 4294967295
"""
"""Ends the session if it is still in the transaction. A session that waits for a standby has committed, and reports it
then."""


def was_committed(output: str, cursor: Callable[[], AbstractContextManager[Any]]) -> bool | None:
    """Return whether the transaction that psql has printed was committed; ``None`` when that can't be determined.

    :param output: psql's output. Without the transaction id, the transaction had not begun.
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
        except Error:  # the server, or the one that takes over after a failover, does not answer yet
            pass
        if time.monotonic() > deadline:
            return None
        time.sleep(PAUSE)
