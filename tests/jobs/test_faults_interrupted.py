"""Our process is ended from outside, at every stage: nothing misleading stays, and the next run works at once."""

from collections.abc import Callable
from pathlib import Path
from signal import SIGINT, SIGKILL, SIGTERM

import pytest

from tests.support import programs, tables
from tests.support.faults import add_noise, assert_failed, nothing_changes
from tests.support.programs import DOWNLOAD, UPLOAD, Held
from tests.support.servers import LIBC
from tests.support.site import Result, Shop
from tests.support.waiting import ends_within, wait_for

ANSWERS = {SIGTERM: "Ended by the signal SIGTERM", SIGINT: "Cancelled by Ctrl-C"}
SOON = 6
"""Seconds within which a command has to end that is told to: three, and as much again for a machine that is busy."""
STATUSES = {SIGTERM: "interrupted", SIGINT: "cancelled"}

on_both_engines = pytest.mark.parametrize("shop", ["sqlite", "postgresql"], indirect=True)
told_to_end = pytest.mark.parametrize(
    "shop, number",
    [
        pytest.param("sqlite", SIGINT, id="sqlite-SIGINT"),
        pytest.param("sqlite", SIGTERM, id="sqlite-SIGTERM", marks=pytest.mark.soak),
        pytest.param("postgresql", SIGTERM, id="postgresql-SIGTERM"),
    ],
    indirect=["shop"],
)


@pytest.fixture
def shop(request: pytest.FixtureRequest, make_shop: Callable[..., Shop]) -> Shop:
    """A shop that is larger than any pipe; where the test is marked ``backed_up``, it has a backup."""
    backed_up = request.node.get_closest_marker("backed_up") is not None
    database = getattr(request, "param", "sqlite")
    shop: Shop = make_shop(database, backed_up=backed_up, prepare=add_noise, SAFETY_BACKUP=False)
    return shop


@pytest.fixture
def hold(shop, tmp_path, rclone_binary):
    """Have the shop use an rclone that stops in the middle of an upload or a download."""

    def hold(what: str, after: int = 500_000) -> Held:
        make = programs.hold_output if what is DOWNLOAD else programs.hold_input
        held = make(tmp_path / "bin", "rclone", rclone_binary, after=after, when=what)
        shop.settings["DJANGO_RCLONE"]["RCLONE_BINARY"] = str(held.program)
        return held

    yield hold
    shop.settings["DJANGO_RCLONE"]["RCLONE_BINARY"] = rclone_binary


def end(shop: Shop, held: Held, number: int, *arguments: str) -> Result:
    """Run a command and send it a signal when rclone has come to the middle of its work."""
    before = shop.names()
    process = shop.start(*arguments)
    held.wait()
    if "dbbackup" in arguments or shop.settings["DJANGO_RCLONE"]["SAFETY_BACKUP"]:
        wait_for(lambda: shop.names() != before)  # rclone may have its input before it has made the object
    if number == SIGKILL:
        return shop.kill(process)
    process.send_signal(number)
    with ends_within(SOON):
        return shop.finish(process)


def runs(shop: Shop) -> list[tuple[str, str, str]]:
    """Return kind, status and lock of all runs, the oldest first."""
    return shop.execute(f"SELECT kind, status, lock FROM {tables.HISTORY} ORDER BY created_at")


@pytest.mark.parametrize(
    "shop, number, what",
    [
        pytest.param("sqlite", SIGINT, "dump", id="sqlite-SIGINT-dump"),
        pytest.param("postgresql", SIGTERM, "dump", id="postgresql-SIGTERM-dump"),
        pytest.param("sqlite", SIGTERM, "manifest", id="sqlite-SIGTERM-manifest"),
        pytest.param("sqlite", SIGTERM, "dump", id="sqlite-SIGTERM-dump", marks=pytest.mark.soak),
        pytest.param("sqlite", SIGINT, "manifest", id="sqlite-SIGINT-manifest", marks=pytest.mark.soak),
        pytest.param(
            "postgresql", SIGTERM, "manifest", id="postgresql-SIGTERM-manifest", marks=pytest.mark.soak
        ),
    ],
    indirect=["shop"],
)
def test_backup_that_is_told_to_end_leaves_nothing(shop, hold, number, what):
    held = hold(UPLOAD) if what == "dump" else hold(r"\brcat\b.*manifest", 100)
    with nothing_changes(shop):
        assert_failed(end(shop, held, number, "dbbackup"), ANSWERS[number])
    assert runs(shop) == [("db_backup", STATUSES[number], None)]


