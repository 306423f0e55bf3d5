"""A shop that is open for business while it is backed up and restored: nobody's read fails, and the pauses are short."""

import os
import sqlite3
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from time import monotonic
from typing import Any

import psycopg
import pymysql
import pymysql.constants.ER
import pytest

from tests.support import databases
from tests.support.faults import add_noise
from tests.support.matrix import sampled
from tests.support.site import Shop
from tests.support.waiting import wait_for

pytestmark = pytest.mark.slow

ROWS = int(os.environ.get("LOAD_ROWS") or 50_000)
"""More of them show how the pauses grow with the size of the database."""
FEW_ROWS = 2_000
READ = "SELECT count(*), sum(price) FROM shop_product"
WAITING = """
    SELECT count(*) > 0 FROM pg_stat_activity
    WHERE application_name = 'django-rclone-admin' AND wait_event_type = 'Lock' AND datname = current_database()
"""
WRITES = (
    "INSERT INTO visit (n) VALUES (1)",
    "UPDATE shop_product SET price = price + 1 WHERE id = 1",
    "INSERT INTO visit (n) VALUES (2)",
)


@dataclass
class Client:
    """Somebody who works with the database, over and over, in a connection that is opened anew when it is lost."""

    entry: dict[str, Any]
    statements: tuple[str, ...]
    longest: float = 0
    """Seconds between two successes in a row."""
    done: int = 0
    errors: list[Exception] = field(default_factory=list)

    def work(self, stop: threading.Event) -> None:
        last = monotonic()
        while not stop.is_set():
            try:
                with databases.connection(self.entry) as connection:
                    while not stop.is_set():
                        self._once(connection)
                        now = monotonic()
                        self.longest, last = max(self.longest, now - last), now
                        self.done += 1
                        stop.wait(0.01)
            except (psycopg.Error, pymysql.Error, sqlite3.Error) as error:
                self.errors.append(error)
                stop.wait(0.01)

    def _once(self, connection: Any) -> None:
        if len(self.statements) == 1:
            connection.execute(self.statements[0]).fetchall()
            return
        connection.execute("BEGIN IMMEDIATE" if databases.engine(self.entry) == "sqlite3" else "BEGIN")
        for statement in self.statements:
            connection.execute(statement)
        connection.execute("COMMIT")


@contextmanager
def business(shop: Shop) -> Iterator[list[Client]]:
    """Have two readers and a writer at work; the first of the list is the writer."""
    entry = shop.settings["DATABASES"]["default"]
    clients = [Client(entry, WRITES), Client(entry, (READ,)), Client(entry, (READ,))]
    stop = threading.Event()
    threads = [threading.Thread(target=each.work, args=(stop,)) for each in clients]
    for thread in threads:
        thread.start()
    try:
        yield clients
    finally:
        stop.set()
        for thread in threads:
            thread.join()


@pytest.mark.parametrize(
    "database, mode, strategy",
    [
        pytest.param("sqlite", "wal", "in_place", id="sqlite-wal"),
        pytest.param("sqlite", "delete", "in_place", id="sqlite-rollback", marks=pytest.mark.soak),
        pytest.param("postgresql", "", "in_place", id="postgresql-in_place", marks=pytest.mark.postgresql),
        pytest.param("postgresql", "", "swap", id="postgresql-swap", marks=pytest.mark.postgresql),
        pytest.param("mysql", "", "swap", id="mysql-swap", marks=pytest.mark.mysql),
    ],
)
@pytest.mark.parametrize("rows", sampled([FEW_ROWS, ROWS], FEW_ROWS), ids=["few", "many"])
def test_backup_and_restore_while_the_shop_is_open(make_shop, capsys, database, mode, strategy, rows):
    shop = make_shop(database)
    add_noise(shop, rows)
    shop.execute("CREATE TABLE visit (n integer)")
    if mode:
        shop.execute(f"PRAGMA journal_mode={mode}")
    pauses = {}
    restore = ["dbrestore", "--noinput", "--no-safety-backup", f"--strategy={strategy}"]
    for command in (["dbbackup"], restore):
        with business(shop) as clients:
            result = shop.manage(*command)
        assert result.code == 0, result.err
        writer, *readers = clients
        assert all(each.done for each in clients)
        allowed = is_of_a_swap if "swap" in command[-1] else lambda error: False
        for each in clients:
            assert [error for error in each.errors if not allowed(error)] == []
        pauses[command[0]] = (
            f"writer {writer.longest:.2f} s, readers {max(each.longest for each in readers):.2f} s"
        )
        if "swap" in command[-1]:
            assert max(len(each.errors) for each in clients) < 50
    assert ("noise", rows) in [(name, len(rows)) for name, rows in shop.rows().items()]
    with capsys.disabled():
        print(f"\nLongest pause, {database} {mode or strategy}, {rows} rows: {pauses}")  # noqa: T201 (that is what it measures)


@pytest.mark.soak
@pytest.mark.postgresql
def test_restore_in_place_waits_for_transactions_and_deadlocks_with_none(make_shop):
    shop = make_shop("postgresql")
    wanted = shop.rows()
    assert shop.manage("dbbackup").code == 0
    with databases.connection(shop.settings["DATABASES"]["default"]) as client:
        client.execute("BEGIN")
        client.execute("UPDATE shop_orderline SET quantity = quantity + 1")
        process = shop.start("dbrestore", "--noinput", "--strategy=in_place")
        wait_for(lambda: shop.execute(WAITING) == [(True,)])
        client.execute("UPDATE shop_product SET price = price + 1")
        client.execute("UPDATE auth_user SET is_active = true")
        client.execute("SELECT * FROM shop_order FOR UPDATE")
        client.execute("COMMIT")
        result = shop.finish(process)
    assert result.code == 0, result.err
    assert shop.rows() == wanted


def is_of_a_swap(error: Exception) -> bool:
    """Whether this is what a client sees at the moment of a swap: PostgreSQL ends its connection.

    Of MySQL, it sees a pause. A transaction of several tables may meet the exchange of the tables in a deadlock.
    """
    if isinstance(error, pymysql.err.OperationalError):
        return error.args[0] == pymysql.constants.ER.LOCK_DEADLOCK
    expected = ("terminating connection", "does not exist", "server closed the connection", "is lost")
    return isinstance(error, psycopg.OperationalError) and any(words in str(error) for words in expected)
