"""The databases of this very process as they were before its first test, for after each test that commits."""

import sqlite3
from time import monotonic
from typing import Any

import pytest

from tests.support.waiting import patience


def copied(connection: Any) -> sqlite3.Connection:
    """Return a copy, in memory, of the SQLite database of one of Django's connections."""
    connection.ensure_connection()
    copy = sqlite3.connect(":memory:", check_same_thread=False)
    connection.connection.backup(copy)
    return copy


def put_back(connection: Any, copy: sqlite3.Connection) -> None:
    """Make the database of one of Django's connections what the copy is, as soon as nobody else has a lock on it."""
    started = monotonic()

    def give_up(*_state: int) -> None:
        if monotonic() - started > 30 * patience():
            pytest.fail(f"the database of {connection.alias} is still locked")

    connection.ensure_connection()
    copy.backup(connection.connection, progress=give_up, sleep=0.05)
