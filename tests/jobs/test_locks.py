"""One run at a time works on a database, whatever it does and whichever engine keeps the lock."""

import os
import socket
import sqlite3
from contextlib import closing
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from subprocess import Popen
from threading import Timer

import pytest

from django_rclone_admin.jobs import lock
from django_rclone_admin.models import BackupRun, Kind
from tests.support import programs
from tests.support.commands import done
from tests.support.faults import assert_failed
from tests.support.matrix import sampled
from tests.support.programs import UPLOAD, Held
from tests.support.tables import HISTORY
from tests.support.waiting import wait_for

on_both_engines = pytest.mark.parametrize("shop", ["sqlite", "postgresql"], indirect=True)


@pytest.fixture
def held(shop, tmp_path, rclone_binary) -> Held:
    """Have the first upload of the shop wait until it is released."""
    held = programs.hold_input(tmp_path / "bin", "rclone", rclone_binary, after=1, when=UPLOAD)
    shop.settings["DJANGO_RCLONE"]["RCLONE_BINARY"] = str(held.program)
    return held


@pytest.mark.in_turns("shop")
@on_both_engines
@pytest.mark.parametrize("count", sampled([12, 20], 12))
def test_of_many_backups_started_together_one_works_at_any_moment(shop, held, count):
    started = [shop.start("dbbackup") for _ in range(count)]
    wait_for(lambda: sum(process.poll() is not None for process in started) >= 0.6 * count, timeout=60)
    held.release()
    results = [shop.finish(process) for process in started]

    assert {result.code for result in results} == {0, 3}
    done = [result for result in results if result.code == 0]
    runs = shop.execute(f"SELECT status, lock, started_at, finished_at FROM {HISTORY} ORDER BY started_at")
    assert [(status, lock) for status, lock, _started, _finished in runs] == [("succeeded", None)] * len(done)
    for (*_, finished), (*_, begun, _end) in pairwise(runs):
        assert finished <= begun
    names = [each["name"] for each in shop.manage("listbackups", "--all", "--json").json]
    assert len(set(names)) == len(names) == len(done)


@pytest.mark.soak  # on SQLite, the test of every kind of run looks at the refusal, too
@on_both_engines
def test_refusal_says_who_holds_the_database_since_when_and_where(shop, held):
    holder = shop.start("dbbackup")
    held.wait()
    refused = shop.manage("dbbackup")
    assert_failed(refused, refusal(holder), code=3)
    assert "Traceback" not in refused.err
    document = shop.manage("dbbackup", "--json")
    assert (document.code, document.json["error"].partition(" that started")[0]) == (
        3,
        "“default” is locked by a database backup",
    )
    held.release()
    assert shop.finish(holder).code == 0
    assert shop.manage("dbbackup").code == 0


def refusal(holder: Popen[bytes]) -> str:
    """Return a pattern of what a second run is told while a backup works."""
    return (
        r"^“default” is locked by a database backup that started at \d{4}-\d\d-\d\d \d\d:\d\d:\d\d UTC"
        rf" on {socket.gethostname()} \(process {holder.pid}\), {os.environ.get('USER', 'root')}\.$"
    )


CARRY_OUT = """
import os, sqlite3, threading
from django.db import connection
from django_rclone_admin import api
run = api.start_backup_database("default")
other = sqlite3.connect(connection.settings_dict["NAME"], isolation_level=None, check_same_thread=False)
other.execute("BEGIN IMMEDIATE")
release = threading.Timer(1.5, other.execute, ["ROLLBACK"])
release.start()
assert api.carry_out_queued(str(run.pk))
release.join()
other.close()
"""


def test_queued_backup_begins_as_soon_as_other_programs_give_the_lock_of_sqlite_back(shop):
    shop.settings["DATABASES"]["default"]["OPTIONS"] = {"timeout": 0.05}
    shop.settings["DJANGO_RCLONE"]["EXECUTOR"] = "tests.support.executors.IdleTasksExecutor"
    done(shop, "shell", "--verbosity=0", "-c", CARRY_OUT)
    assert shop.execute(f"SELECT status FROM {HISTORY}") == [("succeeded",)]


def test_run_begins_as_soon_as_other_programs_give_the_lock_of_sqlite_back(shop):
    shop.settings["DATABASES"]["default"]["OPTIONS"] = {"timeout": 0.05}
    with closing(sqlite3.connect(shop.path(), isolation_level=None, check_same_thread=False)) as other:
        other.execute("BEGIN IMMEDIATE")
        release = Timer(1.5, other.execute, ["ROLLBACK"])
        release.start()
        result = shop.manage("prunebackups", "--database=default")
        release.join()
    assert result.code == 0, result.err


def test_lock_is_for_every_kind_of_run_and_for_one_database_alone(shop, rclone_binary, held):
    holder = shop.start("dbbackup")
    held.wait()
    shop.settings["DJANGO_RCLONE"]["RCLONE_BINARY"] = rclone_binary
    shop.execute("UPDATE shop_product SET price = price + 1")
    rows = shop.rows()
    shop.remote.write("db/default-2024-01-15-120000.sqlite3", shop.path().read_bytes())
    for command in ("dbrestore", "--noinput"), ("prunebackups", "--database", "default"):
        refused = shop.manage(*command)
        assert_failed(refused, refusal(holder), code=3)
        assert "Traceback" not in refused.err
    document = shop.manage("dbbackup", "--json")
    error = document.json["error"].partition(" that started")[0]
    assert (document.code, error) == (3, "“default” is locked by a database backup")
    assert shop.rows() == rows
    assert shop.manage("prunebackups", "--database", "analytics").code == 0
    held.release()
    assert shop.finish(holder).code == 0


def test_second_backup_of_one_second_gets_a_name_of_its_own(shop):
    now = datetime.now(UTC)
    taken = {
        f"default-{now + timedelta(seconds=seconds):%Y-%m-%d-%H%M%S}.sqlite3.zst": bytes([seconds])
        for seconds in range(60)
    }
    for name, content in taken.items():
        shop.remote.write(f"db/{name}", content)
    result = shop.manage("dbbackup", "--json")
    assert result.code == 0, result.err
    assert {name: shop.remote.read(f"db/{name}") for name in taken} == taken
    assert result.json["path"].removeprefix("db/").replace("-2.sqlite3", ".sqlite3") in taken


@pytest.mark.soak  # as the test before, with another format
def test_backups_that_the_date_format_can_not_tell_apart_both_come_back(make_shop):
    shop = make_shop("sqlite", DB_DATE_FORMAT="%Y-%m-%d", SAFETY_BACKUP=False)
    states = []
    for _ in range(2):
        shop.execute("DELETE FROM shop_orderline WHERE id IN (SELECT id FROM shop_orderline LIMIT 10)")
        states.append(shop.rows())
        assert shop.manage("dbbackup").code == 0
    names = [each["name"] for each in shop.manage("listbackups", "--json").json]
    assert len(set(names)) == 2
    for name, wanted in zip(names, reversed(states), strict=True):
        assert shop.manage("dbrestore", "--noinput", "--input-path", name).code == 0
        assert shop.rows() == wanted


@pytest.mark.django_db
def test_run_that_is_recorded_late_keeps_its_duration():
    """A restore into an empty database is recorded when it has created the table."""
    run = BackupRun(kind=Kind.DB_RESTORE, database="default")
    lock.begin(run, recorded=False)
    run.started_at -= timedelta(hours=1)
    lock.begin(run, recorded=True)
    assert timedelta(minutes=59) < run.heartbeat_at - run.started_at < timedelta(minutes=61)
