"""``dbrestore``: it says what it will do, asks, and backs up first what it replaces."""

import json

import pytest

from tests.support import programs
from tests.support.commands import RUN_FIELDS, document, done
from tests.support.faults import assert_failed, nothing_changes
from tests.support.matrix import sampled
from tests.support.programs import UPLOAD
from tests.support.site import Shop

PLAN_FIELDS = {
    "name",
    "path",
    "target",
    "size",
    "age_seconds",
    "strategy",
    "safety_backup",
    "vanishing",
    "left_out",
    "warnings",
    "unknown_migrations",
    "missing_migrations",
    "verified_at",
}


def wreck(shop: Shop) -> None:
    shop.execute("DELETE FROM shop_orderline")


@pytest.mark.backed_up
def test_restore_asks_first(shop):
    shop.settings["DJANGO_RCLONE"]["SAFETY_BACKUP"] = False
    wreck(shop)
    for answer in "n\n", "\n", "yep\n":
        with nothing_changes(shop):
            result = shop.manage("dbrestore", input=answer)
            assert result.code == 1
            assert "Overwrite the database “default”? [y/N]" in result.err
            assert result.err.endswith("CommandError: Cancelled.\nHint: Nothing was changed.\n")
    wrecked = shop.rows()
    done(shop, "dbrestore", input="YES")
    assert shop.rows() != wrecked


def test_dry_run_says_what_would_happen_and_changes_nothing(shop):
    shop.execute("DELETE FROM django_migrations WHERE app = 'shop'")
    shop.execute("INSERT INTO django_migrations (app, name, applied) VALUES ('gone', '0007_x', '2026-01-01')")
    name = document(shop, "dbbackup")["path"].removeprefix("db/")
    shop.execute("CREATE TABLE newer (a)")
    with nothing_changes(shop):
        shown = done(shop, "dbrestore", "--dry-run")
        for line in (
            f"From: {name}",
            "Tables that will be dropped: newer",
            "Migrations that the code lacks: gone.0007_x",
            "Migrations to run afterwards: shop.0001_initial",
            "Before that: a safety backup",
            "Proven: never",
        ):
            assert line in shown
        plan = document(shop, "dbrestore", "--dry-run", "--no-safety-backup")
    assert plan.keys() == PLAN_FIELDS
    expected = {"name": name, "target": "default", "safety_backup": False, "vanishing": ["newer"]}
    assert plan | expected == plan
    assert 0 <= plan["age_seconds"] < 60


@pytest.mark.backed_up
def test_restore_prints_its_run_and_makes_a_safety_backup(shop):
    name = shop.backup.removeprefix("db/")
    wreck(shop)
    run = document(shop, "dbrestore", "--noinput")
    assert run.keys() == RUN_FIELDS
    assert (run["kind"], run["status"], run["path"]) == ("db_restore", "succeeded", f"db/{name}")
    safety = run["options"]["safety"]
    assert shop.names() == sorted(
        [name, f"{name}.manifest.json", *(safety.removeprefix("db/") + end for end in ("", ".manifest.json"))]
    )
    manifest = json.loads(shop.remote.read(f"{safety}.manifest.json"))
    assert (manifest["trigger"], manifest["label"]) == ("safety", f"before the restore of {name}")

    wanted = shop.rows()
    assert document(shop, "dbrestore", "--dry-run")["name"] == name  # not what somebody wanted to get rid of
    done(shop, "dbrestore", "--noinput", "--input-path", safety, "--no-safety-backup")
    assert shop.rows() != wanted
    assert len(shop.names()) == 4


def test_safety_backup_can_be_turned_off_by_the_settings(make_shop):
    shop = make_shop("sqlite", backed_up=True, SAFETY_BACKUP=False)
    assert "no safety backup" in done(shop, "dbrestore", "--noinput")
    assert len(shop.names()) == 2


@pytest.mark.backed_up
def test_failed_safety_backup_ends_the_restore(shop, tmp_path, rclone_binary):
    wreck(shop)
    failing = programs.fail(tmp_path / "bin", "rclone", rclone_binary, message="quota exceeded", when=UPLOAD)
    shop.settings["DJANGO_RCLONE"]["RCLONE_BINARY"] = str(failing)
    with nothing_changes(shop):
        assert_failed(shop.manage("dbrestore", "--noinput"), "The remote is full: quota exceeded")


@pytest.mark.parametrize("database", sampled(["sqlite", "postgresql"], "sqlite"))
def test_backup_of_another_database_is_restored_only_when_it_is_said(make_shop, database):
    shop = make_shop(database, backed_up=True)
    name = shop.backup.removeprefix("db/")
    wanted = shop.rows(ignore=["django_migrations"])
    with nothing_changes(shop):
        result = shop.manage("dbrestore", "--noinput", "--database", "analytics", "--input-path", name)
        assert_failed(result, f"{name} is a backup of “default”, not of “analytics”")
        assert "--to analytics" in result.err
        assert_failed(
            shop.manage("dbrestore", "--noinput", "--database", "analytics"),
            "There is no backup of “analytics”",
        )
    out = done(shop, "dbrestore", "--noinput", "--no-safety-backup", "--to", "analytics")
    assert "Dropped a table that is not in the backup: analytics_pageview." in out
    assert shop.rows("analytics", ignore=["django_migrations"]) == wanted
    assert shop.rows(ignore=["django_migrations"]) == wanted


def test_restore_of_what_is_not_there_is_refused(shop):
    for name in "default-2020-01-01-000000.sqlite3", "../secret", "db", "":
        result = shop.manage("dbrestore", "--noinput", "--input-path", name)
        assert_failed(result, "There is no backup")
