"""The app is installed, and its table is not there yet: every page works, and says what to do."""

import pytest
from django.db import connection

from django_rclone_admin.models import BackupRun, BackupSchedule, Notice, OpenedBackup, SiteHealth
from tests.admin.test_dashboard_pages import get, make_run, url
from tests.support.backups import DAY

pytestmark = pytest.mark.django_db(databases=["default", "analytics"], transaction=True)


NEWER = (OpenedBackup, BackupSchedule, SiteHealth, Notice)
"""Models that an update has brought."""


@pytest.fixture
def without():
    """Take tables of models away, as before “migrate”."""
    gone = []

    def take_away(*models):
        gone.extend(models)
        with connection.schema_editor() as editor:
            for model in models:
                editor.delete_model(model)

    yield take_away
    with connection.schema_editor() as editor:
        for model in gone:
            editor.create_model(model)


@pytest.fixture
def without_table(without):
    without(BackupRun)


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


@pytest.mark.parametrize("model", NEWER, ids=lambda model: model.__name__)
def test_pages_work_between_an_update_and_its_migrations(admin_client, backups, without, model):
    path = backups.put(DAY)
    run = make_run(path=path)
    without(model)
    for address in (
        url("backup_changelist"),
        url("backup_health"),
        url("backup_change", path),
        url("backup_run_now"),
        f"{url('backup_restore')}?path={path}",
        url("backuprun_changelist"),
        url("backuprun_change", run.pk),
    ):
        get(admin_client, address)
