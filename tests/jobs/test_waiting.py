"""A queued run waits for as long as somebody can still begin it; then it has ended, with a reason, and is never begun."""

from datetime import timedelta
from subprocess import PIPE, Popen

import pytest
from django.utils import timezone

from django_rclone_admin import api
from django_rclone_admin.exceptions import BackupError
from django_rclone_admin.models import BackupRun, Status
from tests.support.executors import NAMES
from tests.support.site import Shop
from tests.support.tables import HISTORY
from tests.support.waiting import let_pass, wait_for

QUEUE = """
import sys
from django_rclone_admin import api
from django_rclone_admin.exceptions import BackupError
api.start_backup_database()
print("queued", flush=True)
sys.stdin.read()
"""


CLEAN_UP = ("prunebackups", "--database=default")
"""The cheapest run that needs the lock of the database."""


@pytest.fixture
def busy(shop: Shop) -> Shop:
    """A shop whose executor has no free thread."""
    shop.settings["DJANGO_RCLONE"] |= {"EXECUTOR": NAMES["BusyThreadExecutor"], "STALE_AFTER": 4}
    return shop


def queue(shop: Shop) -> Popen[bytes]:
    """Have a process queue a backup, and wait for it."""
    process = shop.start("shell", "-c", QUEUE, stdin=PIPE)
    wait_for(lambda: runs(shop))
    return process


def runs(shop: Shop) -> list[tuple[str, str, str]]:
    return shop.execute(f"SELECT status, lock, message FROM {HISTORY} ORDER BY created_at")


def test_run_waits_for_as_long_as_its_process_lives(busy):
    process = queue(busy)
    busy.execute(f"UPDATE {HISTORY} SET host = 'another machine'")
    for seconds in 0, 3, 3:  # together longer than STALE_AFTER, to which no program can be held
        let_pass(seconds)
        assert busy.manage(*CLEAN_UP).code == 3
    busy.kill(process)
    let_pass(3)  # its heartbeat is not stale before that
    wait_for(lambda: busy.manage(*CLEAN_UP).code == 0)
    assert runs(busy)[0] == ("interrupted", None, "The process in which it waited ended before it had begun.")


def test_lock_of_a_run_whose_process_was_killed_is_free_at_once_on_its_machine(busy):
    busy.settings["DJANGO_RCLONE"]["STALE_AFTER"] = 600
    busy.kill(queue(busy))
    result = busy.manage(*CLEAN_UP)
    assert result.code == 0, result.err
    assert [status for status, _lock, _message in runs(busy)] == ["interrupted", "succeeded"]


def test_run_ends_with_the_process_that_it_waits_in(busy):
    assert busy.finish(queue(busy), b"").code == 0
    assert runs(busy) == [
        ("interrupted", None, "The process in which it waited was shut down before it had begun.")
    ]


@pytest.mark.django_db
def test_worker_that_comes_after_a_day_finds_the_run_ended_and_does_nothing(backups):
    backups.configure(EXECUTOR=NAMES["IdleTasksExecutor"])
    run = api.start_backup_database()
    created = BackupRun.objects.filter(pk=run.pk)
    created.update(created_at=timezone.now() - timedelta(hours=23), pid=None)
    with pytest.raises(api.RunInProgress):
        api.prune("default")
    assert created.get().status == Status.QUEUED

    created.update(created_at=timezone.now() - timedelta(hours=25))
    api.prune("default")
    run.refresh_from_db()
    assert (run.status, run.lock) == (Status.INTERRUPTED, None)
    assert run.message == "No worker picked up this run within 24 hours."
    assert "Check that a worker" in run.hint
    objects = backups.remote.names()
    assert api.carry_out_queued(str(run.pk)) is False
    run.refresh_from_db()
    assert (run.status, backups.remote.names()) == (Status.INTERRUPTED, objects)


@pytest.mark.django_db
def test_process_that_never_begins_is_missed_before_long(backups):
    backups.configure(EXECUTOR=NAMES["FailingProcessExecutor"], STALE_AFTER=60)
    run = api.start_backup_database()
    rows = BackupRun.objects.filter(pk=run.pk)
    rows.update(heartbeat_at=timezone.now() - timedelta(seconds=50))
    with pytest.raises(api.RunInProgress):
        api.prune("default")
    rows.update(heartbeat_at=timezone.now() - timedelta(seconds=70))
    api.prune("default")
    assert rows.get().status == Status.INTERRUPTED


@pytest.mark.django_db(transaction=True)
def test_run_that_the_executor_refuses_does_not_hold_the_database(backups, monkeypatch):
    def refuse(self, work, run_id):
        raise OSError("The queue is down.")

    monkeypatch.setattr(
        "tests.support.executors.IdleTasksExecutor.submit", refuse
    )  # no queue here to take down
    backups.configure(EXECUTOR=NAMES["IdleTasksExecutor"])
    with pytest.raises(BackupError, match=r"^The run could not be queued: The queue is down\.$"):
        api.start_backup_database()
    run = BackupRun.objects.get()
    assert (run.status, run.lock, run.message) == (Status.INTERRUPTED, None, "The run could not be queued.")
