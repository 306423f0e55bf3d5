"""The levels “restore” and “site”: what can only be seen of a backup that was restored beside the live database."""

import json
from contextlib import closing
from datetime import UTC, datetime

import pytest
from django.contrib.auth.models import Group, User

from django_rclone_admin.connectors.registry import get_connector
from django_rclone_admin.core.catalog import StoredObject
from django_rclone_admin.core.check_marks import Level
from django_rclone_admin.core.control import Control
from django_rclone_admin.core.states import State
from django_rclone_admin.exceptions import CheckFailed
from django_rclone_admin.jobs.check_site import check_site
from django_rclone_admin.jobs.checking import Check
from django_rclone_admin.jobs.job import Job
from django_rclone_admin.models.runs import BackupRun, Kind
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
    shop = make_shop(database, backed_up=True)
    server = None if database == "sqlite" else request.getfixturevalue(f"{database}_server")
    faulty = Faulty(shop)
    if database != "sqlite":  # test_checks_of_the_site_that_pass
        faulty.put("good", faulty.good)
    if database == "sqlite":  # two lists are compared, whichever database they are of
        migrations = faulty.manifest["migrations"] | {"shop": ["0999_later"]}
        faulty.put("other migrations", faulty.good, migrations=migrations)
    break_foreign_key(shop, database, server)
    faulty.put("broken foreign key", faulty.dumped(), rows={})
    mend_foreign_key(shop)
    if database == "postgresql":
        shop.execute("SELECT setval('shop_order_id_seq', 1)")
        faulty.put("sequence behind the highest key", faulty.dumped(), rows={})
        shop.execute("SELECT setval('shop_order_id_seq', max(id)) FROM shop_order")
        # Elsewhere, a transaction goes on after an error.
        shop.execute("ALTER TABLE shop_customer DROP COLUMN joined")
        faulty.put("migration that was not carried out", faulty.dumped(), rows={})
    before = shop.rows()

    found = faulty.check("site")

    expected = {
        "good": ("site", "passed"),
        "other migrations": ("site", "failed"),
        "broken foreign key": ("restore", "failed"),
        "sequence behind the highest key": ("site", "failed"),
        "migration that was not carried out": ("site", "failed"),
    }
    assert found == {fault: expected[fault] for fault in faulty.paths}
    assert "shop_order.id" in faulty.reasons.get("sequence behind the highest key", "shop_order.id")
    listed = states(shop)
    assert {fault: listed[path] for fault, path in faulty.paths.items()} == dict.fromkeys(
        found, "complete"
    ) | {"broken foreign key": "damaged"}
    assert shop.rows(ignore=["django_rclone_admin_openedbackup"]).keys() <= before.keys()
    assert {name: rows for name, rows in shop.rows().items() if name.startswith("shop_")} == {
        name: rows for name, rows in before.items() if name.startswith("shop_")
    }
    names = " ".join(shop.names())
    assert names.count(".check.structure.passed.") == 1  # below the one that failed when it was restored
    failed_last = [fault for fault, result in found.items() if result == ("site", "failed")]
    assert names.count(".check.restore.passed.") == len(failed_last)  # on the level below


@pytest.mark.backed_up
@pytest.mark.parametrize(
    "checks, reason",
    [
        pytest.param(
            [{"shop.Order": {"min_rows": 301}}],
            "has too few rows: 300. VERIFY_CHECKS wants 301",
            id="rows",
            marks=pytest.mark.soak,
        ),
        pytest.param(
            {"shop.Order": {"newest": ("placed_at", 0)}},
            "more than 0 hours old",
            id="newest",
            marks=pytest.mark.soak,
        ),
        pytest.param(["tests.site.shop.checks.refuse"], "the shop refuses", id="callable"),
        pytest.param(
            [{"shop.Nothing": {"min_rows": 1}}],
            "can't be applied to shop.Nothing",
            id="unknown",
            marks=pytest.mark.soak,
        ),
    ],
)
def test_check_of_the_site_that_fails_is_a_warning(shop, checks, reason):
    """The limits of a model are all in the next test."""
    path = shop.backup
    shop.settings["DJANGO_RCLONE"]["VERIFY_CHECKS"] = {"default": checks}

    result = shop.manage("verifybackups", "--level", "site", "--json")

    assert result.code == 1
    assert [(each["level"], each["outcome"]) for each in result.json] == [("site", "failed")]
    assert reason in result.json[0]["reason"]
    assert states(shop) == {path: "complete"}


@pytest.mark.django_db
@pytest.mark.parametrize(
    "model, limits, reason",
    [
        ("auth.Group", {"min_rows": 2}, "has too few rows: 1. VERIFY_CHECKS wants 2"),
        ("auth.User", {"newest": ("date_joined", 24)}, "more than 24 hours old"),
        ("auth.Nothing", {"min_rows": 1}, "can't be applied to auth.Nothing"),
    ],
)
def test_each_limit_of_a_model_is_checked(backups, model, limits, reason):
    """In the database of this very process, as in an opened backup."""
    Group.objects.create(name="alone")
    User.objects.create(username="old", date_joined=datetime(2026, 1, 1, tzinfo=UTC))
    backups.configure(VERIFY_CHECKS={"default": {model: limits}})
    backup = StoredObject(
        name="x", path="db/x", size=1, state=State.LEGACY, database="default", taken_at=datetime.now(UTC)
    )
    job = Job(BackupRun(kind=Kind.VERIFY), Control(), recorded=False)
    with pytest.raises(CheckFailed) as raised:
        check_site(Check(job=job, backup=backup, wanted=Level.SITE), get_connector("default"), "default")
    assert reason in str(raised.value)


