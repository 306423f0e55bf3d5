"""The confirmation of a deletion says how much it frees, and what would be lost."""

from datetime import timedelta

import pytest

from tests.admin.test_dashboard_pages import get, url
from tests.support.backups import DAY
from tests.support.html import read_page

pytestmark = pytest.mark.django_db(databases=["default", "analytics"])


def selected(client, *paths: str) -> str:
    values = {"action": "delete_selected", "_selected_action": list(paths)}
    response = client.post(url("backup_changelist"), values)
    assert response.status_code == 200
    page = read_page(response)
    assert page.forbidden == []
    return page.text


def test_newest_good_backup_is_warned_of(admin_client, backups):
    older, newest = backups.put(DAY - timedelta(days=1), size=3000), backups.put(DAY, size=2048)
    backups.put(DAY + timedelta(hours=1), sha256="", manifest=b"damaged", size=10)
    backups.put(DAY + timedelta(hours=2), trigger="safety")
    only = backups.put(DAY, database="analytics")
    text = get(admin_client, url("backup_delete", newest)).text
    assert "This is the newest good backup of default. The newest remaining one is from 19 Nov 2026" in text
    assert "This frees 2.0 KB on the remote." in text
    assert "newest good backup" not in get(admin_client, url("backup_delete", older)).text
    text = get(admin_client, url("backup_delete", only)).text
    assert "Afterwards it can't be restored from any backup." in text
    text = selected(admin_client, older, newest, only)
    assert "This is the newest good backup of analytics. Afterwards it can't be restored" in text
    assert "This is the newest good backup of default. Afterwards it can't be restored" in text
    assert "This frees 5.0 KB" in text


def test_media_backup_says_that_its_file_versions_go(admin_client, backups):
    backups.put_media(DAY - timedelta(days=1))
    path = backups.put_media(DAY)
    text = get(admin_client, url("backup_delete", path)).text
    assert "This is the newest good backup of the media files. The newest remaining one is from" in text
    assert "File versions that only this media backup needs" in text
