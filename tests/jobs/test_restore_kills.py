"""Restores that are killed at random moments: the data is that of before, or that of the backup; never between."""

import os
from collections import Counter
from collections.abc import Callable
from contextlib import closing, suppress
from pathlib import Path
from signal import SIGKILL, SIGTERM
from subprocess import Popen, TimeoutExpired
from time import monotonic

import pytest

from tests.support import leaks
from tests.support.faults import add_noise
from tests.support.site import Shop
from tests.support.swaps import history
from tests.support.tables import HISTORY
from tests.support.waiting import wait_for

pytestmark = [pytest.mark.slow, pytest.mark.soak]

MOMENTS = 10
Victim = tuple[str, Callable[[], object]]
HELPERS = {"rclone", "pg_restore", "psql", "pg_dump"}


@pytest.mark.parametrize(
    "database, strategy",
    [("sqlite", "in_place"), ("postgresql", "in_place"), ("postgresql", "swap")],
    ids=["sqlite", "in_place", "swap"],
)
def test_killed_restore_changes_all_or_nothing(make_shop, request, chance, database, strategy):
    shop = make_shop(database)
    server = None
    if database != "sqlite":
        server = request.getfixturevalue(f"{database}_server")
        shop.settings["DATABASES"]["default"] = server.with_own_role(shop.settings["DATABASES"]["default"])
    add_noise(shop)
    wanted = shop.rows()
    assert shop.manage("dbbackup").code == 0
    command = ("dbrestore", "--noinput", "--no-safety-backup", f"--strategy={strategy}")
    started = monotonic()
    assert shop.manage(*command).code == 0
    usual = monotonic() - started

    found: Counter[str] = Counter()
    for _each in range(MOMENTS):
        shop.execute("DROP TABLE IF EXISTS newer")
        shop.execute("CREATE TABLE newer AS SELECT * FROM shop_product")
        shop.execute("UPDATE shop_product SET price = price + 1")
        changed = shop.rows()
        with leaks.burying():
            process = shop.start(*command)
            with suppress(TimeoutExpired):
                process.wait(chance.uniform(0.4, 1) * usual)
            us, others = victims(process, server, shop)
            victim, kill = chance.choice(others if others and chance.random() < 0.6 else us)
            kill()
            result = shop.finish(process)
        rows = shop.rows()
        assert rows in (changed, wanted), (victim, found)
        assert "Traceback" not in result.err, (victim, result.err)
        if result.code == 0:
            assert rows == wanted, victim
        elif "Nothing was changed" in result.err:
            assert rows == changed, (victim, result.err)
        end_state = "as in the backup" if rows == wanted else "as before"
        found[end_state] += 1
        print(f"{victim}: {end_state}")  # noqa: T201 (shown where a test fails)
        # The next one would wait for a sign of life of the dead one, and so spoil our timing.
        shop.execute(f"UPDATE {HISTORY} SET lock = NULL, status = 'interrupted' WHERE lock IS NOT NULL")

    assert found.total() == MOMENTS
    assert shop.manage(*command).code == 0
    assert shop.rows() == wanted
    assert list(shop.temporary.iterdir()) == []
    assert {run["lock"] for run in history(shop)} == {None}
    if server:
        assert [name for name in databases(server, shop) if "_dra_new_" in name] == []
        wait_for(lambda: not connections(server, shop))


def victims(process: Popen[bytes], server, shop: Shop) -> tuple[list[Victim], list[Victim]]:
    """Return how we could be killed at this moment, and what else, and how."""
    us: list[Victim] = [
        ("manage.py by SIGKILL", process.kill),
        ("manage.py by SIGTERM", lambda: process.send_signal(SIGTERM)),
    ]
    others: list[Victim] = []
    for pid in leaks.descendants(process.pid):
        with suppress(OSError):
            name = Path(f"/proc/{pid}/comm").read_text().strip()
            if name in HELPERS:
                others.append((name, lambda pid=pid: end(pid)))
    if server:
        others.append(("the server's connections", lambda: terminate(server, shop)))
    return us, others


def end(pid: int) -> None:
    with suppress(ProcessLookupError):
        os.kill(pid, SIGKILL)


def terminate(server, shop: Shop) -> None:
    """End every connection of the shop to its server, as a failover does."""
    with closing(server.superuser_connection()) as connection:
        connection.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = %s",
            [shop.settings["DATABASES"]["default"]["USER"]],
        )


def databases(server, shop: Shop) -> list[str]:
    with closing(server.superuser_connection()) as connection:
        found = connection.execute(
            "SELECT datname FROM pg_database WHERE starts_with(datname, %s)", [shop.name]
        )
        return [name for (name,) in found]


def connections(server, shop: Shop) -> list[tuple[object, ...]]:
    with closing(server.superuser_connection()) as connection:
        return connection.execute(
            "SELECT datname, state, query FROM pg_stat_activity WHERE starts_with(datname, %s)", [shop.name]
        ).fetchall()
