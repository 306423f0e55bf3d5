"""What would not restore into the place that it came from is said at the backup, and the restore takes the way that works."""

import json
import threading
from contextlib import closing
from uuid import uuid4

import psycopg
import pytest

from django_rclone_admin.connectors.postgresql import foresight
from django_rclone_admin.connectors.postgresql.libpq import explain
from tests.support.commands import done, dumped, restore_saved, saved, stored
from tests.support.faults import assert_failed, nothing_changes
from tests.support.matrix import sampled
from tests.support.pgbouncer import PgBouncer
from tests.support.postgresql import connect
from tests.support.servers import own_settings
from tests.support.site import Shop
from tests.support.swaps import history

pytestmark = pytest.mark.postgresql


def warnings(shop: Shop) -> list[str]:
    """Return what a new backup warns of."""
    result = shop.manage("dbbackup", "--json")
    assert result.code == 0, result.err
    return json.loads(shop.remote.read(f"{result.json['path']}.manifest.json")).get("warnings", [])


def warnings_today(shop: Shop) -> list[str]:
    """Return what a backup of the schema ``public`` would warn of."""
    with closing(connect(shop.settings["DATABASES"]["default"])) as connection, connection.cursor() as cursor:
        return foresight.warnings(cursor, ["public"])


@pytest.fixture
def crowded(make_shop) -> Shop:
    """A shop with more objects than its server has locks for, though a dump takes one of each table alone."""
    shop = make_shop("postgresql")
    shop.execute(
        "DO $$ BEGIN FOR i IN 1..500 LOOP EXECUTE format("
        "'CREATE TABLE tenant_%s (id serial PRIMARY KEY, note text UNIQUE)', i); END LOOP; END $$"
    )
    return shop


def test_more_tables_than_locks_are_said_at_the_backup_and_swapped(crowded):
    [warning] = warnings(crowded)
    assert "max_locks_per_transaction" in warning
    wanted = crowded.rows()
    crowded.execute("INSERT INTO tenant_7 (note) VALUES ('newer')")
    result = crowded.manage(
        "dbrestore", "--noinput", "--strategy=in_place", "--no-safety-backup", timeout=200
    )
    assert result.code == 0, result.err
    assert "by the strategy swap instead" in history(crowded)[-1]["log"]
    assert crowded.rows() == wanted


def test_too_small_a_lock_table_names_the_setting():
    error = explain(
        "psql", 3, "psql:<stdin>:9: ERROR:  out of shared memory\nHINT:  You might need to increase it.\n"
    )
    assert "out of shared memory" in str(error)
    assert "raise max_locks_per_transaction" in error.hint


def test_what_belongs_to_another_role_is_said_at_the_backup(make_shop, postgresql_server):
    shop = make_shop("postgresql")
    name = shop.settings["DATABASES"]["default"]["NAME"]
    with closing(postgresql_server.superuser_connection(name)) as connection:
        connection.execute("CREATE SCHEMA reports CREATE TABLE daily (day date)")
        connection.execute("CREATE TABLE in_our_schema AS SELECT 1 AS n")  # whose owner may drop it
        connection.execute("GRANT USAGE ON SCHEMA reports TO shop")
        connection.execute("GRANT SELECT ON reports.daily, in_our_schema TO shop")
        connection.execute("CREATE PUBLICATION theirs FOR TABLE shop_product")
        tables, publications = warnings(shop)
        assert shop.manage("dbrestore", "--dry-run", "--json").json["warnings"] == [tables, publications]
        connection.execute("DROP PUBLICATION theirs")
    assert tables.startswith("reports.daily belong to postgres")
    assert "publications theirs belong to another role" in publications
    with nothing_changes(shop):
        restore = ("dbrestore", "--noinput", "--strategy=in_place", "--no-safety-backup", stored(shop))
        assert_failed(shop.manage(*restore), "permission denied|must be owner|already exists")


