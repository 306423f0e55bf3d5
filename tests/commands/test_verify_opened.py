"""The levels “restore” and “site”: what can only be seen of a backup that was restored beside the live database."""

from contextlib import closing

import pytest

from tests.commands.test_verifybackups import ENGINES, Faulty, states
from tests.support.commands import document, done
from tests.support.site import Shop

ORPHAN = "UPDATE shop_orderline SET order_id = 999999 WHERE id = (SELECT least FROM (SELECT min(id) AS least FROM shop_orderline) AS it)"


def break_foreign_key(shop: Shop, database: str, server) -> None:
    """Have a row refer to what is not there, past the rules of the server."""
    if database == "postgresql":
        with closing(
            server.superuser_connection(shop.settings["DATABASES"]["default"]["NAME"])
        ) as connection:
            connection.execute("SET session_replication_role = replica")
            connection.execute(ORPHAN)
    else:
        shop.execute(f"SET STATEMENT foreign_key_checks=0 FOR {ORPHAN}" if database == "mysql" else ORPHAN)


def mend_foreign_key(shop: Shop) -> None:
    shop.execute("DELETE FROM shop_orderline WHERE order_id = 999999")


@pytest.mark.parametrize("database", ENGINES)
def test_each_fault_of_restored_data_is_caught_on_its_level(make_shop, database, request):
    shop = make_shop(database)
    server = None if database == "sqlite" else request.getfixturevalue(f"{database}_server")
    faulty = Faulty(shop)
    faulty.put("good", faulty.good)
    faulty.put(
        "other migrations", faulty.good, migrations=faulty.manifest["migrations"] | {"shop": ["0999_later"]}
    )
    break_foreign_key(shop, database, server)
    faulty.put("broken foreign key", faulty.dumped(), rows={})
    mend_foreign_key(shop)
    shop.execute("ALTER TABLE shop_customer DROP COLUMN joined")
    faulty.put("migration that was not carried out", faulty.dumped(), rows={})
    before = shop.rows()

    found = faulty.check("site")

    assert found == {
        "good": ("site", "passed"),
        "other migrations": ("site", "failed"),
        "broken foreign key": ("restore", "failed"),
        "migration that was not carried out": ("site", "failed"),
    }
    listed = {fault: states(shop)[path] for fault, path in faulty.paths.items()}
    assert listed == dict.fromkeys(found, "complete") | {"broken foreign key": "damaged"}
    assert shop.rows(ignore=["django_rclone_admin_openedbackup"]).keys() <= before.keys()
    assert {name: rows for name, rows in shop.rows().items() if name.startswith("shop_")} == {
        name: rows for name, rows in before.items() if name.startswith("shop_")
    }
    names = " ".join(shop.names())
    assert names.count(".check.structure.passed.") == 1  # below the one that failed when it was restored
    assert names.count(".check.restore.passed.") == 2  # below those that failed on the level of the site


@pytest.mark.parametrize(
    "checks, reason",
    [
        ([{"shop.Order": {"min_rows": 301}}], "has 300 rows, and VERIFY_CHECKS wants 301"),
        ({"shop.Order": {"newest": ("placed_at", 0)}}, "more than 0 hours old"),
        (["tests.site.shop.checks.refuse"], "the shop refuses"),
        ([{"shop.Nothing": {"min_rows": 1}}], "can't be applied to shop.Nothing"),
    ],
    ids=["rows", "newest", "callable", "unknown"],
)
def test_check_of_the_site_that_fails_is_a_warning(shop, checks, reason):
    path = document(shop, "dbbackup")["path"]
    shop.settings["DJANGO_RCLONE"]["VERIFY_CHECKS"] = {"default": checks}

    result = shop.manage("verifybackups", "--level", "site", "--json")

    assert result.code == 1
    assert [(each["level"], each["outcome"]) for each in result.json] == [("site", "failed")]
    assert reason in result.json[0]["reason"]
    assert states(shop) == {path: "complete"}


def test_checks_of_the_site_that_pass(shop):
    document(shop, "dbbackup")
    checks = [
        "tests.site.shop.checks.accept",
        {"shop.Order": {"min_rows": 300, "newest": ("placed_at", 24 * 365 * 50)}},
    ]
    shop.settings["DJANGO_RCLONE"]["VERIFY_CHECKS"] = {"default": checks}

    [result] = document(shop, "verifybackups", "--level", "site")

    assert (result["level"], result["outcome"]) == ("site", "passed")
    assert "Verified: read by the site, just now" in done(shop, "dbrestore", "--dry-run")


def test_without_the_right_to_create_a_database_it_is_not_checked(make_shop, postgresql_server):
    shop = make_shop("postgresql")
    path = document(shop, "dbbackup")["path"]
    entry = postgresql_server.with_own_role(shop.settings["DATABASES"]["default"])
    postgresql_server.administer("ALTER ROLE {} NOCREATEDB", entry["USER"])
    shop.settings["DATABASES"]["default"] = entry

    result = shop.manage("verifybackups", "--level", "restore", "--json")

    assert result.code == 1
    [found] = result.json
    assert (found["level"], found["outcome"]) == ("restore", "unchecked")
    assert "may not create databases" in found["reason"]
    assert "OPEN_ON" in found["hint"]
    assert states(shop) == {path: "complete"}
    names = " ".join(shop.names())
    assert ".check.structure.passed." in names
    assert ".check.restore.unchecked." in names


def test_sequence_behind_the_highest_key_is_a_warning(make_shop):
    shop = make_shop("postgresql")
    shop.execute("SELECT setval('shop_order_id_seq', 1)")
    document(shop, "dbbackup")

    result = shop.manage("verifybackups", "--level", "site", "--json")

    assert [(each["level"], each["outcome"]) for each in result.json] == [("site", "failed")]
    assert "shop_order.id" in result.json[0]["reason"]