@pytest.mark.backed_up
def test_checks_of_the_site_that_pass(shop):
    checks = [
        "tests.site.shop.checks.accept",
        {"shop.Order": {"min_rows": 300, "newest": ("placed_at", 24 * 365 * 50)}},
    ]
    shop.settings["DJANGO_RCLONE"]["VERIFY_CHECKS"] = {"default": checks}

    [result] = document(shop, "verifybackups", "--level", "site")

    assert (result["level"], result["outcome"]) == ("site", "passed")
    assert "Proven: read by the site, just now" in done(shop, "dbrestore", "--dry-run")


def test_without_the_right_to_create_a_database_it_is_not_checked(make_shop, postgresql_server):
    shop = make_shop("postgresql", backed_up=True)
    entry = postgresql_server.with_own_role(shop.settings["DATABASES"]["default"])
    postgresql_server.administer("ALTER ROLE {} NOCREATEDB", entry["USER"])
    shop.settings["DATABASES"]["default"] = entry

    result = shop.manage("verifybackups", "--level", "restore", "--json")

    assert result.code == 1
    [found] = result.json
    assert (found["level"], found["outcome"]) == ("restore", "unchecked")
    assert "may not create databases" in found["reason"]
    assert "OPEN_ON" in found["hint"]
    assert states(shop) == {shop.backup: "complete"}
    names = " ".join(shop.names())
    assert ".check.structure.passed." in names
    assert ".check.restore.unchecked." in names


ODD = [
    'CREATE SCHEMA "Odd.name"',
    'CREATE TABLE "Odd.name"."My ""Table""" (id integer, "values" text)',
    """INSERT INTO "Odd.name"."My ""Table\""" VALUES (1, E'a\\n\\\\.\\nb'), (2, 'INSERT INTO x VALUES (1), (2);'), (3, '(('), (4, NULL)""",
    "CREATE TABLE part (id integer) PARTITION BY RANGE (id)",
    "CREATE TABLE part_1 PARTITION OF part FOR VALUES FROM (0) TO (10)",
    "INSERT INTO part SELECT generate_series(1, 9)",
    "CREATE TABLE parent (id integer)",
    "CREATE TABLE kid () INHERITS (parent)",
    "INSERT INTO parent VALUES (1)",
    "INSERT INTO kid VALUES (2), (3)",
    "CREATE TABLE hollow ()",
    "CREATE FUNCTION fill() RETURNS void LANGUAGE sql BEGIN ATOMIC INSERT INTO parent VALUES (7), (8); END",
    "ALTER TABLE shop_category ADD CONSTRAINT later CHECK (name <> 'x') NOT VALID",
]


def test_odd_tables_of_postgresql_are_counted_and_no_fault(make_shop):
    """Of a dump with COPY, where it is restored, and of one with INSERT, by its bytes."""
    options: dict[str, object] = {"EXCLUDE_TABLES": ["shop_orderline"]}
    shop = make_shop("postgresql", CONNECTOR_OPTIONS={"default": options})
    for statement in ODD:
        shop.execute(statement)
    copied = document(shop, "dbbackup")["path"]
    options["DUMP_ARGS"] = ["--rows-per-insert=7"]
    inserted = document(shop, "dbbackup")["path"]

    for path, *level in (copied, "--level", "restore"), (inserted,):
        [result] = document(shop, "verifybackups", path.removeprefix("db/"), *level)

        assert result["outcome"] == "passed", result
        [record] = [name for name in shop.remote.names("db") if name.startswith(f"{path}.check.")]
        tables = json.loads(shop.remote.read(record))["tables"]
        found = {
            name: tables[name]["found"]
            for name in ('Odd.name.My "Table"', "part", "part_1", "parent", "kid", "shop_orderline")
        }
        assert found == {
            'Odd.name.My "Table"': 4,
            "part": 0,
            "part_1": 9,
            "parent": 1,
            "kid": 2,
            "shop_orderline": 0,
        }
    assert states(shop) == {copied: "complete", inserted: "complete"}


def test_what_sqlite_itself_cannot_look_at_is_no_fault_of_the_backup(shop):
    shop.execute("CREATE TABLE referred (x)")
    shop.execute("CREATE TABLE refers (x REFERENCES referred (x))")
    shop.execute("CREATE VIRTUAL TABLE words USING fts5(word)")
    shop.execute("INSERT INTO words VALUES ('one')")
    document(shop, "dbbackup")

    [result] = document(shop, "verifybackups", "--level", "restore")

    assert (result["level"], result["outcome"]) == ("restore", "passed")
