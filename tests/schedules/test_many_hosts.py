"""``runschedules`` in real processes: races, kills, signals, and the loop."""

import os
import signal
import threading
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from django.core.management import call_command

from django_rclone_admin.models import BackupRun, BackupSchedule, Kind
from django_rclone_admin.schedules import loop
from tests.support import leaks, programs
from tests.support.backups import quicken_looks
from tests.support.commands import document, done
from tests.support.matrix import sampled
from tests.support.programs import UPLOAD
from tests.support.receivers import silent_service
from tests.support.site import Shop
from tests.support.tables import HISTORY
from tests.support.waiting import ends_within, patience, wait_for

SCHEDULES = "django_rclone_admin_backupschedule"
MAKE = """
from django_rclone_admin.models import BackupSchedule
BackupSchedule.objects.create(name="nightly", cron="* * * * *", databases=["analytics"], media=False, **{values!r})
"""
LONG_AGO = "2026-01-01 00:00:00"


def make(shop: Shop, **values: Any) -> None:
    """Make a schedule that has been due for long, and is not due again while a test lasts."""
    quicken_looks(shop)
    cron = f"0 {datetime.now(UTC).hour} * * *"
    done(shop, "shell", "--verbosity", "0", "-c", MAKE.format(values=values).replace("* * * * *", cron))
    shop.execute(f"UPDATE {SCHEDULES} SET last_due_at = '{LONG_AGO}'")


def runs(shop: Shop) -> list[tuple[str, str]]:
    return shop.execute(f"SELECT kind, status FROM {HISTORY} WHERE trigger = 'schedule' ORDER BY created_at")


@pytest.mark.in_turns("shop")
@pytest.mark.parametrize("shop", ["sqlite", "postgresql"], indirect=True)
@pytest.mark.parametrize("hosts", sampled([2, 5, 8], 5))
def test_of_many_hosts_that_look_at_once_one_runs_it(shop, hosts):
    make(shop)
    started = [shop.start("runschedules", "--json") for _ in range(hosts)]
    results = [shop.finish(process) for process in started]
    assert [result.code for result in results] == [0] * hosts, results
    assert sorted(len(result.json) for result in results) == [0] * (hosts - 1) + [1]
    assert runs(shop) == [("db_backup", "succeeded")]
    assert any(name.startswith("analytics-") for name in shop.names())


DIES = """
import os, signal
from django.core.management import call_command
from django_rclone_admin.schedules import passes

def work(claim, stop):
    os.kill(os.getpid(), signal.SIGKILL)

passes.work = work
call_command("runschedules")
"""


def test_host_that_is_killed_between_claim_and_run_is_noticed_by_the_next_pass(shop):
    make(shop, action="prune")
    assert shop.manage("shell", "--verbosity", "0", "-c", DIES).code == -signal.SIGKILL
    assert runs(shop) == []
    reasons = "print([each.reason for each in overdue()])"
    told = done(
        shop,
        "shell",
        "--verbosity",
        "0",
        "-c",
        f"from django_rclone_admin.schedules.due import overdue; {reasons}",
    )
    assert "The schedule “nightly” was started, but its process ended too early." in told
    [outcome] = document(shop, "runschedules")
    assert outcome["result"] == "succeeded"
    assert document(shop, "runschedules") == []
    assert runs(shop) == [("prune", "succeeded")]


def test_pass_that_is_told_to_end_leaves_its_schedule_to_the_next(shop, tmp_path, rclone_binary):
    make(shop)
    held = programs.hold_input(tmp_path / "bin", "rclone", rclone_binary, after=1, when=UPLOAD)
    shop.settings["DJANGO_RCLONE"]["RCLONE_BINARY"] = str(held.program)
    process = shop.start("runschedules")
    held.wait()
    assert document(shop, "runschedules") == []  # it is at work
    process.terminate()
    result = shop.finish(process)
    assert (result.code, "SIGTERM" in result.err, "Traceback" in result.err) == (1, True, False)
    shop.settings["DJANGO_RCLONE"]["RCLONE_BINARY"] = rclone_binary
    [outcome] = document(shop, "runschedules")
    assert outcome["result"] == "succeeded"
    assert runs(shop) == [("db_backup", "interrupted"), ("db_backup", "succeeded")]


