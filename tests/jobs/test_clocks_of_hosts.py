"""Hosts whose clocks differ, and containers that share a host name: no live run is taken for dead."""

import os
import shutil
from collections.abc import Callable
from itertools import product
from pathlib import Path
from signal import SIGCONT

import pytest

from tests.support import programs
from tests.support.clocks import host
from tests.support.faults import add_noise, assert_failed, freeze
from tests.support.matrix import sampled
from tests.support.programs import UPLOAD, Held
from tests.support.servers import missing
from tests.support.site import Shop
from tests.support.tables import HISTORY
from tests.support.waiting import let_pass, wait_for

pytestmark = pytest.mark.slow

CONTAINER = (
    "unshare",
    "--pid",
    "--fork",
    "--kill-child",
    "--mount-proc",
    "--uts",
    *(() if os.geteuid() == 0 else ("--user", "--map-root-user")),
    "sh",
    "-c",
    'hostname web && exec "$@"',
    "sh",
)
"""Starts a program in a container of its own: with the first numbers of processes, and the host name of all the others."""
TAKEN = "“default” is locked by a database backup"

ENGINES = ["sqlite", "postgresql", "mysql"]
OFFSETS = ["+2m", "-2m", "+3d"]

on_every_engine = pytest.mark.parametrize("shop", ENGINES, indirect=True)


@pytest.fixture
def held(shop: Shop, tmp_path: Path, rclone_binary: str) -> Held:
    """Have the next backup of the shop stop in the middle of its upload."""
    add_noise(shop, 3_000)
    return programs.hold_input(tmp_path / "bin", "rclone", rclone_binary, after=500_000, when=UPLOAD)


@pytest.fixture
def working(shop: Shop, held: Held, rclone_binary: str) -> Callable[..., object]:
    """Start a backup that comes to the middle of its upload."""

    def start(**how: object) -> object:
        shop.settings["DJANGO_RCLONE"]["RCLONE_BINARY"] = str(held.program)
        process = shop.start("dbbackup", **how)
        held.wait()
        shop.settings["DJANGO_RCLONE"]["RCLONE_BINARY"] = rclone_binary
        return process

    return start


def statuses(shop: Shop) -> list[str]:
    """Return how the runs ended, in alphabetical order: their times are those of different clocks."""
    return sorted(status for (status,) in shop.execute(f"SELECT status FROM {HISTORY}"))


LOOK = """
from django.contrib.auth.models import User
from django.core.management import CommandError, call_command
from django.test import Client
client = Client(SERVER_NAME="localhost")
client.force_login(User.objects.create_superuser("looker"))
for page in ("backup/", "backup/health/", "backuprun/"):
    response = client.get("/admin/django_rclone_admin/" + page)
    assert response.status_code == 200, (page, response.status_code)
"""
"""Looks at the pages that close stale runs."""
BACK_UP = """
try:
    call_command("dbbackup")
except CommandError as error:
    assert error.returncode == 3, error
    print(error)
call_command("dbbackup", database="analytics", verbosity=0)
"""
"""Looks whether the database is locked, and makes a backup of another one, which sweeps what dead runs have left."""


@pytest.mark.parametrize(
    "shop, offset",
    sampled(product(ENGINES, OFFSETS), ("sqlite", "+3d")),
    indirect=["shop"],
)
def test_live_run_keeps_its_lock_and_its_upload_on_a_host_with_another_clock(shop, held, working, offset):
    process = working()
    there = shop.manage("shell", "--verbosity=0", "-c", LOOK + BACK_UP, env=host(offset))
    assert there.code == 0, there.err
    assert TAKEN in there.out
    assert statuses(shop) == ["running", "succeeded"]
    assert len([name for name in shop.names() if ".partial-" in name]) == 1
    held.release()
    assert shop.finish(process).code == 0


@pytest.mark.in_turns("shop")
@on_every_engine
def test_live_run_of_a_host_with_another_clock_keeps_its_lock(shop, held, working):
    process = working(env=host("-2m"))
    assert_failed(shop.manage("dbbackup"), TAKEN, code=3)
    held.release()
    assert shop.finish(process).code == 0


@pytest.mark.in_turns("shop")
@on_every_engine
def test_dead_run_of_a_host_with_another_clock_is_closed_in_time(shop, working):
    shop.settings["DJANGO_RCLONE"]["STALE_AFTER"] = 4
    process = working(env=host("+1h"), before=CONTAINER)
    shop.kill(process)
    let_pass(3)  # its heartbeat is not stale before that
    wait_for(lambda: shop.manage("dbbackup").code == 0, 60)
    assert statuses(shop) == ["interrupted", "succeeded"]


@pytest.mark.in_turns("shop")
@on_every_engine
def test_number_of_a_process_says_nothing_in_another_container(shop, held, working):
    """The heartbeat is late, and the number is that of no process here; but it may live where we can't see it."""
    if shutil.which("unshare") is None:
        missing("There is no unshare, which lets a program have numbers of processes of its own")
    process = working(before=CONTAINER)
    [(name,)] = shop.execute(f"SELECT host FROM {HISTORY}")
    assert name == "web"
    freeze(shop, process, os.killpg)
    try:
        assert_failed(shop.manage("dbbackup", before=CONTAINER), TAKEN, code=3)
    finally:
        os.killpg(process.pid, SIGCONT)
    held.release()
    assert shop.finish(process).code == 0
    assert statuses(shop) == ["succeeded"]


@pytest.mark.soak  # test_waiting kills a process of this machine, too
@on_every_engine
def test_lock_of_a_killed_process_of_this_machine_is_free_at_once_whatever_the_clocks_say(shop, working):
    shop.settings["DJANGO_RCLONE"]["STALE_AFTER"] = 600
    shop.kill(working(env=host("+1h")))
    assert shop.manage("dbbackup").code == 0
    assert statuses(shop) == ["interrupted", "succeeded"]
