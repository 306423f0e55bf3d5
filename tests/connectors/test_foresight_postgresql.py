"""What would not restore into the place that it came from is said at the backup, and the restore takes the way that works."""

import json
from contextlib import closing

import pytest

from django_rclone_admin.connectors.postgresql.libpq import explain
from tests.support.faults import assert_failed, nothing_changes
from tests.support.pgbouncer import PgBouncer
from tests.support.site import Shop
from tests.support.swaps import history

pytestmark = pytest.mark.postgresql


def warnings(shop: Shop) -> list[str]:
    result = shop.manage("dbbackup")
    assert result.code == 0, result.err
    newest = max(name for name in shop.remote.names("db") if name.endswith(".manifest.json"))
    found = json.loads(shop.remote.read(newest)).get("warnings", [])
    assert shop.manage("dbrestore", "--dry-run", "--json").json["warnings"] == found
    return found


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


def test_table_of_another_role_is_said_at_the_backup(make_shop, postgresql_server):
    shop = make_shop("postgresql")
    name = shop.settings["DATABASES"]["default"]["NAME"]
    with closing(postgresql_server.superuser_connection(name)) as connection:
        connection.execute("CREATE SCHEMA reports CREATE TABLE daily (day date)")
        connection.execute("CREATE TABLE in_our_schema AS SELECT 1 AS n")  # whose owner may drop it
        connection.execute("GRANT USAGE ON SCHEMA reports TO shop")
        connection.execute("GRANT SELECT ON reports.daily, in_our_schema TO shop")
    [warning] = warnings(shop)
    assert warning.startswith("reports.daily belong to postgres")
    with nothing_changes(shop):
        restore = ("dbrestore", "--noinput", "--strategy=in_place", "--no-safety-backup")
        assert_failed(shop.manage(*restore), "permission denied|must be owner|already exists")


def test_publication_of_another_role_is_said_at_the_backup(make_shop, postgresql_server):
    shop = make_shop("postgresql")
    name = shop.settings["DATABASES"]["default"]["NAME"]
    with closing(postgresql_server.superuser_connection(name)) as connection:
        connection.execute("CREATE PUBLICATION theirs FOR TABLE shop_product")
    [warning] = warnings(shop)
    assert "publications theirs belong to another role" in warning


@pytest.mark.parametrize("mode", ["session", "transaction"])
def test_restore_through_a_pooler_leaves_no_setting_behind(make_shop, postgresql_server, mode):
    shop = make_shop("postgresql")
    shop.execute("CREATE FUNCTION whoami() RETURNS name LANGUAGE sql AS 'SELECT current_user'")
    direct = dict(shop.settings["DATABASES"]["default"])
    wanted = shop.rows()
    with PgBouncer(postgresql_server, mode, size=6) as pooler:
        shop.settings["DATABASES"]["default"] = pooler.in_front_of(direct)
        found = warnings(shop)
        assert [("transaction mode" in each) for each in found] == [True] * (mode == "transaction")
        shop.execute("UPDATE shop_product SET price = price + 1")
        before = settings(shop)
        result = shop.manage("dbrestore", "--noinput", "--strategy=in_place", "--no-safety-backup")
        assert result.code == 0, result.err
        for _number in range(5):
            assert set(settings(shop)) ^ set(before) == set()
        assert shop.rows() == wanted
    shop.settings["DATABASES"]["default"] = direct


def settings(shop: Shop) -> list[tuple[str, ...]]:
    """Return the settings of a session, and who it is."""
    return shop.execute(
        "SELECT name, setting FROM pg_settings WHERE name NOT IN ('application_name', 'transaction_read_only') AND name !~ '\\.'"
        " UNION ALL SELECT 'user', current_user::text ORDER BY 1"
    )
