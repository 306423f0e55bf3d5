"""What the confirmation of a restore takes for a yes, and what it says of an undo."""

import pytest
from django.db import connections

from django_rclone_admin.admin.forms import RestoreForm
from tests.admin.test_dashboard_pages import get, url

pytestmark = pytest.mark.django_db(databases=["default", "analytics"])


@pytest.mark.parametrize("typed", ["default", "Default", " DEFAULT "])
def test_capitals_are_no_obstacle(typed):
    assert RestoreForm({"confirm": typed}, target="default").is_valid()


def test_of_two_that_differ_in_capitals_the_right_one_is_typed(monkeypatch):
    monkeypatch.setitem(connections.settings, "Default", connections.settings["analytics"])
    assert not RestoreForm({"confirm": "Default"}, target="default").is_valid()
    assert RestoreForm({"confirm": "Default"}, target="Default").is_valid()


def test_restore_of_media_says_that_nothing_is_kept_to_undo_it(admin_client, backups):
    backups.configure(MEDIA_SOURCE=":memory:uploads")  # no folder to keep anything next to
    path = backups.put_media()
    page = get(admin_client, url("backup_restore"), path=path)
    assert "Once the restore has succeeded, it can't be undone." in page.text
    assert "Back up the media files first" in page.text
    assert url("backup_run_now") in page.links()


# -- without JavaScript ---------------------------------------------------------------------------------------------------


def test_without_scripts_nothing_looks_for_ever(admin_client, backups):
    """The style sheet for those without scripts hides what only a script would end."""
    path = backups.put_media()
    for address, values in ((url("backup_changelist"), {}), (url("backup_restore"), {"path": path})):
        response = admin_client.get(address, values)
        html = response.content.decode()
        assert (
            '<noscript><link rel="stylesheet" href="/static/django_rclone_admin/no-script.css"></noscript>'
            in html
        )
        assert html.count("dra-scripted") == 1


def test_health_is_a_page_of_its_own_for_those_without_scripts(admin_client, backups):
    backups.put()
    page = get(admin_client, url("backup_health"))
    assert url("backup_changelist") in page.links()
    part = admin_client.get(url("backup_health"), headers={"HX-Request": "true"}).content.decode()
    assert "<html" not in part
    assert "dra-headline" in part
