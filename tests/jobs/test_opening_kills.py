"""The opening of a backup is killed at any moment, and a writer works meanwhile: nothing live notices, and nothing stays."""

import random
import threading
from contextlib import closing
from pathlib import Path
from time import monotonic, sleep
from typing import Any

import pytest

from django_rclone_admin import api
from tests.support import databases, tables
from tests.support.mysql import MariaDBServer
from tests.support.opened import ALIAS
from tests.support.postgresql import connect
from tests.support.site import Shop
from tests.support.waiting import wait_for

LOCK_TIMEOUTS = {
    "postgresql": "SET lock_timeout = '1s'",
    "mysql": "SET SESSION lock_wait_timeout = 1, SESSION innodb_lock_wait_timeout = 1",
    "sqlite3": "PRAGMA busy_timeout = 1000",
}
"""A lock that is held for longer fails the writer. What the machine takes does not count."""


def beside(shop: Shop, request: pytest.FixtureRequest) -> list[str]:
    """Return what lies beside the live database of a shop."""
    entry = shop.settings["DATABASES"]["default"]
    name = entry["NAME"]
    kind = databases.engine(entry)
    if kind == "sqlite3":
        # The killed process may have left the journal of the live file, which belongs to that.
        return sorted(str(each) for each in Path(name).parent.glob(f"{Path(name).name}_dra_*"))
    if kind == "mysql":
        server: MariaDBServer = request.getfixturevalue("mysql_server")
        return list(server.schemas(f"{name}_dra_"))
    with closing(connect(entry)) as connection:
        query = "SELECT datname FROM pg_database WHERE starts_with(datname, %s) ORDER BY 1"
        return [each for (each,) in connection.execute(query, [f"{name}_dra_"])]


CLOSE = """
from django.core.management import call_command
call_command("closebackup", "--expired")
call_command("closebackup", "--all")
"""
OPEN = ("openbackup",)
CHECK = ("verifybackups", "--level=site")


def kill_at_random(
    shop: Shop, chance: random.Random, request: Any, times: int, command: tuple[str, ...] = OPEN
) -> None:
    live = shop.rows()
    began = monotonic()
    assert shop.manage(*command).code == 0
    usual = monotonic() - began
    assert shop.manage("closebackup", "--all").code == 0
    for _ in range(times):
        process = shop.start(*command)
        sleep(chance.uniform(0, 1.1 * usual))  # the moment is what the test is about
        shop.kill(process)
        # A server may still be creating what was asked for: then the look after that finds it.
        wait_for(lambda: is_swept(shop, request))
    assert shop.rows() == live
    [(count,)] = shop.execute(f"SELECT COUNT(*) FROM {tables.OPENED}")
    assert count == 0
    assert shop.manage(*OPEN).code == 0  # no lock is left either


def is_swept(shop: Shop, request: Any) -> bool:
    # What was whole when the kill came is open for everybody, and stays until it is closed.
    assert shop.manage("shell", "-c", CLOSE).code == 0
    return beside(shop, request) == []


@pytest.mark.backed_up
@pytest.mark.parametrize(
    "shop",
    [
        # The next test kills a check, which opens the backup, too.
        pytest.param("sqlite", marks=pytest.mark.soak),
        pytest.param("postgresql", marks=pytest.mark.postgresql),
        pytest.param("mysql", marks=pytest.mark.mysql),
    ],
    indirect=True,
)
def test_killed_at_a_random_moment(shop, chance, request):
    kill_at_random(shop, chance, request, times=1)


@pytest.mark.backed_up
def test_check_that_is_killed_leaves_nothing(shop, chance, request):
    kill_at_random(shop, chance, request, times=1, command=CHECK)


@pytest.mark.soak
@pytest.mark.backed_up
@pytest.mark.parametrize("command", [OPEN, CHECK], ids=["open", "check"])
@pytest.mark.parametrize(
    "shop",
    [
        "sqlite",
        pytest.param("postgresql", marks=pytest.mark.postgresql),
        pytest.param("mysql", marks=pytest.mark.mysql),
    ],
    indirect=True,
)
def test_killed_at_twenty_random_moments(shop, chance, request, command):
    kill_at_random(shop, chance, request, times=20, command=command)


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize(
    "books",
    [
        "sqlite",
        pytest.param("postgresql", marks=pytest.mark.postgresql),
        pytest.param("mysql", marks=pytest.mark.mysql),
    ],
    indirect=True,
)
def test_writer_is_never_held_up_and_nothing_live_is_touched(books, backups, servers):
    settings = "SELECT setconfig FROM pg_db_role_setting JOIN pg_database ON oid = setdatabase WHERE datname = current_database()"
    books.have_backup(backups.remote, servers.folder)
    sequence = books.execute("SELECT * FROM numbers") if books.engine != "sqlite3" else []
    before = books.execute(settings) if books.engine == "postgresql" else []
    done, written = threading.Event(), [1000]
    failures: list[BaseException] = []

    def write() -> None:
        try:
            with databases.connection(books.entry) as connection:
                connection.execute(LOCK_TIMEOUTS[books.engine])
                while not done.is_set():
                    written.append(written[-1] + 1)
                    connection.execute(f"INSERT INTO author VALUES ({written[-1]}, 'w')")
                    done.wait(0.005)  # leave the processor to the opening
        except BaseException as error:  # noqa: BLE001 (shown by the test)
            failures.append(error)

    writer = threading.Thread(target=write)
    writer.start()
    try:
        wait_for(lambda: len(written) > 2)
        opened = api.open_backup(database=ALIAS)
        during = len(written)
        wait_for(lambda: len(written) > during)
    finally:
        done.set()
        writer.join()
    assert failures == []
    ids = [each for (each,) in books.execute("SELECT id FROM author WHERE id > 1000 ORDER BY id")]
    assert ids == written[1:]
    assert books.execute("SELECT COUNT(*) FROM book") == [(3,)]
    if books.engine != "sqlite3":
        assert books.execute("SELECT * FROM numbers") == sequence
    if books.engine == "postgresql":
        assert books.execute(settings) == before
    api.close_backup(opened)
