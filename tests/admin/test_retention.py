"""The preview of the clean-up: what goes when, by the rules of the settings and by others."""

from datetime import timedelta

import pytest
from django.urls import reverse

from django_rclone_admin import api, clock
from tests.support.html import read_page

pytestmark = pytest.mark.django_db(databases=["default", "analytics"])
URL = "admin:django_rclone_admin_backup_retention"


@pytest.fixture
def five(backups):
    """Five backups of five nights, and one of another database."""
    backups.configure(DB_CLEANUP_KEEP=4, DATABASES=["default", "analytics"])
    for age in range(5):
        backups.put(clock.now() - timedelta(days=age, hours=1), size=1000)
    backups.put(clock.now() - timedelta(hours=1), database="analytics", size=10)
    return backups


def test_page_says_what_goes_when_and_why(admin_client, five):
    names = five.remote.names()
    page = read_page(admin_client.get(reverse(URL)))
    assert "4.9 KB stored, 3.9 KB after the next clean-up." in page.text
    assert page.text.count("removed by the next clean-up no rule keeps it") == 1
    assert page.text.count("removed about") == 5
    assert "There is about 1 day between two backups" in page.text
    assert "With the rules above" not in page.text
    assert five.remote.names() == names


def test_other_rules_are_tried_and_nothing_is_changed(admin_client, five):
    names = five.remote.names()
    page = read_page(admin_client.get(reverse(URL), {"last": "2", "daily": "0"}))
    assert "2.0 KB with the rules above." in page.text
    assert page.text.count("removed by the next clean-up no rule keeps it") == 1 + 3
    assert (five.remote.names(), api.retention_rules()) == (names, {"last": 4})


def test_rules_that_are_none_are_refused(admin_client, five):
    nothing_kept = {"last": "0"}
    no_numbers = {"last": "-1", "daily": "x", "weekly": "1e9", "within_days": "nan"}
    for values, wrong in (nothing_kept, 1), (no_numbers, 4):
        response = admin_client.get(reverse(URL), values)
        assert response.status_code == 200, values
        assert response.content.decode().count('class="errorlist') == wrong, values
        assert "With the rules above" not in read_page(response).text, values


def test_page_without_backups_and_without_a_remote(admin_client, backups):
    assert "There are no backups." in read_page(admin_client.get(reverse(URL))).text
    backups.take_down()
    page = read_page(admin_client.get(reverse(URL), follow=True))
    assert "The remote can't be reached" in page.text