@pytest.mark.in_turns("number")
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_loop_that_waits_ends_well(shop, number):
    make(shop, action="prune")
    process = shop.start("runschedules", "--loop")
    wait_for(lambda: runs(shop) == [("prune", "succeeded")])
    process.send_signal(number)
    result = shop.finish(process)
    assert (result.code, result.err) == (0, "")
    assert "nightly: " in result.out


def test_loop_that_looks_at_a_remote_that_hangs_ends_at_once(shop):
    """systemd and Kubernetes kill what takes longer than thirty seconds, which rclone's own patience is."""
    with leaks.burying(), silent_service() as port:
        shop.settings["DJANGO_RCLONE"]["REMOTE"] = f':webdav,url="http://127.0.0.1:{port}":x'
        process = shop.start("runschedules", "--loop")
        wait_for(lambda: leaks.descendants(process.pid))
        process.terminate()
        with ends_within(10):
            # Not by finish: in development mode Python says that the look that was given up had a connection.
            process.communicate(timeout=25 * patience())
        assert process.returncode == 0


def test_loop_that_works_ends_well_and_leaves_the_schedule_to_the_next(shop, tmp_path, rclone_binary):
    make(shop)
    held = programs.hold_input(tmp_path / "bin", "rclone", rclone_binary, after=1, when=UPLOAD)
    shop.settings["DJANGO_RCLONE"]["RCLONE_BINARY"] = str(held.program)
    process = shop.start("runschedules", "--loop")
    held.wait()
    process.terminate()
    result = shop.finish(process)
    assert (result.code, "Traceback" in result.err) == (0, False), result
    assert runs(shop) == [("db_backup", "interrupted")]
    [due] = document(shop, "runschedules", "--dry-run")
    assert due["due_at"]


def test_site_without_its_tables_is_told_to_migrate(shop):
    shop.execute(f"DROP TABLE {SCHEDULES}")
    result = shop.manage("runschedules")
    assert (result.code, "Traceback" in result.err) == (2, False)
    assert "manage.py migrate" in result.err


@pytest.mark.django_db(databases=["default", "analytics"], transaction=True)
def test_loop_notices_edits_and_goes_on_after_a_broken_schedule(quick_looks, monkeypatch):
    monkeypatch.setattr(loop, "LOOK_AGAIN", 0.05)
    yesterday = datetime.now(UTC) - timedelta(days=1)
    usual = {"action": "prune", "databases": ["analytics"], "media": False}
    values = {"cron": "0 0 1 1 *", "last_due_at": yesterday, **usual}
    edited = BackupSchedule.objects.create(name="edited", **values)
    BackupSchedule.objects.create(name="broken", **values)
    BackupSchedule.objects.filter(name="broken").update(cron="nonsense")

    def edit() -> None:
        try:
            wait_for(lambda: BackupSchedule.objects.get(name="broken").problem)
            BackupSchedule.objects.filter(pk=edited.pk).update(cron="0 0 * * *")  # due once since yesterday
            wait_for(lambda: BackupRun.objects.filter(kind=Kind.PRUNE, status="succeeded").exists())
            wait_for(lambda: BackupSchedule.objects.get(pk=edited.pk).claimed_at is None)
        finally:
            os.kill(os.getpid(), signal.SIGTERM)
            from django.db import connections

            connections.close_all()

    editor = threading.Thread(target=edit)
    editor.start()
    call_command("runschedules", loop=True, verbosity=0)
    editor.join()
    assert BackupRun.objects.filter(kind=Kind.PRUNE).count() == 1
