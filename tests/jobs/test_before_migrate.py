"""``BACKUP_BEFORE_MIGRATE``: what ``migrate`` is about to change is backed up first, or nothing is migrated."""

import json
from typing import Any

import pytest
from django.core import mail
from django.core.management import CommandError
from django.db.migrations import Migration

from django_rclone_admin import before_migrate
from django_rclone_admin.models import BackupRun
from tests.support.commands import done
from tests.support.site import Shop
from tests.support.tables import HISTORY

APP = "django_rclone_admin"


@pytest.fixture
def careful(make_shop) -> Shop:
    """A shop that backs up before it migrates."""
    return make_shop("sqlite", BACKUP_BEFORE_MIGRATE=True)


def applied(shop: Shop, alias: str = "default") -> list[str]:
    return [
        name for (name,) in shop.execute(f"SELECT name FROM django_migrations WHERE app = '{APP}'", alias)
    ]


def manifests(shop: Shop) -> list[dict[str, Any]]:
    """Return the manifests of all backups, newest first."""
    assert shop.remote is not None
    names = [name for name in shop.remote.names("db") if name.endswith(".manifest.json")]
    found: list[dict[str, Any]] = [json.loads(shop.remote.read(name)) for name in names]
    return sorted(found, key=lambda each: each["taken_at"], reverse=True)


def labels(shop: Shop) -> list[str]:
    """Return the labels of the backups of the default database, newest first."""
    return [each["label"] for each in manifests(shop) if each["database"] == "default"]


def test_each_plan_is_preceded_by_a_backup_that_names_it(careful):
    out = done(careful, "migrate", APP, "0002")
    assert "Backing up “default” before it is migrated." in out
    [label] = labels(careful)
    assert label.startswith("before migrate: ")
    assert f"{APP}.0003_opened_backups_and_schedules" in label
    done(careful, "migrate", "--plan")
    done(careful, "migrate", "--database=analytics")
    assert len(labels(careful)) == 1
    out = done(careful, "migrate")
    assert len(labels(careful)) == 2
    assert "Backing up" not in done(careful, "migrate")  # an empty plan
    assert len(labels(careful)) == 2
    assert len(careful.names()) == 4  # two backups, and their manifests


def test_only_the_database_that_is_migrated_is_backed_up(careful):
    done(careful, "migrate", "--database=analytics", "analytics", "zero", "--verbosity=0")
    assert [each["database"] for each in manifests(careful)] == ["analytics"]


def test_history_of_an_earlier_version_does_not_stop_its_own_migration(careful):
    careful.settings["DJANGO_RCLONE"]["BACKUP_BEFORE_MIGRATE"] = False
    done(careful, "migrate", APP, "0001")
    careful.settings["DJANGO_RCLONE"]["BACKUP_BEFORE_MIGRATE"] = True
    result = careful.manage("migrate")
    assert (result.code, "The run is not recorded" in result.err) == (0, True), result.err
    expected = f"before migrate: {APP}.0002_fencing, {APP}.0003_opened_backups_and_schedules"
    assert labels(careful)[0].startswith(expected)
    assert careful.execute(f"SELECT count(*) FROM {HISTORY}") == [(0,)]


def test_backup_that_fails_stops_the_migration(careful):
    careful.settings["DJANGO_RCLONE"]["BACKUP_BEFORE_MIGRATE"] = False
    done(careful, "migrate", APP, "0002")
    careful.settings["DJANGO_RCLONE"] |= {"BACKUP_BEFORE_MIGRATE": True, "REMOTE": "nowhere:x"}
    before = applied(careful)
    result = careful.manage("migrate")
    assert (result.code, applied(careful)) == (1, before)
    assert "Nothing was migrated, because the backup before it failed: " in result.err
    assert "Hint: " in result.err
    assert "Traceback" not in result.err
    careful.settings["DJANGO_RCLONE"]["BACKUP_BEFORE_MIGRATE"] = False
    done(careful, "migrate")


def test_first_migration_of_an_empty_database_is_not_preceded_by_one(careful):
    careful.settings["DJANGO_RCLONE"]["REMOTE"] = "nowhere:x"
    careful.path().unlink()
    done(careful, "migrate")
    assert len(applied(careful)) >= 3


PLAN = [(Migration("0001_initial", "shop"), False)]


@pytest.mark.django_db(databases=["default", "analytics"], transaction=True)
def test_test_runs_are_left_alone_and_others_are_backed_up_once(backups, monkeypatch):
    backups.configure(BACKUP_BEFORE_MIGRATE=True)
    monkeypatch.setattr(before_migrate, "_backed_up", set())
    before_migrate.back_up(using="analytics", plan=PLAN)
    assert not BackupRun.objects.exists()
    monkeypatch.delattr(mail, "outbox")
    for _ in range(2):
        before_migrate.back_up(using="analytics", plan=PLAN)
    run = BackupRun.objects.get()
    assert (run.database, run.label) == ("analytics", "before migrate: shop.0001_initial")


@pytest.mark.django_db(databases=["default", "analytics"], transaction=True)
@pytest.mark.parametrize(
    "values", [{"BACKUP_BEFORE_MIGRATE": False}, {"BACKUP_BEFORE_MIGRATE": True, "DATABASES": ["default"]}]
)
def test_what_the_settings_leave_out_is_not_backed_up(backups, monkeypatch, values):
    backups.configure(**values)
    monkeypatch.delattr(mail, "outbox")
    monkeypatch.setattr(before_migrate, "_backed_up", set())
    before_migrate.back_up(using="analytics", plan=PLAN)
    assert not BackupRun.objects.exists()


@pytest.mark.django_db(databases=["default", "analytics"], transaction=True)
def test_database_that_is_locked_stops_the_migration_with_its_exit_code(backups, monkeypatch):
    backups.configure(BACKUP_BEFORE_MIGRATE=True)
    monkeypatch.delattr(mail, "outbox")
    monkeypatch.setattr(before_migrate, "_backed_up", set())
    BackupRun.objects.create(kind="db_restore", status="running", database="analytics", lock="db:analytics")
    with pytest.raises(CommandError, match="is locked by a database restore") as raised:
        before_migrate.back_up(using="analytics", plan=PLAN)
    assert raised.value.returncode == 3


@pytest.mark.parametrize("length, count", [(5, 1), (5, 2), (5, 9), (150, 2), (255, 1)])
def test_label_names_the_first_migrations_and_fits(length, count):
    plan: Any = [(Migration(f"{number:04}_{'x' * length}", "shop"), False) for number in range(count)]
    found = before_migrate.label(plan)
    assert found.startswith("before migrate: shop.0000_xxxxx")
    assert len(found) <= 200
    assert ("and 7 more" in found) is (count == 9)
