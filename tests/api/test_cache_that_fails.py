"""A cache that is down, or has no table yet, stops no page, no backup and no restore."""

import pytest
from django.core.cache import cache
from django.db import connections

from django_rclone_admin import api
from django_rclone_admin.models import Backup, Status
from tests.admin.test_dashboard_pages import get, url
from tests.support.matrix import sampled

pytestmark = pytest.mark.django_db(databases=["default", "analytics"], transaction=True)
CACHES = {
    "no table": {"BACKEND": "django.core.cache.backends.db.DatabaseCache", "LOCATION": "nowhere"},
    "no server": {
        "BACKEND": "django.core.cache.backends.redis.RedisCache",
        "LOCATION": "redis://127.0.0.1:9",
    },
}


@pytest.fixture(autouse=True)
def no_media(backups, settings):
    """Without a cache each question is a call of rclone, and one more where there are media files."""
    settings.MEDIA_ROOT = ""


# A page without the table, and the list in the admin, are in the test below.
@pytest.mark.parametrize("kind", sampled(CACHES, "no server"))
def test_all_goes_on_without_the_cache(admin_client, backups, settings, kind):
    settings.CACHES = {"default": CACHES[kind]}
    with pytest.raises(Exception, match=r"nowhere|127\.0\.0\.1|refused"):
        cache.get("x")
    run = api.backup_database("default")
    assert run.status == Status.SUCCEEDED, run.message
    assert Backup.objects.count() == 1
    assert "default" in get(admin_client, url("backup_health")).text
    assert api.restore_database(run.path, safety_backup=False).status == Status.SUCCEEDED


def test_failing_cache_in_the_database_does_not_spoil_the_request(
    admin_client, backups, settings, monkeypatch
):
    settings.CACHES = {"default": CACHES["no table"]}
    monkeypatch.setitem(connections["default"].settings_dict, "ATOMIC_REQUESTS", True)
    backups.put()
    assert "1 backup" in get(admin_client, url("backup_changelist")).text
