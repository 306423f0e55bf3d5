"""What a command that fails must look like, and what it may leave behind: nothing."""

import os
import re
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from signal import SIGCONT, SIGSTOP
from subprocess import Popen

from django_rclone_admin.core.transfer import CHUNK
from tests.support import databases
from tests.support.databases import engine
from tests.support.site import Result, Shop
from tests.support.waiting import wait_for

NOISE = {
    "sqlite3": """
        CREATE TABLE noise AS
        WITH RECURSIVE numbers(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM numbers WHERE n < {rows})
        SELECT n, randomblob(100) AS bytes FROM numbers
    """,
    "postgresql": """
        CREATE TABLE noise AS
        SELECT n, sha512(n::text::bytea) AS bytes FROM generate_series(1, {rows}) AS n
    """,
    "mysql": """
        CREATE TABLE noise AS SELECT seq AS n, unhex(sha2(seq, 512)) AS bytes FROM seq_1_to_{rows}
    """,
}
"""Rows that no compression makes small."""

MORE_THAN_A_CHUNK = CHUNK + 100_000
"""So many bytes of a download, of noise by default, surely reach the database: the last that was read is held back."""


@contextmanager
def nothing_changes(shop: Shop) -> Iterator[None]:
    """Fail when the block changes a row of the database or anything on the remote, or leaves a temporary file."""
    assert shop.remote is not None
    rows, objects = shop.rows(), shop.remote.files()
    yield
    assert shop.remote.files() == objects
    assert shop.rows() == rows
    assert list(shop.temporary.iterdir()) == []


def assert_failed(result: Result, expected: str, *, code: int = 1) -> None:
    """Fail unless the command ended with ``code``, one sentence that ``expected`` is found in, and a hint."""
    assert result.code == code, result
    sentence, *rest = result.err.removeprefix("CommandError: ").splitlines()
    assert re.search(expected, sentence), result.err
    assert len(rest) == 1, result.err
    assert rest[0].startswith("Hint: "), result.err


def add_noise(shop: Shop, rows: int = 20_000) -> None:
    """Make the default database larger than any pipe or chunk, by a table that compresses badly."""
    shop.execute(NOISE[engine(shop.settings["DATABASES"]["default"])].format(rows=rows))


def freeze(shop: Shop, process: Popen[bytes], kill: Callable[[int, int], object] = os.kill) -> None:
    """Freeze a process, but not while it uses its history in SQLite: with that lock it would keep all others out.

    :param kill: ``os.killpg`` for all of its group.
    """

    def attempt() -> bool:
        kill(process.pid, SIGSTOP)
        wait_for(lambda: _states(process.pid) == {"T"})
        entry = shop.settings["DATABASES"]["default"]
        if engine(entry) != "sqlite3":
            return True
        try:
            with databases.connection(entry) as other:
                other.execute("PRAGMA busy_timeout = 0")
                other.execute("BEGIN EXCLUSIVE")  # nobody reads either: a reader keeps others from committing
                other.execute("ROLLBACK")
        except sqlite3.OperationalError:
            kill(process.pid, SIGCONT)
            return False
        return True

    wait_for(attempt)


def _states(pid: int) -> set[str]:
    """Return the states of all threads of a process."""
    return {
        file.read_text().rpartition(")")[2].split()[0] for file in Path(f"/proc/{pid}/task").glob("*/stat")
    }
