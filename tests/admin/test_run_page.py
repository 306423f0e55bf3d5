"""The page of a run: its title follows the state, nothing is said twice, and its link answers without a session."""

import re
from datetime import timedelta

import pytest
from django.contrib.sessions.models import Session
from django.core import signing
from django.db import connection
from django.urls import reverse

from django_rclone_admin import clock
from django_rclone_admin.admin.run_link import SALT, key_of
from django_rclone_admin.models import BackupRun, Kind, Status
from tests.admin.test_dashboard_pages import HTMX, get, make_run, post, url
from tests.support.executors import NAMES
from tests.support.html import read_page

pytestmark = pytest.mark.django_db(databases=["default", "analytics"])
UUID = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}")


def heading(page) -> str:
    found = re.search(
        r"(?<=Run history )(.+?) (?:queued|running|succeeded|failed|cancelled|interrupted) ", page.text
    )
    return found[1] if found else page.text


@pytest.mark.parametrize(
    "kind, options, status, title",
    [
        (Kind.DB_BACKUP, {}, Status.QUEUED, "Backing up default: waiting"),
        (Kind.DB_BACKUP, {}, Status.RUNNING, "Backing up default"),
        (Kind.DB_BACKUP, {}, Status.SUCCEEDED, "Backup of default succeeded"),
        (Kind.MEDIA_BACKUP, {}, Status.FAILED, "Backup of the media files failed"),
        (Kind.DB_RESTORE, {}, Status.CANCELLED, "Restore of default was cancelled"),
        (Kind.DB_RESTORE, {"undoes": ""}, Status.RUNNING, "Undoing the restore of default"),
        (
            Kind.DB_RESTORE,
            {"undoes": ""},
            Status.INTERRUPTED,
            "Undo of the restore of default was interrupted",
        ),
    ],
)
def test_title_follows_the_state(admin_client, backups, kind, options, status, title):
    database = "" if kind is Kind.MEDIA_BACKUP else "default"
    run = make_run(kind=kind, options=options, status=status, database=database)
    response = admin_client.get(url("backuprun_change", run.pk))
    assert f'<h1 id="dra-title">{title}</h1>' in response.content.decode()
    assert f"<title>{title} |" in response.content.decode()


def test_nothing_is_said_twice_and_nothing_that_is_not_known(admin_client, backups):
    run = make_run(
        status=Status.FAILED, message="It went wrong here.", hint="Do it again.", path="", label=""
    )
    run.write_log("Looking at the remote")
    run.write_log(run.message)
    run.save()
    response = admin_client.get(url("backuprun_change", run.pk))
    page = read_page(response)
    assert page.forbidden == []
    for text in (run.message, run.hint, "Looking at the remote"):
        assert page.text.count(text) == 1
    assert not UUID.search(page.text)
    details = page.text.partition("Details")[2]
    assert " – " not in f"{details} "
    assert "Label" not in details
    assert "Started from" in details


@pytest.mark.django_db(databases=["default", "analytics"], transaction=True)
def test_what_has_succeeded_is_run_again_with_every_option(admin_client, backups):
    backups.configure(EXECUTOR=NAMES["IdleTasksExecutor"])
    options = {"clean": True, "group": "nightly", "full": True, "level": "structure"}
    run = make_run(kind=Kind.MEDIA_BACKUP, database="", label="before the move", options=options)
    assert "Run again" in get(admin_client, url("backuprun_change", run.pk)).text
    post(admin_client, url("backuprun_retry", run.pk))
    again = BackupRun.objects.get(status=Status.QUEUED)
    assert (again.kind, again.label, again.options) == (Kind.MEDIA_BACKUP, "before the move", options)


def test_restore_that_has_succeeded_offers_no_second_one(admin_client, backups):
    run = make_run(kind=Kind.DB_RESTORE, path=backups.put())
    text = get(admin_client, url("backuprun_change", run.pk)).text
    assert "Run again" not in text
    assert "Try again" not in text
    run.status = Status.FAILED
    run.save()
    assert "Try again" in get(admin_client, url("backuprun_change", run.pk)).text


