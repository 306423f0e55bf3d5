"""What shows the progress of a run can't spoil the run."""

import time

import pytest
from django.db import connection

from django_rclone_admin import api
from django_rclone_admin.jobs import heart
from django_rclone_admin.models import Backup, BackupRun, Status
from django_rclone_admin.signals import pre_db_backup, run_finished

pytestmark = pytest.mark.django_db(transaction=True)


def test_progress_that_raises_is_logged_once_and_the_run_goes_on_beating(backups, caplog, monkeypatch):
    monkeypatch.setattr(heart, "BEAT", 0.1)  # only time is shortened: a real run beats once a second
    monkeypatch.setattr(heart, "TICK", 0.05)
    asked, beats = [], set()

    def show(run: BackupRun) -> None:
        asked.append(run)
        raise RuntimeError("The terminal is gone.")

    def wait(*arguments: object, **values: object) -> None:
        deadline = time.monotonic() + 60
        while len(beats) < 3 and time.monotonic() < deadline:
            with connection.cursor() as cursor:
                cursor.execute("SELECT heartbeat_at FROM django_rclone_admin_backuprun")
                beats.add(cursor.fetchone())
            time.sleep(0.05)

    pre_db_backup.connect(wait)
    try:
        run = api.backup_database(progress=show)
    finally:
        pre_db_backup.disconnect(wait)
    assert run.status == Status.SUCCEEDED
    assert len(beats) == 3
    assert len(asked) > 1
    assert len([each for each in caplog.records if each.exc_info]) == 1


def test_list_holds_the_backup_when_its_run_has_ended(backups, settings):
    """The pages draw the list and the health anew as soon as they see the end, and then not again."""
    settings.CACHES = {"default": {"BACKEND": "django.core.cache.backends.locmem.LocMemCache"}}
    backups.configure(LISTING_CACHE_SECONDS=300)
    assert Backup.objects.count() == 0  # cached
    counts = []

    def look(**values: object) -> None:
        counts.append(Backup.objects.count())

    run_finished.connect(look)
    try:
        api.backup_database()
    finally:
        run_finished.disconnect(look)
    assert counts == [1]
