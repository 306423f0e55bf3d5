"""The server of the run history stops answering in the middle of a run: the run ends by itself, and it can be stopped."""

import os
import re
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from signal import SIGCONT, SIGINT, SIGSTOP
from subprocess import Popen
from time import monotonic
from typing import Any

import pytest

from tests.support import databases, leaks, postgresql, programs
from tests.support.commands import done
from tests.support.faults import add_noise
from tests.support.postgresql import PostgreSQLServer
from tests.support.programs import UPLOAD, Held
from tests.support.servers import missing
from tests.support.shops import Shops
from tests.support.site import Result, Shop
from tests.support.tables import HISTORY
from tests.support.waiting import ends_within, wait_for

pytestmark = [pytest.mark.slow, pytest.mark.postgresql]


@pytest.fixture(scope="module")
def own_server() -> Iterator[PostgreSQLServer]:
    """A server that nobody else uses."""
    bin_dir = postgresql.system_binaries()
    with PostgreSQLServer.started(bin_dir or missing("PostgreSQL's server is not installed")) as server:
        yield server


@pytest.fixture
def server(own_server: PostgreSQLServer) -> Iterator[PostgreSQLServer]:
    """The server, which is going to be frozen, and works again after the test."""
    yield own_server
    freeze(own_server, SIGCONT)


@pytest.fixture(scope="module")
def migrated(own_server: PostgreSQLServer, shops: Shops, tmp_path_factory: pytest.TempPathFactory) -> str:
    """The name of a database with an empty run history, which others are copied from."""
    shop = shops.open(tmp_path_factory.mktemp("history") / "shop", "sqlite")
    entry = use_history(shop, own_server.create_database())
    done(shop, "migrate", "--database=history", "--verbosity=0")
    shops.clear(shop, "sqlite")
    return str(entry["NAME"])


def use_history(shop: Shop, entry: dict[str, Any]) -> dict[str, Any]:
    """Have a shop keep its run history in this database."""
    shop.settings["DATABASES"]["history"] = entry
    shop.settings["DATABASE_ROUTERS"] = [
        "tests.support.routers.HistoryRouter",
        "tests.site.routers.AnalyticsRouter",
    ]
    return entry


@pytest.fixture
def shop(make_shop: Callable[..., Shop], server: PostgreSQLServer, migrated: str) -> Shop:
    """A shop on SQLite whose run history is on that server."""
    shop: Shop = make_shop("sqlite")
    use_history(shop, server.create_database(template=migrated))
    add_noise(shop, 3_000)
    return shop


@pytest.fixture
def working(shop: Shop, tmp_path: Path, rclone_binary: str) -> tuple[Popen[bytes], Held]:
    """A backup in the middle of its upload."""
    held = programs.hold_input(tmp_path / "bin", "rclone", rclone_binary, after=500_000, when=UPLOAD)
    shop.settings["DJANGO_RCLONE"]["RCLONE_BINARY"] = str(held.program)
    process = shop.start("dbbackup")
    held.wait()
    shop.settings["DJANGO_RCLONE"]["RCLONE_BINARY"] = rclone_binary
    return process, held


def freeze(server: PostgreSQLServer, number: int = SIGSTOP) -> None:
    """Have the whole server answer nobody any more; the system goes on taking connections for it."""
    postmaster = int((server.folder / "data" / "postmaster.pid").read_text().split()[0])
    for pid in (postmaster, *leaks.descendants(postmaster)):
        with suppress(ProcessLookupError):  # a session may end meanwhile
            os.kill(pid, number)


def assert_ended(result: Result, expected: str) -> None:
    """Fail unless the command ended with this sentence; that its end could not be recorded is said before."""
    assert (result.code, re.search(expected, result.err) is None) == (1, False), result


def ends(shop: Shop) -> list[tuple[str, ...]]:
    return databases.execute(
        shop.settings["DATABASES"]["history"], f"SELECT status FROM {HISTORY} ORDER BY created_at"
    )


def test_backup_is_not_published_without_an_answer_and_ends_by_itself(shop, server, working):
    process, held = working
    freeze(server)
    held.release()
    # It waits in the question before a step, or in a query of its own until its time is over.
    assert_ended(shop.finish(process, timeout=120), "The run history (did not answer|could not be written)")
    assert shop.names() == []
    freeze(server, SIGCONT)
    assert shop.manage("prunebackups", "--database=default").code == 0
    assert ends(shop)[-1] == ("succeeded",)


def test_ctrl_c_ends_a_backup_whose_history_hangs(shop, server, working):
    process, _held = working
    freeze(server)
    process.send_signal(SIGINT)
    with ends_within(15):  # three seconds for each of two answers
        result = shop.finish(process, timeout=120)
    assert_ended(result, "Cancelled by Ctrl-C")
    assert shop.names() == []


def test_backup_that_waits_stops_before_others_may_take_its_place(shop, server, tmp_path, rclone_binary):
    held = programs.hold_input(tmp_path / "bin", "rclone", rclone_binary, after=500_000, when=UPLOAD)
    shop.settings["DJANGO_RCLONE"] |= {"RCLONE_BINARY": str(held.program), "STALE_AFTER": 20}
    process = shop.start("dbbackup")
    held.wait()
    frozen = monotonic()
    freeze(server)
    assert_ended(shop.finish(process, timeout=120), "The run history could not be written for 1[5-9] seconds")
    assert monotonic() - frozen > 14
    assert shop.names() == []


def test_connection_that_hangs_alone_is_replaced(shop, server, working):
    process, held = working
    entry = shop.settings["DATABASES"]["history"]
    query = f"SELECT pid FROM pg_stat_activity WHERE datname = '{entry['NAME']}' AND query LIKE '%{HISTORY}%' AND pid <> pg_backend_pid()"
    backends = [pid for (pid,) in databases.execute(entry, query)]
    for pid in backends:
        os.kill(pid, SIGSTOP)
    with databases.connection(entry) as history:

        def beat() -> object:
            return history.execute(f"SELECT heartbeat_at FROM {HISTORY}").fetchone()

        before = beat()
        wait_for(lambda: beat() != before, 60)
    held.release()
    result = shop.finish(process, timeout=120)
    for pid in backends:
        os.kill(pid, SIGCONT)
    assert result.code == 0, result.err
    assert ends(shop) == [("succeeded",)]
