"""Backups are opened, looked at, thrown away and put live in the admin, by who may do so."""

import pytest
from django.contrib.admin.models import LogEntry
from django.contrib.admin.utils import quote
from django.contrib.auth.models import Permission, User
from django.urls import reverse

from django_rclone_admin import api, clock
from django_rclone_admin.models import BackupRun, OpenedBackup
from tests.support.html import read_page
from tests.support.opened import ALIAS

pytestmark = pytest.mark.django_db(transaction=True)


def page(name: str, *arguments: object) -> str:
    return reverse(f"admin:django_rclone_admin_{name}", args=arguments)


@pytest.fixture
def path(books, backups, servers) -> str:
    """A backup of the books, which have changed since."""
    path: str = books.have_backup(backups.remote, servers.folder)
    books.execute("DELETE FROM book WHERE id = 3")
    books.execute("INSERT INTO author VALUES (7, 'new')")
    return path


@pytest.fixture
def staff(client):
    """Log in with these permissions."""

    def log_in(*permissions: str):
        user, _is_new = User.objects.get_or_create(username="sam", is_staff=True)
        user.user_permissions.set(Permission.objects.filter(codename__in=permissions))
        client.force_login(user)
        return client

    return log_in


def test_open_button_leads_to_the_run_and_from_there_to_the_page_with_its_checks(
    books, path, admin_client, backups
):
    assert (
        'class="dra-button">Open</button>' in admin_client.get(page("backup_change", path)).content.decode()
    )
    response = admin_client.post(page("backup_open", path))
    run = BackupRun.objects.get(kind="open")
    assert (run.status, run.requested_by, run.trigger) == ("succeeded", "admin", "admin")
    assert response.url == page("backuprun_change", run.pk)
    assert "Opening of" in LogEntry.objects.latest("pk").change_message
    assert page("openedbackup_change", run.pk) in admin_client.get(response.url).content.decode()

    text = admin_client.get(page("openedbackup_change", run.pk)).content.decode()
    assert "This is a copy, read-only." in text
    assert f"alias backup_{run.pk.hex[:8]}" in text
    compared = admin_client.get(page("openedbackup_change", run.pk), {"compare": 1}).content.decode()
    assert "author <strong>+1</strong>" in compared
    assert "book <strong>−1</strong>" in compared

    assert "This backup has not been checked yet." in text
    backups.remote.write(f"{path}.check.checksum.passed.{clock.now():%Y%m%dT%H%M%SZ}.json", b"{}")
    api.refresh()
    seen = read_page(admin_client.get(page("openedbackup_change", run.pk)))
    assert "passed" in seen.text
    assert page("backup_checks", quote(path)) in seen.links()
    api.close_backup(str(run.pk))


def test_it_is_kept_longer_and_throwing_it_away_removes_it(books, path, admin_client):
    opened = api.open_backup(path, hours=1)
    admin_client.post(page("openedbackup_keep", opened.pk))
    assert OpenedBackup.objects.get().expires_at > opened.expires_at
    assert page("openedbackup_changelist") in read_page(admin_client.get(page("backup_changelist"))).links()
    assert f"{ALIAS}, as of" in admin_client.get(page("openedbackup_changelist")).content.decode()
    assert admin_client.get(page("openedbackup_close", opened.pk)).status_code == 405
    admin_client.post(page("openedbackup_close", opened.pk))
    assert books.beside() == []
    assert LogEntry.objects.latest("pk").change_message == "Closed."
    response = admin_client.get(page("openedbackup_change", opened.pk), follow=True)
    assert "There is no opened backup" in response.content.decode()


def test_put_live_says_what_is_lost_and_wants_the_name(books, path, admin_client):
    opened = api.open_backup(path)
    url = page("openedbackup_live", opened.pk)
    text = admin_client.get(url).content.decode()
    assert "At least 1 row was added since." in text
    assert 'author: <bdi dir="ltr">2 → 3</bdi>' in text
    assert "Type “books” to confirm" in admin_client.post(url, {"confirm": "nope"}).content.decode()
    assert books.execute("SELECT COUNT(*) FROM author") == [(3,)]
    response = admin_client.post(url, {"confirm": ALIAS})
    run = BackupRun.objects.get(kind="db_restore")
    assert response.url.partition("?")[0] == page("backuprun_change", run.pk)
    assert run.status == "succeeded"
    assert books.execute("SELECT COUNT(*) FROM author") == [(2,)]
    assert books.beside() == []
    assert page("backuprun_undo", run.pk) in admin_client.get(response.url).content.decode()


VIEWS = ("openedbackup_close", "openedbackup_keep", "openedbackup_live", "openedbackup_change")


def test_without_the_permission_nothing_is_shown_or_done(books, path, staff):
    opened = api.open_backup(path)
    for permission in ("view_backup", "restore_backup", "run_backup"):
        client = staff(permission, "view_backup", "view_backuprun")
        shown = client.get(page("backup_change", path)).content.decode()
        assert 'class="dra-button">Open</button>' not in shown, permission
        assert client.post(page("backup_open", path)).status_code == 403, permission
        assert client.get(page("openedbackup_changelist")).status_code == 403, permission
        refused = [name for name in VIEWS if client.post(page(name, opened.pk)).status_code == 403]
        assert refused == [
            name for name in VIEWS if (permission, name) != ("restore_backup", "openedbackup_live")
        ]
        assert "Opened backups" not in client.get(reverse("admin:index")).content.decode(), permission
    assert api.list_opened_backups() == [opened]

    # Who may open and not restore sees no way to switch.
    client = staff("open_backup", "view_backup")
    assert "Put it live" not in client.get(page("openedbackup_change", opened.pk)).content.decode()
    assert client.post(page("openedbackup_live", opened.pk), {"confirm": ALIAS}).status_code == 403
    assert client.post(page("openedbackup_close", opened.pk)).status_code == 302
    assert books.beside() == []
