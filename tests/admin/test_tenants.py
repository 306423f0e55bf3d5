"""Staff of one tenant do not see, run, download or restore the backups of all."""

import pytest
from django.contrib.admin.utils import quote
from django.db import connections

from tests.admin.test_dashboard_pages import url
from tests.support.backups import DAY

pytestmark = pytest.mark.django_db(databases=["default", "analytics"])


@pytest.fixture
def schema(monkeypatch):
    """Put the connection into a schema, as django-tenants does for each request."""
    return lambda name: monkeypatch.setattr(connections["default"], "schema_name", name, raising=False)


def pages(path):
    return [
        ("get", url("backup_changelist"), {}),
        ("get", url("backup_health"), {}),
        ("get", url("backup_run_now"), {}),
        ("post", url("backup_run_now"), {"databases": "default"}),
        ("get", url("backup_change", path), {}),
        ("get", url("backup_download", path), {}),
        ("get", url("backup_restore"), {"path": path}),
        ("post", url("backup_restore"), {"path": path, "confirm": "default"}),
        ("post", url("backup_pin", path), {}),
        ("post", url("backup_delete", path), {"post": "yes"}),
        ("get", url("backuprun_changelist"), {}),
    ]


def test_tenant_is_refused_everything(admin_client, backups, schema):
    path = backups.put(DAY)
    schema("tenant1")
    for method, address, data in pages(path):
        assert getattr(admin_client, method)(address, data).status_code == 403, address
    assert "Backups" not in admin_client.get("/admin/").content.decode()
    assert path in backups.remote.names()


def test_public_schema_is_as_anywhere(admin_client, backups, schema):
    path = backups.put(DAY)
    schema("public")
    assert admin_client.get(url("backup_changelist")).status_code == 200
    assert admin_client.get(url("backup_change", quote(path))).status_code in (200, 302)


def test_site_may_name_its_public_schema(admin_client, backups, schema, settings):
    settings.PUBLIC_SCHEMA_NAME = "shared"
    backups.put(DAY)
    schema("shared")
    assert admin_client.get(url("backup_changelist")).status_code == 200
