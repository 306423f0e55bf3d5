"""What becomes of a backup when the web server that was asked for it recycles, reloads, stops or loses its worker."""

import os
from collections.abc import Callable, Iterable
from contextlib import ExitStack
from itertools import product
from pathlib import Path
from signal import SIGHUP, SIGKILL, SIGTERM
from time import monotonic
from typing import Any

import pytest

from tests.support import leaks, programs, web
from tests.support.faults import add_noise
from tests.support.matrix import sampled
from tests.support.programs import UPLOAD, Held
from tests.support.site import Shop
from tests.support.tables import HISTORY
from tests.support.waiting import ends_within, wait_for
from tests.support.web import Member, WebServer

pytestmark = pytest.mark.slow

THREAD, PROCESS = (f"django_rclone_admin.executors.{name}Executor" for name in ("Thread", "Process"))
RUN_NOW = "/admin/django_rclone_admin/backup/run/"
RUNS = "/admin/django_rclone_admin/backuprun/"
SERVERS = ["gunicorn-sync", "gunicorn-gthread", "uvicorn", "uvicorn-workers"]

# The shop has some 2.6 MB. Without its read-ahead, rclone takes no byte before its time.
A_MINUTE = ["--bwlimit=40k", "--buffer-size=0"]

on_every_server = pytest.mark.parametrize("kind", SERVERS)


def recycle(server: WebServer, member: Member, workers: set[int]) -> None:
    """Ask for pages until the workers have had enough of it."""

    def are_gone() -> bool:
        if not server.is_over and workers & server.workers():
            # A worker that ends takes no more connections; with one worker, nobody does for a moment.
            server.answers()
        return not workers & server.workers() or server.is_over

    wait_for(are_gone)


def signals(number: int, *, master: bool) -> Callable[..., None]:
    def send(server: WebServer, member: Member, workers: set[int]) -> None:
        for pid in {server.process.pid} if master else workers:
            os.kill(pid, number)
        wait_for(lambda: server.is_over or not workers & server.workers())

    return send


def kill_group(server: WebServer, member: Member, workers: set[int]) -> None:
    os.killpg(server.process.pid, SIGKILL)
    server.process.wait(10)


EVENTS: dict[str, Callable[..., None]] = {
    "recycled": recycle,
    "master-HUP": signals(SIGHUP, master=True),
    "worker-TERM": signals(SIGTERM, master=False),
    "worker-KILL": signals(SIGKILL, master=False),
    "master-TERM": signals(SIGTERM, master=True),
    "group-KILL": kill_group,
}
GENTLE = ["recycled", "master-HUP", "worker-TERM", "master-TERM"]
"""Events in which a process can still say a word."""
HARSH = ["recycled", "worker-KILL", "group-KILL"]
"""A usual event, and those in which it can't; each of the others ends workers in one of these ways."""


@pytest.fixture
def held(tmp_path: Path, rclone_binary: str) -> Held:
    """An rclone that stops in the middle of the upload."""
    return programs.hold_input(tmp_path / "bin", "rclone", rclone_binary, after=500_000, when=UPLOAD)


@pytest.fixture
def open_shop(make_shop: Callable[..., Shop], held: Held) -> Callable[..., Shop]:
    def open_(executor: str, **django_rclone: object) -> Shop:
        usual = {"EXECUTOR": executor, "RCLONE_BINARY": str(held.program), "STALE_AFTER": 3}
        shop: Shop = make_shop("sqlite", prepare=add_noise, **usual | django_rclone)
        web.add_admin(shop)
        return shop

    return open_


def runs(shop: Shop) -> list[tuple[str, str | None]]:
    """Return status and lock of all runs, the oldest first."""
    return shop.execute(f"SELECT status, lock FROM {HISTORY} ORDER BY created_at")


def column(shop: Shop, name: str) -> Any:
    """Return what the row of the only run says."""
    [(found,)] = shop.execute(f"SELECT {name} FROM {HISTORY}")
    return found


def assert_next_backup_works(shop: Shop, held: Held) -> None:
    """And nothing unfinished is left on the remote after it."""
    held.release()
    result = shop.manage("dbbackup")
    assert result.code == 0, result.err
    assert [name for name in shop.names() if "partial" in name] == []
    assert runs(shop)[-1] == ("succeeded", None)


