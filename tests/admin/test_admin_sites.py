"""Every link, form and redirect stays in the admin site that the request came through."""

import re
from datetime import UTC, datetime, timedelta

import pytest
from django.contrib.admin.utils import quote

from django_rclone_admin.models import BackupRun, Kind, OpenedBackup, Status

pytestmark = [
    pytest.mark.django_db(databases=["default", "analytics"], transaction=True),
    pytest.mark.urls("tests.support.other_admin"),
]
LIST, RUNS = "/control/django_rclone_admin/backup/", "/control/django_rclone_admin/backuprun/"
ADDRESS = re.compile(r'(?:href|action|hx-get|src)="(/[^"]*)"')


@pytest.fixture
def path(backups):
    backups.configure(SAFETY_BACKUP=False)
    return backups.put(datetime.now(UTC).replace(microsecond=0) - timedelta(hours=1), group="g1")


def addresses(response):
    return set(ADDRESS.findall(response.content.decode()))


def test_pages_lead_nowhere_else(admin_client, path):
    run = BackupRun.objects.create(kind=Kind.DB_BACKUP, status=Status.FAILED, database="default", path=path)
    active = BackupRun.objects.create(
        kind=Kind.DB_BACKUP, status=Status.RUNNING, heartbeat_at=datetime.now(UTC)
    )
    pages = [
        LIST,
        f"{LIST}health/",
        f"{LIST}run/",
        f"{LIST}{quote(path)}/change/",
        f"{LIST}{quote(path)}/delete/",
        f"{LIST}restore/?path={path}",
        RUNS,
        f"{RUNS}{run.pk}/change/",
        f"{RUNS}{active.pk}/progress/",
    ]
    for page in pages:
        response = admin_client.get(page)
        assert response.status_code == 200, page
        ours = {each for each in addresses(response) if not each.startswith("/static/")}
        assert {each for each in ours if not each.startswith("/control/")} <= {"/"}, page


def test_site_that_does_not_register_opened_backups_has_no_link_to_them(admin_client, path):
    now = datetime.now(UTC)
    run = BackupRun.objects.create(kind=Kind.OPEN, status=Status.SUCCEEDED, database="default", path=path)
    OpenedBackup.objects.create(
        id=run.pk, path=path, database="default", server="default", vendor="SQLite", place="/nowhere/x",
        opened_at=now, expires_at=now + timedelta(hours=1), taken_at=now, rows={},
    )  # fmt: skip
    for page in (LIST, f"{RUNS}{run.pk}/change/", f"{RUNS}{run.pk}/progress/"):
        response = admin_client.get(page)
        assert response.status_code in (200, 286), page  # 286 ends the polling of a run that has ended
        assert b"openedbackup" not in response.content


def test_redirects_lead_nowhere_else(admin_client, backups, path):
    backups.configure(EXECUTOR="tests.admin.test_dashboard_permissions.IdleExecutor")
    started = admin_client.post(f"{LIST}run/", {"databases": "default"})
    run = BackupRun.objects.latest("created_at")
    assert started.headers["Location"] == f"{RUNS}{run.pk}/change/"
    assert admin_client.post(f"{LIST}refresh/").headers["Location"] == LIST
    pin = admin_client.post(f"{LIST}{quote(path)}/pin/")
    assert pin.headers["Location"] == f"{LIST}{quote(path)}/change/"
    chosen = {"action": "restore_selected", "_selected_action": path}
    assert admin_client.post(LIST, chosen).headers["Location"].startswith(f"{LIST}restore/?path=")
    run.end(Status.FAILED, "It failed.")
    run.save()
    restored = admin_client.post(f"{LIST}restore/", {"path": path, "confirm": "default"})
    assert restored.headers["Location"].startswith(RUNS)
    assert admin_client.post(f"{RUNS}{run.pk}/retry/").headers["Location"].startswith(RUNS)
    assert admin_client.post(f"{RUNS}{run.pk}/cancel/").headers["Location"] == f"{RUNS}{run.pk}/change/"


def test_error_of_the_remote_leads_to_the_list_of_the_same_site(admin_client, backups, path):
    backups.configure(REMOTE="nowhere:")
    response = admin_client.get(f"{LIST}restore/?path={path}")
    assert response.headers["Location"] == LIST


def test_somebody_logged_out_is_led_to_the_login_of_the_same_site(client):
    run = BackupRun.objects.create(kind=Kind.DB_BACKUP, status=Status.SUCCEEDED, database="default")
    response = client.get(f"{RUNS}{run.pk}/progress/")
    assert response.headers["Location"].startswith("/control/login/?next=")
