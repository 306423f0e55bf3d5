"""“Try again” does the same again: into the same database, in the same way."""

import pytest
from django.contrib.auth.models import Permission

from django_rclone_admin.models import BackupRun, Kind, Status
from tests.admin.test_dashboard_pages import get, make_run, post, url
from tests.support.backups import Backups
from tests.support.executors import NAMES
from tests.support.html import read_page

pytestmark = pytest.mark.django_db(databases=["default", "analytics"])


def last() -> BackupRun:
    """Return the run that was queued last."""
    return BackupRun.objects.filter(status=Status.QUEUED).get()


@pytest.fixture
def queued(backups: Backups) -> Backups:
    """A site whose runs wait in a queue that nobody looks into."""
    backups.configure(EXECUTOR=NAMES["IdleTasksExecutor"])
    return backups


@pytest.mark.django_db(databases=["default", "analytics"], transaction=True)
@pytest.mark.parametrize(
    "options, database",
    [
        ({"elsewhere": True, "strategy": "swap", "safety_backup": False}, "analytics"),
        pytest.param({"elsewhere": True, "strategy": "in_place"}, "analytics", marks=pytest.mark.soak),
        ({"strategy": "swap"}, "default"),
    ],
)
def test_restore_into_another_database_is_tried_again_into_that_one(admin_client, queued, options, database):
    path = queued.put()
    run = make_run(kind=Kind.DB_RESTORE, status=Status.FAILED, database=database, path=path, options=options)
    page = post(admin_client, url("backuprun_retry", run.pk))
    assert f"Restore {database}?" in page.text
    hidden = {
        each.attributes["name"]: each.attributes["value"]
        for each in page.elements
        if each.tag == "input" and each.attributes.get("type") == "hidden"
    }
    hidden.pop("csrfmiddlewaretoken", None)

    other = {"default": "analytics", "analytics": "default"}[database]
    assert admin_client.post(url("backup_restore"), {**hidden, "confirm": other}).status_code == 200
    assert not BackupRun.objects.filter(status=Status.QUEUED).exists()
    post(admin_client, url("backup_restore"), **hidden, confirm=database)
    again = last()
    assert (again.database, again.path, again.kind) == (database, path, Kind.DB_RESTORE)
    assert again.options == options


@pytest.mark.django_db(databases=["default", "analytics"], transaction=True)
def test_backup_is_tried_again_with_its_label_and_its_clean_up(admin_client, queued):
    options = {"clean": True, "group": "nightly"}
    run = make_run(status=Status.FAILED, label="before the move", options=options)
    post(admin_client, url("backuprun_retry", run.pk))
    assert (last().label, last().options) == ("before the move", options)


def test_nobody_restores_into_a_database_that_is_not_there(admin_client, queued):
    path = queued.put()
    response = admin_client.get(url("backup_restore"), {"path": path, "to": "nowhere"}, follow=True)
    assert "There is no database “nowhere”" in read_page(response).text


@pytest.mark.django_db(databases=["default", "analytics"], transaction=True)
@pytest.mark.parametrize("status", [Status.SUCCEEDED, Status.FAILED])
def test_check_is_made_again_up_to_its_level(admin_client, queued, status):
    path = queued.put()
    run = make_run(
        kind=Kind.VERIFY, status=status, database="default", path=path, options={"level": "checksum"}
    )
    assert "Check again" in get(admin_client, url("backuprun_change", run.pk)).text
    post(admin_client, url("backuprun_retry", run.pk))
    assert (last().kind, last().path, last().options) == (Kind.VERIFY, path, {"level": "checksum"})


def test_who_may_not_check_is_offered_no_check(client, django_user_model, queued):
    run = make_run(kind=Kind.VERIFY, status=Status.FAILED, database="default", path=queued.put())
    user = django_user_model.objects.create_user("operator", is_staff=True)
    user.user_permissions.set(Permission.objects.filter(codename__in=["view_backuprun", "run_backup"]))
    client.force_login(user)
    assert "Check again" not in get(client, url("backuprun_change", run.pk)).text
    assert client.post(url("backuprun_retry", run.pk)).status_code == 403
