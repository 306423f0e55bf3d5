"""What the remote refuses to remove is never reported as removed, on a machine without a configuration file of rclone."""

import os
from datetime import timedelta

import pytest
from django.urls import reverse

from django_rclone_admin import api
from django_rclone_admin.exceptions import RemoteDenied
from django_rclone_admin.models import Backup, BackupRun
from tests.support.backups import DAY
from tests.support.commands import document
from tests.support.immutable import immutable
from tests.support.remotes import configuration

pytestmark = pytest.mark.django_db
in_turns = pytest.mark.in_turns("three")


def spellings(remote):
    """Return the ways in which settings may name one folder."""
    return {
        "path": {"REMOTE": str(remote.root)},
        "connection string": {"REMOTE": f':alias,remote="{remote.root}":'},
        "RCLONE_ENV": {"REMOTE": "shop:", "RCLONE_ENV": configuration(TYPE="alias", REMOTE=str(remote.root))},
    }


@pytest.fixture(params=["path", "connection string", "RCLONE_ENV"])
def three(request, backups, remote, monkeypatch):
    """Three backups, with a machine that has no configuration of rclone."""
    monkeypatch.setenv("HOME", "/nonexistent")
    backups.configure(**spellings(remote)[request.param], DB_CLEANUP_KEEP=1)
    for number in range(3):
        backups.put(DAY - timedelta(days=number))
    return backups


@pytest.fixture
def refusing(three):
    with immutable(three.remote.root / "db"):
        yield three


@in_turns
def test_clean_up_fails_and_everything_is_still_listed(refusing):
    with pytest.raises(RemoteDenied, match="not permitted"):
        api.prune("default")

    assert len(refusing.remote.names("db")) == 6
    run = BackupRun.objects.get()
    assert run.status == "failed"
    assert "Removed 0 of 2 backups." in run.log


@in_turns
@pytest.mark.parametrize(
    "delete", [lambda: Backup.objects.all().delete(), lambda: Backup.objects.first().delete()]
)
def test_delete_fails(refusing, delete):
    with pytest.raises(RemoteDenied, match="not permitted"):
        delete()

    assert Backup.objects.count() == 3


@in_turns
def test_admin_does_not_say_that_it_deleted(refusing, admin_client):
    address = reverse("admin:django_rclone_admin_backup_changelist")
    data = {"action": "delete_selected", "_selected_action": refusing.paths, "post": "yes"}

    page = admin_client.post(address, data, follow=True).content.decode()

    assert "Successfully deleted" not in page
    assert "denied access" in page
    assert len(refusing.remote.names("db")) == 6


@in_turns
def test_unpinning_fails(three):
    path = three.put(DAY + timedelta(days=1), pinned=True)

    with immutable(three.remote.root / "db"), pytest.raises(RemoteDenied, match="not permitted"):
        api.pin_backup(path, pinned=False)

    assert Backup.objects.get(path=path).pinned


def test_upload_in_flight_that_may_not_be_removed_does_not_stop_backups(shop):
    """Nor is it reported as removed."""
    left = "db/default-2026-11-20-120000.sqlite3.zst.partial-00000000-0000-0000-0000-000000000000"
    shop.remote.write(left, b"cut off")
    os.utime(shop.remote.root / left, (0, 0))
    with immutable(shop.remote.root / left):
        run = document(shop, "dbbackup")

    assert run["status"] == "succeeded"
    assert "could not be removed: The remote denied access" in run["log"]
    assert "Removed 1 unfinished" not in run["log"]
    assert left in shop.remote.names()