def test_undo_that_failed_is_tried_again_as_an_undo(admin_client, backups):
    undone = make_run(kind=Kind.DB_RESTORE, path="db/wanted", options={"safety": backups.put()})
    failed = make_run(
        kind=Kind.DB_RESTORE, status=Status.FAILED, path=backups.put(), options={"undoes": str(undone.pk)}
    )
    page = post(admin_client, url("backuprun_retry", failed.pk))
    assert "Undo the restore of default?" in page.text


# -- without a session ----------------------------------------------------------------------------------------------------


def linked(run: BackupRun, page: str = "backuprun_change") -> str:
    return f"{url(page, run.pk)}?key={key_of(run)}"


@pytest.mark.parametrize(
    "options, status, sentence",
    [
        ({}, Status.SUCCEEDED, "The restore succeeded. Log in again."),
        ({"undoes": ""}, Status.SUCCEEDED, "The undo succeeded. Log in again."),
        ({}, Status.FAILED, "The restore did not succeed. Log in again."),
    ],
)
def test_link_says_without_a_session_how_it_ended(client, backups, options, status, sentence):
    run = make_run(
        kind=Kind.DB_RESTORE, status=status, options=options, message="Told.", log="12:00:00 secret line"
    )
    login = f"{reverse('admin:login')}?next={url('backuprun_change', run.pk).replace('/', '%2F')}"
    page = get(client, linked(run))
    assert sentence in page.text
    assert "Told." in page.text
    assert "secret line" not in page.text
    assert login in page.links()
    assert ("The database is as it was before" in page.text) is (status == Status.FAILED)
    response = client.get(linked(run, "backuprun_progress"), **HTMX)
    assert (response.status_code, sentence in read_page(response).text) == (286, True)


def test_link_of_a_run_at_work_goes_on_without_a_session(client, backups):
    run = make_run(kind=Kind.DB_RESTORE, status=Status.RUNNING, finished_at=None, lock="db:default")
    page = get(client, linked(run))
    assert "Restoring default" in page.text
    [poll] = [each.attributes["hx-get"] for each in page.elements if "hx-get" in each.attributes]
    assert client.get(poll, **HTMX).status_code == 200
    run.end(Status.SUCCEEDED, "Restored.")
    run.save()
    response = client.get(poll, **HTMX)
    assert response.status_code == 286
    assert "The restore succeeded." in read_page(response).text


def test_only_the_link_of_this_run_and_of_this_hour_answers(client, backups, monkeypatch):
    run, other = make_run(kind=Kind.DB_RESTORE), make_run(kind=Kind.DB_RESTORE)
    old = make_run(kind=Kind.DB_RESTORE, finished_at=clock.now() - timedelta(hours=2))
    forged = signing.dumps(str(run.pk), salt="another")
    for address in (
        url("backuprun_change", run.pk),
        f"{url('backuprun_change', run.pk)}?key={key_of(other)}",
        f"{url('backuprun_change', run.pk)}?key={forged}",
        f"{url('backuprun_change', run.pk)}?key=%00",
        linked(old),
    ):
        response = client.get(address)
        assert (response.status_code, response.url.partition("?")[0]) == (302, reverse("admin:login"))
    with monkeypatch.context() as patch:
        patch.setattr("django.core.signing.time.time", lambda: 1_000_000_000.0)  # the link is of another year
        key = signing.dumps(str(run.pk), salt=SALT)
    assert client.get(f"{url('backuprun_change', run.pk)}?key={key}").status_code == 302
    # Nothing but the page answers to it.
    for page in ("backuprun_cancel", "backuprun_retry", "backuprun_undo"):
        assert client.post(f"{url(page, run.pk)}?key={key_of(run)}").status_code == 302


@pytest.mark.django_db(databases=["default", "analytics"], transaction=True)
def test_link_answers_where_the_restored_database_has_no_sessions(admin_client, backups):
    run = make_run(kind=Kind.DB_RESTORE)
    with connection.schema_editor() as editor:
        editor.delete_model(Session)
    try:
        assert "The restore succeeded." in get(admin_client, linked(run)).text
    finally:
        with connection.schema_editor() as editor:
            editor.create_model(Session)


def test_link_leads_who_is_logged_in_to_the_whole_page(admin_client, backups):
    run = make_run(kind=Kind.DB_RESTORE, log="12:00:00 a line")
    assert "a line" in get(admin_client, linked(run)).text
