"""The confirmation of an undo: nothing happens until the name of the database was typed."""

import pytest
from django.urls import reverse

from django_rclone_admin.models import BackupRun, Kind, Status
from tests.support.html import read_page

pytestmark = pytest.mark.django_db(databases=["default", "analytics"])


@pytest.fixture
def run(backups) -> BackupRun:
    """A restore that can be undone by its safety backup."""
    return BackupRun.objects.create(
        kind=Kind.DB_RESTORE,
        status=Status.SUCCEEDED,
        database="default",
        path="db/wanted",
        options={"safety": backups.put()},
    )


def undo(run) -> str:
    return reverse("admin:django_rclone_admin_backuprun_undo", args=[run.pk])


def test_page_says_what_comes_back_and_asks_for_the_name(admin_client, run):
    page = read_page(admin_client.get(undo(run)))
    assert "Undo the restore of default?" in page.text
    assert "Type “default” to confirm" in page.text
    assert run.path in page.text
    assert f"The safety backup {run.options['safety']}" in page.text
    assert "All changes since the restore." in page.text
    assert page.forbidden == []
    assert BackupRun.objects.count() == 1


@pytest.mark.parametrize("confirm", ["", "Défault", "analytics", "defaul"])
def test_nothing_happens_until_the_name_is_typed(admin_client, run, confirm):
    response = admin_client.post(undo(run), {"confirm": confirm})
    assert response.status_code == 200
    assert "Undo the restore of default?" in read_page(response).text
    assert BackupRun.objects.count() == 1


def test_kept_data_is_what_comes_back_where_there_is_some(admin_client, run):
    run.options["kept"] = "shop_dra_kept_1a2b3c4d"
    run.save()
    assert (
        "the data that was live before shop_dra_kept_1a2b3c4d" in read_page(admin_client.get(undo(run))).text
    )


def test_restore_before_the_last_one_can_not_be_undone(admin_client, run, backups):
    BackupRun.objects.create(kind=Kind.DB_RESTORE, status=Status.SUCCEEDED, database="default")
    for answer in (
        admin_client.get(undo(run), follow=True),
        admin_client.post(undo(run), {"confirm": "default"}, follow=True),
    ):
        assert "Only the last restore can be undone" in read_page(answer).text
    assert BackupRun.objects.count() == 2
