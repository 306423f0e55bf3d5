"""Is the site safe? What the health panel says of one database, for all that can be the matter with its backups."""

from datetime import timedelta
from typing import Any

import pytest
from django.utils import timezone

from django_rclone_admin import api
from django_rclone_admin.health import Level
from django_rclone_admin.models import BackupRun, Kind, Status
from tests.support.backups import Backups

pytestmark = pytest.mark.django_db(databases=["default"])

HOUR = timedelta(hours=1)


@pytest.fixture(autouse=True)
def only_default(backups: Backups) -> None:
    backups.configure(DATABASES=["default"], LISTING_CACHE_SECONDS=0)


def put(backups: Backups, age: timedelta = HOUR, **values: Any) -> str:
    return backups.put(timezone.now() - age, **values)


def end_run(status: str, age: timedelta = timedelta(0)) -> None:
    run = BackupRun.objects.create(kind=Kind.DB_BACKUP, status=status, database="default")
    BackupRun.objects.filter(pk=run.pk).update(created_at=timezone.now() - age)


def judge() -> tuple[Level, str]:
    [found] = api.health().databases
    return found.level, found.reason.replace("\xa0", " ")


def test_young_whole_backup_is_all_it_takes(backups):
    put(backups)
    assert judge() == (Level.OK, "")
    assert api.health().sentence == "Protected."


def test_no_backup_is_a_danger(backups):
    assert judge() == (Level.CRITICAL, "There is no backup.")
    assert api.health().detail == "default: There is no backup."


def test_old_backup_is_a_danger(backups):
    put(backups, 27 * HOUR)
    assert judge() == (Level.CRITICAL, "The last backup is 1 day, 3 hours old.")
    backups.configure(HEALTH={"max_age_hours": 48})
    assert judge() == (Level.OK, "")
    backups.configure(HEALTH={"max_age_hours": 48, "default": {"max_age_hours": 1}})
    assert judge()[0] == Level.CRITICAL


def test_backup_that_is_too_small_is_a_danger(backups):
    backups.configure(HEALTH={"min_size": 1000})
    put(backups, size=999)
    assert judge() == (Level.CRITICAL, "The last backup is too small.")


def test_damaged_backup_is_no_backup(backups):
    path = put(backups)
    backups.remote.write(path, b"cut")
    assert judge() == (Level.CRITICAL, "There is no backup.")
    put(backups, 2 * HOUR)
    assert judge() == (Level.WARNING, "The newest backup is damaged; an older one is good.")


def test_backup_that_shrank_deserves_a_look(backups):
    put(backups, 2 * HOUR, size=1000)
    put(backups, size=499)
    assert judge() == (Level.WARNING, "The last backup is much smaller than the one before it.")
    backups.configure(HEALTH={"max_size_drop_percent": 60})
    assert judge() == (Level.OK, "")


def test_backup_without_a_manifest_deserves_a_look(backups):
    put(backups, manifest=False)
    assert judge() == (Level.WARNING, "The last backup can't be checked: it has no manifest.")


@pytest.mark.parametrize("status", [Status.FAILED, Status.INTERRUPTED])
def test_run_that_failed_since_deserves_a_look(backups, status):
    put(backups)
    end_run(status, 2 * HOUR)
    assert judge() == (Level.OK, "")
    end_run(status)
    assert judge() == (Level.WARNING, "The last run did not succeed.")


@pytest.mark.parametrize("status", [Status.CANCELLED, Status.QUEUED, Status.RUNNING])
def test_run_that_was_cancelled_or_has_not_ended_is_no_failure(backups, status):
    put(backups)
    end_run(status)
    assert judge() == (Level.OK, "")


def test_backups_of_other_databases_do_not_count(backups):
    put(backups, database="analytics")
    assert judge() == (Level.CRITICAL, "There is no backup.")