def test_roles_whose_rights_are_not_restored_are_named(make_shop, postgresql_server):
    shop = make_shop("postgresql")
    shop.execute("CREATE SCHEMA other")
    shop.execute("CREATE FUNCTION one() RETURNS int LANGUAGE sql AS 'SELECT 1'")
    roles = set()
    for right in (
        "SELECT ON shop_product",
        "SELECT (price) ON shop_product",
        "USAGE ON SCHEMA other",
        "EXECUTE ON FUNCTION one()",
    ):
        role = f"reporter_{uuid4().hex[:8]}"
        postgresql_server.create_role(role, postgresql_server.password)
        shop.execute(f"GRANT {right} TO {role}")
        roles.add(role)
    [warning] = dumped(shop)["warnings"]
    assert {role for role in roles if role in warning} == roles
    assert "grant them again" in warning


def test_rows_that_are_left_out_and_referred_to_are_named(make_shop):
    shop = make_shop(
        "postgresql", CONNECTOR_OPTIONS={"default": {"EXCLUDE_TABLES": ["Customer", "shop_category"]}}
    )
    shop.execute('CREATE TABLE "Customer" (id int PRIMARY KEY)')
    shop.execute('CREATE TABLE orders (customer int CONSTRAINT of_somebody REFERENCES "Customer")')
    shop.execute('INSERT INTO "Customer" VALUES (1)')
    assert not any("of_somebody" in each for each in dumped(shop)["warnings"])
    shop.execute("INSERT INTO orders VALUES (1)")
    said = dumped(shop)["warnings"]
    assert any("of_somebody on orders" in each and "a restore can't create them" in each for each in said)
    shop.settings["DJANGO_RCLONE"]["CONNECTOR_OPTIONS"]["default"]["EXCLUDE_TABLES"] = ["Customer", "orders"]
    assert dumped(shop)["warnings"] == []
    restore_saved(shop)
    assert shop.execute('SELECT count(*) FROM "Customer"') == [(0,)]
    shop.execute('CREATE VIEW seen AS SELECT id FROM "Customer"')
    shop.settings["DJANGO_RCLONE"]["CONNECTOR_OPTIONS"]["default"] = {
        "DUMP_ARGS": ['--exclude-table="Customer"']
    }
    assert any("(of_somebody on orders, seen)" in each for each in dumped(shop)["warnings"])


ELSEWHERE = {
    "view": "CREATE VIEW other.seen AS SELECT id FROM public.shop_product",
    "column": "CREATE TYPE public.mood AS ENUM ('ok'); CREATE TABLE other.moods AS SELECT 'ok'::public.mood AS mood",
    "foreign key": "CREATE TABLE other.refers (product_id bigint REFERENCES public.shop_product)",
    "default": "CREATE FUNCTION public.one() RETURNS int LANGUAGE sql AS 'SELECT 1'; CREATE TABLE other.ones (n int DEFAULT public.one())",
    "publication": "CREATE PUBLICATION ours FOR TABLE shop_product",
}
"""What lies outside of the schema that is backed up, and would be dropped with it."""


def run_script(shop: Shop, script: str) -> None:
    for statement in script.split("; "):
        shop.execute(statement)


def drop_elsewhere(shop: Shop) -> None:
    """Drop what lies outside, with what it uses, and make its schema again, empty."""
    for statement in (
        "DROP PUBLICATION IF EXISTS ours",
        "DROP SCHEMA other CASCADE",
        "DROP TYPE IF EXISTS public.mood",
        "DROP FUNCTION IF EXISTS public.one()",
        "CREATE SCHEMA other",
    ):
        shop.execute(statement)


def test_schema_on_which_others_depend_is_not_restored_without_them(make_shop):
    shop = make_shop("postgresql", CONNECTOR_OPTIONS={"default": {"SCHEMAS": ["public"]}})
    shop.execute("CREATE SCHEMA other")
    shop.execute("CREATE TABLE other.alone AS SELECT 1 AS n")
    assert warnings_today(shop) == []
    shop.execute("DROP TABLE other.alone")
    for kind, script in ELSEWHERE.items():
        run_script(shop, script)
        said = warnings(shop) if kind == "view" else warnings_today(shop)
        assert any("Other schemas depend" in each for each in said) is (kind != "publication")
        drop_elsewhere(shop)
    for script in ELSEWHERE.values():
        run_script(shop, script)
    shop.execute("UPDATE shop_product SET price = 1")
    with nothing_changes(shop):
        result = shop.manage("dbrestore", "--noinput", "--no-safety-backup", stored(shop))
        assert_failed(result, "objects of other schemas would be dropped")
        assert all(name in result.err for name in ("seen", "moods", "refers", "ones", "ours")), result.err
        assert "Nothing was changed." in result.err
    drop_elsewhere(shop)
    shop.execute("CREATE TABLE other.alone AS SELECT 1 AS n")
    done(shop, "dbrestore", "--noinput", "--no-safety-backup", stored(shop))
    assert shop.execute("SELECT n FROM other.alone") == [(1,)]


