"""However many look at the backup list at once, rclone is asked once; and what they see is never older than their look."""

import json
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta

import pytest
from django.core.cache import cache
from django.test import Client
from django.urls import reverse

from django_rclone_admin import api
from django_rclone_admin.models import Backup, BackupRun
from django_rclone_admin.single_flight import once
from tests.support import programs
from tests.support.backups import DAY

pytestmark = pytest.mark.django_db(transaction=True)

CLIENTS = 16
CACHES = {
    "memory": {"BACKEND": "django.core.cache.backends.locmem.LocMemCache"},
    "none": {"BACKEND": "django.core.cache.backends.dummy.DummyCache"},
}


@pytest.fixture(params=CACHES)
def counted(request, backups, settings, tmp_path):
    settings.CACHES = {"default": CACHES[request.param]}
    cache.clear()
    for number in range(3):
        backups.put(DAY - timedelta(days=number))
    backups.put_media()
    backups.count_calls(tmp_path)
    api.refresh()
    return backups


def together(work, arguments):
    with ThreadPoolExecutor(CLIENTS) as pool:
        return list(pool.map(work, arguments))


@pytest.mark.parametrize("counted", ["memory"], indirect=True)
def test_clients_on_all_pages_start_a_handful_of_processes(counted, admin_user):
    addresses = [reverse(f"admin:django_rclone_admin_backup_{name}") for name in ("changelist", "health")]

    clients = [Client() for _ in range(CLIENTS // 2)]
    for client in clients:
        client.force_login(admin_user)

    def visit(client):
        pages = [client.get(each) for each in addresses]
        api.refresh()
        return [page.status_code for page in (*pages, client.get(addresses[0]))]

    assert together(visit, clients) == [[200] * 3] * len(clients)
    # Each of the 24 looks may ask two kinds for their list and their manifests, and the remote for its room.
    assert len(counted.calls()) <= 30


def test_clients_that_look_at_once_share_one_look(counted, tmp_path):
    slow = programs.wrapper(tmp_path / "slow", "rclone", tmp_path / "counting" / "rclone", "time.sleep(0.5)")
    counted.configure(RCLONE_BINARY=str(slow))
    api.refresh()

    assert together(lambda number: Backup.objects.count(), range(CLIENTS)) == [4] * CLIENTS

    # The first may have begun before the last has asked, which then has to look again.
    assert len(counted.calls()) <= 4


def end_of_a_run_of_another_process():
    BackupRun.objects.create(
        kind="db_backup", status="succeeded", database="default", finished_at=datetime.now(UTC)
    )
    api.reap_stale()  # as each page does


@pytest.mark.parametrize("ask_anew", [api.refresh, end_of_a_run_of_another_process])
def test_nobody_sees_a_list_that_is_older_than_a_refresh(counted, tmp_path, ask_anew):
    """Somebody is still looking when a backup appears and another one asks anew."""
    held = programs.hold_output(tmp_path / "held", "rclone", counted.remote.binary, after=1, when="lsjson")
    counted.configure(RCLONE_BINARY=str(held.program))
    with ThreadPoolExecutor(1) as pool:
        first = pool.submit(Backup.objects.count)
        held.wait()
        counted.put(DAY + timedelta(days=1))
        ask_anew()
        held.release()
        first.result()

    assert Backup.objects.count() == 5


def test_process_that_died_holds_up_nobody_for_long(backups):
    """It had said that it works, in the cache that all share."""
    cache.add("key.flight", True, 60)

    assert once("key", lambda: None, lambda: "found", seconds=0.2) == "found"


@pytest.mark.parametrize("number", [50_000, 200_000])
def test_huge_manifest_is_not_read(backups, number, tmp_path):
    """It costs the page nothing, and its neighbours stay as they are."""
    backups.put(DAY - timedelta(days=1))
    path = backups.put(DAY)
    values = json.loads(backups.remote.read(f"{path}.manifest.json"))
    values["tables"] = ["x" * 100] * number
    backups.remote.write(f"{path}.manifest.json", json.dumps(values).encode() + b"\n")

    found = {each.path: each.state for each in Backup.objects.all()}

    assert found == {path: "complete" if number == 50_000 else "damaged", backups.paths[0]: "complete"}
    assert Backup.objects.get(path=path).state == found[path]
    if number == 50_000:  # among many it is read when it is looked at
        [among_many] = [each for each in Backup.objects.all() if each.path == path]
        assert len(among_many.tables) == number
        assert len(dict(Backup.objects.values_list("path", "tables"))[path]) == number
