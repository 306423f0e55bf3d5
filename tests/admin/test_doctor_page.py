"""The page of the doctor: nothing happens before it is posted, and then each part comes by itself."""

import pytest
from django.contrib.admin.models import LogEntry

from tests.admin.test_dashboard_pages import get, url
from tests.support.html import read_page

pytestmark = pytest.mark.django_db(databases=["default", "analytics"], transaction=True)
DOCTOR = "backup_doctor"


def test_page_examines_only_when_it_is_posted(admin_client, backups, settings, tmp_path):
    settings.MEDIA_ROOT = ""  # one folder is probed, and not three
    backups.count_calls(tmp_path)
    page = get(admin_client, url(DOCTOR))
    assert "Examine" in page.text
    assert backups.calls() == []
    assert url(DOCTOR) in get(admin_client, url("backup_changelist")).links()
    backups.calls()
    # Without a script, the whole of it is one page.
    response = admin_client.post(url(DOCTOR))
    page = read_page(response)
    assert response.status_code == 200
    assert page.forbidden == []
    for word in ("rclone and the remote", "Databases", "The site", "site.cache", "remote.encryption"):
        assert word in page.text
    assert "rcat" in backups.calls()
    assert LogEntry.objects.get().change_message == "Examined."


def test_parts_are_asked_for_one_by_one(admin_client, backups, tmp_path):
    backups.count_calls(tmp_path)
    response = admin_client.post(url(DOCTOR), headers={"HX-Request": "true"})
    waiting = read_page(response)
    places = [each.attributes for each in waiting.elements if each.attributes.get("hx-trigger") == "load"]
    assert [each["hx-post"] for each in places] == [url(DOCTOR)] * 3
    assert backups.calls() == []
    headers = {"HX-Request": "true"}
    part = admin_client.post(url(DOCTOR), {"part": "databases"}, headers=headers).content.decode()
    assert "database.reached" in part
    assert "remote.reached" not in part
    assert backups.calls() == []
    assert admin_client.post(url(DOCTOR), {"part": "nope"}, headers=headers).status_code == 404
    assert LogEntry.objects.count() == 1  # that of the examination, not of each of its parts


def test_what_is_broken_is_on_the_page(admin_client, backups):
    backups.take_down()
    text = read_page(admin_client.post(url(DOCTOR), {"part": "remote"})).text
    assert "failed The remote answers" in text
    assert "The check “remote.reached” has to pass first." in text
    backups.configure(NONSENSE=1)
    text = read_page(admin_client.post(url(DOCTOR), {"part": "remote"})).text
    assert "unknown key “NONSENSE”" in text