@pytest.mark.parametrize("mode", sampled(["session", "transaction"], "transaction"))
def test_restore_through_a_pooler_leaves_no_setting_behind(make_shop, postgresql_server, mode):
    shop = make_shop("postgresql")
    shop.execute("CREATE FUNCTION whoami() RETURNS name LANGUAGE sql AS 'SELECT current_user'")
    direct = dict(shop.settings["DATABASES"]["default"])
    wanted = shop.rows()
    with own_settings(postgresql_server.folder), PgBouncer(postgresql_server, mode, size=6) as pooler:
        shop.settings["DATABASES"]["default"] = pooler.in_front_of(direct)
        assert dumped(shop)["warnings"] == []
        shop.execute("UPDATE shop_product SET price = price + 1")
        before = settings(shop)
        restore_saved(shop, "--strategy=in_place")
        for _number in range(5):
            assert set(settings(shop)) ^ set(before) == set()
        assert shop.rows() == wanted
    shop.settings["DATABASES"]["default"] = direct


def test_dump_changes_nothing_for_the_clients_of_a_busy_pooler(make_shop, postgresql_server):
    shop = make_shop("postgresql")
    direct = dict(shop.settings["DATABASES"]["default"])
    stop, errors = threading.Event(), list[psycopg.Error]()
    with PgBouncer(postgresql_server, "transaction", size=3) as pooler:
        shop.settings["DATABASES"]["default"] = pooler.in_front_of(direct)

        def visit() -> None:
            with closing(connect(shop.settings["DATABASES"]["default"])) as client:
                client.prepare_threshold = None
                while not stop.wait(0.002):  # often enough to meet what a dump would leave behind
                    try:
                        client.execute("SELECT count(*) FROM shop_product")
                    except psycopg.Error as error:
                        errors.append(error)

        visitors = [threading.Thread(target=visit) for _ in range(3)]
        for each in visitors:
            each.start()
        try:
            result = shop.manage("dbbackup")
        finally:
            stop.set()
            for each in visitors:
                each.join()
        assert result.code == 0, result.err
        assert errors == []
    shop.settings["DATABASES"]["default"] = direct


def test_dump_is_refused_where_there_is_no_way_past_the_pooler(make_shop, postgresql_server):
    shop = make_shop("postgresql")
    direct = dict(shop.settings["DATABASES"]["default"])
    with PgBouncer(postgresql_server, "transaction", login="visitor") as pooler:
        shop.settings["DATABASES"]["default"] = pooler.in_front_of(direct)
        assert_failed(shop.manage("dbbackup"), "reached through a pooler in transaction mode", code=2)
        assert shop.names() == []
        changes = {
            "HOST": direct["HOST"],
            "PORT": direct["PORT"],
            "USER": direct["USER"],
            "PASSWORD": direct["PASSWORD"],
        }
        shop.settings["DJANGO_RCLONE"]["CONNECTOR_OPTIONS"] = {"default": {"CONNECTION": changes}}
        saved(shop)
    shop.settings["DATABASES"]["default"] = direct


def settings(shop: Shop) -> list[tuple[str, ...]]:
    """Return the settings of a session, and who it is."""
    return shop.execute(
        "SELECT name, setting FROM pg_settings WHERE name NOT IN ('application_name', 'transaction_read_only') AND name !~ '\\.'"
        " UNION ALL SELECT 'user', current_user::text ORDER BY 1"
    )
