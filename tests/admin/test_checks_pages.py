"""Checks in the admin: started there, shown in the list and on the page of a backup, and printed."""

import json
from datetime import timedelta

import pytest
from django.contrib.admin.models import LogEntry
from django.contrib.admin.utils import quote
from django.urls import reverse

from django_rclone_admin import api, clock
from django_rclone_admin.models import Backup, BackupRun, Kind, Status
from tests.admin.test_dashboard_pages import get
from tests.admin.test_run_page import UUID
from tests.support.backups import DAY

pytestmark = pytest.mark.django_db(databases=["default", "analytics"], transaction=True)

LIST = "admin:django_rclone_admin_backup_changelist"


@pytest.fixture
def paths(backups):
    """Two good backups, the newest first."""
    return sorted((api.backup_database("analytics").path for _ in range(2)), reverse=True)


def address(page, path):
    return reverse(f"admin:django_rclone_admin_backup_{page}", args=[quote(path)])


def text(client, where):
    return client.get(where).content.decode()


def test_button_starts_a_check_that_the_page_then_shows(admin_client, backups):
    path = api.backup_database("analytics").path
    answer = admin_client.post(address("check", path), {"level": "structure"})

    [run] = BackupRun.objects.filter(kind=Kind.VERIFY)
    assert answer.url == reverse("admin:django_rclone_admin_backuprun_change", args=[run.pk])
    assert (run.status, run.requested_by, run.trigger) == (Status.SUCCEEDED, "admin", "admin")
    assert LogEntry.objects.filter(change_message__contains="Check started.").count() == 1
    assert "structure" in text(admin_client, address("change", path))
    shown = text(admin_client, address("checks", path))
    assert "auth_user" in shown or "analytics_pageview" in shown
    page = get(admin_client, address("checks", path))
    assert "Structure passed" in page.text
    assert "The changes of 1 minute: so old was the backup at the check." in page.text
    # What is known, and no ids.
    assert not UUID.search(page.text)
    assert "–" not in page.text
    assert answer.url in page.links()


@pytest.mark.soak  # the next test has one that is damaged
def test_selected_backups_of_one_database_are_checked_one_after_the_other(admin_client, paths):
    admin_client.post(reverse(LIST), {"action": "verify_selected", "_selected_action": paths})

    assert {each.proven for each in Backup.objects.all()} == {"structure"}
    assert BackupRun.objects.filter(kind=Kind.VERIFY, status=Status.SUCCEEDED).count() == 2


def test_one_that_fails_does_not_keep_the_others_from_being_checked(admin_client, backups):
    good = api.backup_database("analytics")
    damaged = backups.put(clock.now() + timedelta(seconds=2), database="analytics")
    paths = [damaged, good.path]

    admin_client.post(reverse(LIST), {"action": "verify_selected", "_selected_action": paths})

    found = {each.path: (each.state, each.proven, each.failed) for each in Backup.objects.all()}
    assert found == {paths[0]: ("damaged", "", "checksum"), paths[1]: ("complete", "structure", "")}
    ended = BackupRun.objects.filter(kind=Kind.VERIFY).values_list("status", flat=True)
    assert sorted(ended) == [Status.FAILED, Status.SUCCEEDED]
    assert "checksum: failed" in text(admin_client, reverse(LIST))


def test_filter_and_column_tell_what_was_proven(admin_client, backups):
    names = {
        "restore": backups.put(DAY.replace(day=1)), "failed": backups.put(DAY.replace(day=2)), "never": backups.put(DAY.replace(day=3)),
    }  # fmt: skip
    backups.remote.write(f"{names['restore']}.check.restore.passed.20261101T000000Z.json", b"{}")
    backups.remote.write(f"{names['failed']}.check.site.failed.20261101T000000Z.json", b"{}")
    backups.count_calls(backups.log.parent)

    for value, path in names.items():
        found = admin_client.get(f"{reverse(LIST)}?proven={value}").context["cl"].result_list
        assert [each.path for each in found] == [path]
    assert "restored" in text(admin_client, reverse(LIST))
    assert set(backups.calls()) <= {"lsjson", "cat", "about", "version"}


def test_queries_by_what_was_proven_read_no_manifest(backups):
    backups.put()
    backups.remote.write(f"{backups.paths[0]}.check.restore.passed.20261101T000000Z.json", b"{}")
    backups.count_calls(backups.log.parent)

    assert Backup.objects.filter(proven="restore", proven_at__year=2026, failed="").exists()
    assert Backup.objects.values_list("checks", flat=True)[0] == [
        {"level": "restore", "outcome": "passed", "at": "2026-11-01T00:00:00+00:00"}
    ]
    assert "cat" not in backups.calls()


def test_hostile_record_is_harmless_on_its_page(admin_client, backups):
    path = backups.put()
    name = f"{path}.check.restore.passed.20261101T000000Z.json"
    evil = {
        "format": 1, "backup": path.rpartition("/")[2], "database": "<script>", "level": "restore", "outcome": "passed",
        "reason": "<script>alert(1)</script>\u202e", "started_at": "2026-11-01T00:00:00+00:00", "finished_at": "2026-11-01T00:00:00+00:00",
        "age_seconds": 1, "sha256": "", "size": 1, "tables": {"<b>": {"expected": 1, "found": 2}}, "versions": {}, "host": "",
        "requested_by": "", "run": "", "previous": "",
    }  # fmt: skip
    backups.remote.write(name, json.dumps(evil).encode())

    content = admin_client.get(address("checks", path)).content.decode()

    assert "<script>alert" not in content
    assert "<b>" not in content
    assert "\u202e" not in content
    backups.remote.write(name, b'{"format": 1, "backup": ' + b"[" * 100_000)
    api.refresh()
    assert admin_client.get(address("checks", path)).status_code == 200


def test_unknown_level_is_refused(admin_client, backups):
    admin_client.post(address("check", backups.put()), {"level": "everything"})

    assert not BackupRun.objects.filter(kind=Kind.VERIFY).exists()
