"""Runs as tasks of real queues: asked for on one host, carried out on another, which share nothing but the database."""

import os
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from signal import SIGKILL, SIGTERM

import pytest

from tests.support import leaks, programs, queues, web
from tests.support.commands import document
from tests.support.executors import NAMES
from tests.support.faults import add_noise
from tests.support.matrix import sampled
from tests.support.programs import UPLOAD, Held
from tests.support.queues import OTHER_HOST, QUEUES, Worker
from tests.support.site import Shop
from tests.support.tables import HISTORY
from tests.support.waiting import wait_for
from tests.support.web import Member, SiteServer

pytestmark = pytest.mark.slow

BACKUPS = "/admin/django_rclone_admin/backup/"
RUN_NOW = f"{BACKUPS}run/"
RUNS = "/admin/django_rclone_admin/backuprun/"

CHANGED_BY_USE = ["auth_user", "django_session", "django_admin_log", "django_tasks_db_dbtaskresult"]
"""Tables that signing in and asking for a run change."""


@pytest.fixture
def held(tmp_path: Path, rclone_binary: str) -> Held:
    """An rclone that stops in the middle of the upload."""
    return programs.hold_input(tmp_path / "bin", "rclone", rclone_binary, after=500_000, when=UPLOAD)


@pytest.fixture
def queue(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    """The address of a Redis server."""
    with queues.redis(tmp_path) as address:
        yield address


@pytest.fixture
def site(kind: str, make_shop, held: Held, queue: str) -> Shop:
    """A shop on PostgreSQL whose runs are tasks."""
    shop: Shop = make_shop(
        "postgresql",
        prepare=add_noise,
        EXECUTOR="django_rclone_admin.tasks.TasksExecutor",
        RCLONE_BINARY=str(held.program),
        STALE_AFTER=3,
    )
    shop.settings |= QUEUES[kind].settings(queue)
    web.add_admin(shop)
    if kind == "database":
        assert shop.manage("migrate", "django_tasks_database", "--verbosity=0").code == 0
    return shop


def runs(shop: Shop) -> list[tuple[str, str | None]]:
    """Return status and lock of all runs, the oldest first."""
    return shop.execute(f"SELECT status, lock FROM {HISTORY} ORDER BY created_at")


def last(shop: Shop, column: str) -> object:
    [(found,)] = shop.execute(f"SELECT {column} FROM {HISTORY} ORDER BY created_at DESC LIMIT 1")
    return found


@pytest.mark.parametrize("kind", sampled(QUEUES, "rq"))
def test_run_is_seen_cancelled_missed_and_done_across_hosts(site, held, kind):
    """A worker that is killed is missed by the other host, and leaves the lock."""
    with SiteServer(site) as server:
        member = Member(server)
        with Worker(site, kind) as worker:
            see_and_cancel(site, held, member)
            Path(f"{held.program}.held").unlink()
            member.post(RUN_NOW, databases="default")
            held.wait()
            orphans = leaks.descendants(worker.process.pid)
            for pid in {worker.process.pid, last(site, "pid")}:
                os.kill(pid, SIGKILL)
            worker.process.wait()
            assert runs(site) == [("cancelled", None), ("running", "db:default")]
            over = [("cancelled", None), ("interrupted", None)]
            wait_for(lambda: member.read(RUNS) and runs(site) == over)
            leaks.bury(orphans)
        held.release()
        with Worker(site, kind):
            member.post(RUN_NOW, databases="default")
            wait_for(lambda: runs(site) == [*over, ("succeeded", None)])
    assert [name for name in site.names() if "partial" in name] == []


def see_and_cancel(site: Shop, held: Held, member: Member) -> None:
    """Ask for a backup that is carried out on the other host, look at it from here, and cancel it."""
    member.post(RUN_NOW, databases="default")
    held.wait()
    page = f"{RUNS}{last(site, 'id')}/"
    wait_for(lambda: last(site, "bytes_done") > 0)
    assert "Dumping and uploading" in member.read(f"{page}progress/")
    assert last(site, "host") == OTHER_HOST
    refused = member.post(RUN_NOW, databases="default")
    assert "is locked by a database backup that started at" in refused
    assert f"on {OTHER_HOST}" in refused
    member.post(f"{page}cancel/")
    wait_for(lambda: runs(site) == [("cancelled", None)], 10)
    wait_for(lambda: site.names() == [])


@pytest.mark.parametrize("kind", sampled(QUEUES, "celery"))
def test_worker_that_is_told_to_end_ends_its_run_first(site, held, kind):
    with SiteServer(site) as server, Worker(site, kind) as worker:
        Member(server).post(RUN_NOW, databases="default")
        held.wait()
        worker.process.send_signal(SIGTERM)
        before = last(site, "heartbeat_at")
        wait_for(lambda: last(site, "heartbeat_at") > before)
        assert runs(site) == [("running", "db:default")]
        held.release()
        worker.process.wait(30)
        assert runs(site) == [("succeeded", None)]


@pytest.mark.parametrize("kind", sampled(QUEUES, "database"))
def test_restore_of_the_database_of_the_site_is_a_task_like_any_other(site, rclone_binary, kind):
    site.settings["DJANGO_RCLONE"] |= {"RCLONE_BINARY": rclone_binary, "SAFETY_BACKUP": False}
    path = document(site, "dbbackup")["path"]
    wanted = site.rows(ignore=CHANGED_BY_USE)
    site.execute("UPDATE shop_product SET price = price + 1")
    restores = f"SELECT status FROM {HISTORY} WHERE kind = 'db_restore'"
    with ExitStack() as stack:
        server = stack.enter_context(SiteServer(site))
        worker = stack.enter_context(Worker(site, kind))
        Member(server).post(f"{BACKUPS}restore/", path=path, confirm="default")
        wait_for(lambda: site.execute(restores) == [("succeeded",)])
        assert site.rows(ignore=CHANGED_BY_USE) == wanted
        if kind == "database":  # the worker finds that the row of its task is gone
            assert worker.process.wait(30) == 1
            stack.enter_context(Worker(site, kind))
        Member(server).post(RUN_NOW, databases="default")
        wait_for(lambda: (last(site, "trigger"), last(site, "status")) == ("admin", "succeeded"))


@pytest.mark.parametrize("kind", ["database"])
def test_backups_can_have_a_queue_and_a_worker_of_their_own_and_the_doctor_knows_it(
    site, rclone_binary, kind
):
    site.settings["TASKS"]["default"]["QUEUES"] = ["default", "backups"]
    site.settings["DJANGO_RCLONE"] |= {"EXECUTOR": NAMES["BackupQueue"], "RCLONE_BINARY": rclone_binary}
    assert examined(site) == "failed"
    with SiteServer(site) as server, Worker(site, kind, "--queue-name=backups"):
        assert examined(site) == "passed"
        assert runs(site) == []
        Member(server).post(RUN_NOW, databases="default")
        wait_for(lambda: runs(site) == [("succeeded", None)])


def examined(site: Shop) -> str:
    """Return what the doctor says of the worker, without a look at the remote."""
    ours = site.settings["DJANGO_RCLONE"]
    site.settings["DJANGO_RCLONE"] = {**ours, "RCLONE_BINARY": str(site.home / "none")}
    checks = site.manage("rclonedoctor", "--json").json["checks"]
    site.settings["DJANGO_RCLONE"] = ours
    return next(str(each["outcome"]) for each in checks if each["id"] == "runs.executor")


@pytest.mark.parametrize("kind", ["rq"])
def test_queue_that_is_down_is_an_error_that_says_so(site, kind):
    site.settings["RQ_QUEUES"]["default"]["URL"] = "redis://127.0.0.1:9/0"
    with SiteServer(site) as server:
        page = Member(server).post(RUN_NOW, databases="default")
    assert "The run could not be queued:" in page
    assert runs(site) == [("interrupted", None)]
