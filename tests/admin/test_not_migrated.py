"""The app is installed, and its table is not there yet: every page works, and says what to do."""

import pytest
from django.db import connection

from django_rclone_admin.models import BackupRun
from tests.admin.test_dashboard_pages import get, url
from tests.support.backups import DAY

pytestmark = pytest.mark.django_db(databases=["default", "analytics"], transaction=True)


@pytest.fixture
def without_table():
    with connection.schema_editor() as editor:
        editor.delete_model(BackupRun)
    yield
    with connection.schema_editor() as editor:
        editor.create_model(BackupRun)


@pytest.mark.parametrize("atomic", [False, True])
def test_pages_say_to_migrate(admin_client, backups, without_table, atomic):
    path = backups.put(DAY)
    connection.settings_dict["ATOMIC_REQUESTS"] = atomic
    try:
        for address in (url("backup_changelist"), url("backuprun_changelist")):
            assert "Run “manage.py migrate”." in get(admin_client, address).text
        for address in (url("backup_health"), url("backup_change", path), url("backup_run_now")):
            get(admin_client, address)
    finally:
        connection.settings_dict["ATOMIC_REQUESTS"] = False