@pytest.mark.backed_up
@pytest.mark.skipif(LIBC is None, reason="only Linux sends a signal to one thread of another process")
def test_signal_is_heard_though_nothing_wakes_the_main_thread(shop, hold):
    """As when one comes between Python's look for signals and its waiting for bytes: here, another thread gets it."""
    held = hold(DOWNLOAD)
    with nothing_changes(shop):
        process = shop.start("dbrestore", "--noinput")
        held.wait()
        wait_for(lambda: Path(f"/proc/{process.pid}/stat").read_text().rpartition(")")[2].split()[0] == "S")
        threads = {int(path.name) for path in Path(f"/proc/{process.pid}/task").iterdir()} - {process.pid}
        assert LIBC.tgkill(process.pid, max(threads), SIGTERM) == 0
        with ends_within(SOON):
            assert_failed(shop.finish(process), ANSWERS[SIGTERM])


def test_backup_of_all_databases_that_is_told_to_end_does_not_begin_the_next(shop, hold):
    held = hold(UPLOAD)
    with nothing_changes(shop):
        assert_failed(end(shop, held, SIGTERM, "dbbackup", "--all"), ANSWERS[SIGTERM])
    assert len(runs(shop)) == 1


@pytest.mark.backed_up
@told_to_end
def test_restore_that_is_told_to_end_changes_nothing(shop, hold, number):
    shop.execute("UPDATE shop_product SET price = price + 1")
    held = hold(DOWNLOAD)
    with nothing_changes(shop):
        assert_failed(end(shop, held, number, "dbrestore", "--noinput"), ANSWERS[number])
    assert runs(shop)[-1] == ("db_restore", STATUSES[number], None)


@pytest.mark.in_turns("shop")
@on_both_engines
def test_next_backup_works_at_once_and_sweeps_what_a_killed_one_left(shop, hold, rclone_binary):
    held = hold(UPLOAD)
    assert end(shop, held, SIGKILL, "dbbackup").code == -SIGKILL
    shop.settings["DJANGO_RCLONE"]["RCLONE_BINARY"] = rclone_binary
    [left] = shop.names()
    assert ".partial-" in left

    with ends_within(10):
        assert shop.manage("dbbackup").code == 0
    assert len([name for name in shop.names() if "partial" not in name]) == 2
    assert runs(shop) == [("db_backup", "interrupted", None), ("db_backup", "succeeded", None)]
    assert left not in shop.names()


@pytest.mark.backed_up
@pytest.mark.in_turns("shop")
@on_both_engines
def test_next_restore_works_at_once_after_a_killed_one(shop, hold, rclone_binary):
    wanted = shop.rows()
    shop.execute("UPDATE shop_product SET price = price + 1")
    wrecked, objects = shop.rows(), shop.remote.files()
    held = hold(DOWNLOAD)
    assert end(shop, held, SIGKILL, "dbrestore", "--noinput").code == -SIGKILL
    assert (shop.rows(), shop.remote.files()) == (wrecked, objects)

    shop.settings["DJANGO_RCLONE"]["RCLONE_BINARY"] = rclone_binary
    with ends_within(10):
        assert shop.manage("dbrestore", "--noinput").code == 0
    assert shop.rows() == wanted
    assert list(shop.temporary.iterdir()) == []
    assert [status for _kind, status, _lock in runs(shop)] == ["succeeded", "interrupted", "succeeded"]


@pytest.mark.backed_up
def test_next_backup_sweeps_what_a_killed_safety_backup_left(shop, hold, rclone_binary):
    shop.settings["DJANGO_RCLONE"]["SAFETY_BACKUP"] = True
    rows = shop.rows()
    held = hold(UPLOAD)
    assert end(shop, held, SIGKILL, "dbrestore", "--noinput").code == -SIGKILL
    [left] = [name for name in shop.names() if ".partial-" in name]
    shop.settings["DJANGO_RCLONE"]["RCLONE_BINARY"] = rclone_binary
    assert shop.manage("dbbackup").code == 0
    assert left not in shop.names()
    assert shop.rows() == rows
    assert [status for _kind, status, _lock in runs(shop)] == [
        "succeeded",
        "interrupted",
        "interrupted",
        "succeeded",
    ]