@pytest.mark.parametrize(
    "kind, event",
    # test_runs_that_wait_for_a_thread_end_with_the_worker_too stops the master. A reload ends workers by SIGTERM.
    sampled(product(SERVERS, GENTLE), ("gunicorn-sync", "recycled"), ("uvicorn", "worker-TERM")),
)
def test_thread_ends_with_its_worker_in_good_order(open_shop, held, kind, event):
    shop = open_shop(THREAD)
    arguments = [web.RECYCLE[kind]] if event == "recycled" else []
    with WebServer(shop, kind, *arguments) as server:
        member = Member(server)
        member.post(RUN_NOW, databases="default")
        held.wait()
        worker = column(shop, "pid")
        assert worker in server.workers()
        with ends_within(10):
            EVENTS[event](server, member, {worker})
            wait_for(lambda: runs(shop) == [("interrupted", None)])
        assert shop.names() == []
        if event in ("recycled", "master-HUP") and kind != "uvicorn":
            assert server.answers()
    assert "Traceback" not in server.log.read_text()
    assert shop.manage("prunebackups", "--database=default").code == 0


@pytest.mark.soak  # as test_run_is_seen_cancelled_missed_and_done_across_hosts, which looks at the page, too
@on_every_server
def test_thread_of_a_killed_worker_is_found_dead_by_whoever_looks_next(open_shop, held, kind):
    shop = open_shop(THREAD)
    with ExitStack() as stack:
        server = stack.enter_context(WebServer(shop, kind))
        member = Member(server)
        member.post(RUN_NOW, databases="default")
        held.wait()
        worker = column(shop, "pid")
        orphans = leaks.descendants(worker)
        EVENTS["worker-KILL"](server, member, {worker})
        if server.is_over:  # somebody starts it again
            server = stack.enter_context(WebServer(shop, kind))
            member = Member(server)
        wait_for(server.is_whole)
        assert runs(shop) == [("running", "db:default")]
        wait_for(lambda: member.read(RUNS) and runs(shop) == [("interrupted", None)])
    leaks.bury(orphans)
    assert_next_backup_works(shop, held)


def let_happen(shop: Shop, kind: str, events: Iterable[str], began: Callable[[], object]) -> None:
    """Start a backup in a process of its own, and have events happen to the server while it goes on."""
    with ExitStack() as stack:
        server = stack.enter_context(WebServer(shop, kind, web.RECYCLE[kind]))
        member = Member(server)
        member.post(RUN_NOW, databases="default")
        wait_for(began)
        for event in events:
            if server.is_over:
                server = stack.enter_context(WebServer(shop, kind, web.RECYCLE[kind]))
            wait_for(server.is_whole)
            EVENTS[event](server, member, server.workers())
            assert runs(shop) == [("running", "db:default")]
            before = column(shop, "heartbeat_at")
            wait_for(lambda: column(shop, "heartbeat_at") > before)  # noqa: B023  (waited for here and now)
        assert server.is_over


def assert_process_succeeds(shop: Shop) -> None:
    leaks.bury({column(shop, "pid")}, 90)
    assert runs(shop) == [("succeeded", None)]
    assert [each["state"] for each in shop.manage("listbackups", "--json").json] == ["complete"]


@pytest.mark.parametrize("kind", sampled(SERVERS, "gunicorn-gthread"))
def test_process_outlives_its_server_and_each_worker(open_shop, held, kind):
    shop = open_shop(PROCESS)
    let_happen(shop, kind, HARSH, Path(f"{held.program}.held").exists)
    held.release()
    assert_process_succeeds(shop)


@pytest.mark.soak
@on_every_server
def test_process_of_a_minute_outlives_everything_too(open_shop, rclone_binary, kind):
    shop = open_shop(PROCESS, RCLONE_BINARY=rclone_binary, RCLONE_FLAGS=A_MINUTE)
    started = monotonic()
    let_happen(shop, kind, EVENTS, lambda: column(shop, "bytes_done") > 0)
    assert_process_succeeds(shop)
    assert monotonic() - started > 50


@pytest.mark.soak
@on_every_server
def test_threads_of_a_minute_end_with_their_workers(open_shop, rclone_binary, kind):
    shop = open_shop(THREAD, RCLONE_BINARY=rclone_binary, RCLONE_FLAGS=A_MINUTE)
    for event in GENTLE:
        shop.execute(f"DELETE FROM {HISTORY}")
        with WebServer(shop, kind, web.RECYCLE[kind]) as server:
            member = Member(server)
            member.post(RUN_NOW, databases="default")
            wait_for(lambda: column(shop, "bytes_done") > 0)
            EVENTS[event](server, member, {column(shop, "pid")})
            wait_for(lambda: runs(shop) == [("interrupted", None)], 10)
        assert shop.names() == []


def test_runs_that_wait_for_a_thread_end_with_the_worker_too(open_shop, held):
    shop = open_shop("tests.support.web.OneThread")
    with WebServer(shop, "gunicorn-sync") as server:
        Member(server).post(RUN_NOW)
        held.wait()
        assert sorted(status for status, _lock in runs(shop)) == ["queued", "running"]
        EVENTS["master-TERM"](server, None, server.workers())
        assert runs(shop) == [("interrupted", None), ("interrupted", None)]
    assert shop.names() == []
