"""A backup of SQLite says what it holds and what it lacks, and the safety backup lacks nothing."""

import json

import pytest

from tests.support.commands import stored, undo_once
from tests.support.site import Shop
from tests.support.tables import HISTORY, TRAVELS_NOT


def succeed(shop: Shop, *arguments: str):
    result = shop.manage(*arguments)
    assert result.code == 0, result.err
    return result


def manifest(shop: Shop) -> dict[str, object]:
    """Return the newest manifest. Names do not tell which it is: those of one second differ by a number."""
    names = [name for name in shop.names() if name.endswith(".manifest.json")]
    return max(
        (json.loads(shop.remote.read(f"db/{name}")) for name in names), key=lambda each: each["taken_at"]
    )


def test_manifest_names_what_the_copy_holds(shop):
    shop.execute("CREATE VIEW cheap AS SELECT * FROM shop_product WHERE price < 10")
    shop.execute("CREATE INDEX by_length ON shop_product (length(name)) WHERE price > 1")
    shop.execute("CREATE TRIGGER watch AFTER DELETE ON shop_product BEGIN SELECT 1; END")
    shop.execute(f"CREATE TRIGGER of_the_history AFTER DELETE ON {HISTORY} BEGIN SELECT 1; END")
    shop.execute("CREATE VIRTUAL TABLE words USING fts5(line)")
    succeed(shop, "dbbackup")
    said = manifest(shop)
    held = {
        kind: {name for (name,) in shop.execute(f"SELECT name FROM sqlite_master WHERE type = '{kind}' AND {OURS}")}
        for kind in ("table", "view", "index", "trigger")
    }  # fmt: skip
    assert set(said["tables"]) == held["table"]
    assert set(said["contents"]["views"]) == held["view"] == {"cheap"}
    assert set(said["contents"]["triggers"]) == held["trigger"] == {"watch"}
    assert set(said["contents"]["indexes"]) == held["index"] >= {"by_length"}
    assert "left_out" not in said
    assert "warnings" not in said


OURS = f"tbl_name NOT IN {TRAVELS_NOT} AND name NOT LIKE 'sqlite_%'"


def test_tables_that_are_excluded_are_named_and_come_back_empty(shop):
    shop.settings["DJANGO_RCLONE"]["CONNECTOR_OPTIONS"] = {
        "default": {"EXCLUDE_TABLES": ["shop_orderline", "django_session", "not_there"]}
    }
    succeed(shop, "dbbackup")
    assert manifest(shop)["left_out"] == {"rows": ["django_session", "shop_orderline"]}
    assert "shop_orderline" in manifest(shop)["tables"]
    plan = succeed(shop, "dbrestore", "--dry-run").out
    assert "Not in this backup: rows: django_session, shop_orderline" in plan
    succeed(shop, "dbrestore", "--noinput", "--no-safety-backup", stored(shop))
    assert shop.execute("SELECT count(*) FROM shop_orderline") == [(0,)]


@pytest.mark.backed_up
def test_safety_backup_holds_what_the_options_exclude(shop):
    shop.settings["DJANGO_RCLONE"]["CONNECTOR_OPTIONS"] = {"default": {"EXCLUDE_TABLES": ["shop_orderline"]}}
    shop.execute("UPDATE shop_orderline SET quantity = 7")
    wanted = shop.rows()
    succeed(shop, "dbrestore", "--noinput", stored(shop))
    assert shop.rows() != wanted
    assert "left_out" not in manifest(shop)
    undo_once(shop)
    assert shop.rows() == wanted
