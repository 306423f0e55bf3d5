"""Restoring PostgreSQL beside the live database, and swapping the two: the site goes on, and undo is a rename."""

from contextlib import closing, suppress
from signal import SIGKILL

import psycopg
import pytest

from django_rclone_admin.connectors.postgresql.server import NAME_BYTES, name_beside
from tests.support import databases, programs, tables
from tests.support.commands import saved, stored
from tests.support.faults import add_noise, assert_failed, nothing_changes
from tests.support.postgresql import PostgreSQLServer, connect
from tests.support.programs import DOWNLOAD
from tests.support.site import Shop
from tests.support.swaps import SWAP, beside, history, rows_of
from tests.support.waiting import wait_for

UNDO = ("dbrestore", "--noinput", "--undo")

on_both_versions = pytest.mark.parametrize("database", ["postgresql", "postgresql18"])


@pytest.fixture
def database() -> str:
    return "postgresql"


@pytest.fixture
def shop(request, make_shop, database) -> Shop:
    return make_shop(database, backed_up="before" in request.fixturenames)


@pytest.fixture
def server(request, database) -> PostgreSQLServer:
    return request.getfixturevalue(f"{database}_server")


@pytest.fixture
def before(shop) -> databases.Rows:
    """The rows of a backup, in a shop that has changed since."""
    rows = shop.rows()
    change(shop)
    return rows


def change(shop: Shop) -> None:
    shop.execute("UPDATE shop_product SET price = price + 1")
    shop.execute("DROP TABLE shop_orderline")
    shop.execute("CREATE TABLE newer (product_id bigint REFERENCES shop_product)")
    shop.execute("INSERT INTO newer SELECT id FROM shop_product")


def succeed(shop: Shop, *arguments: str) -> str:
    result = shop.manage(*arguments)
    assert result.code == 0, result.err
    return result.out


@pytest.mark.in_turns("database")
@on_both_versions
def test_swap_brings_the_rows_back_and_undo_those_of_before(shop, before, server):
    changed = shop.rows()
    assert "Dropped a table that is not in the backup: newer." in succeed(shop, *SWAP)
    assert shop.rows() == before
    [kept] = beside(shop)
    assert rows_of(shop, kept) == changed

    shop.execute("DELETE FROM shop_orderline")
    after = shop.rows()
    succeed(shop, *UNDO)
    assert shop.rows() == changed
    succeed(shop, *UNDO)
    assert shop.rows() == after
    [kept] = beside(shop)
    assert [run["status"] for run in history(shop)] == ["succeeded"] * 4

    server.administer("DROP DATABASE {}", kept)
    with nothing_changes(shop):
        assert_failed(shop.manage(*UNDO), f"{kept}.* is gone")


@pytest.mark.in_turns("database")
@on_both_versions
def test_indexes_constraints_sequences_settings_and_grants_are_as_before(make_shop, database, server):
    shop = make_shop(database, backed_up=True)
    set_and_grant(shop, server)
    rows, details = shop.rows(), details_of_database(shop)
    query = "SELECT indexdef FROM pg_indexes WHERE schemaname = 'public' ORDER BY 1"
    constraints = (
        "SELECT conrelid::regclass::text, conname, pg_get_constraintdef(oid), convalidated FROM pg_constraint"
        " WHERE connamespace = 'public'::regnamespace AND conrelid::regclass::text <> 'newer' ORDER BY 1, 2"
    )
    wanted = shop.execute(query), shop.execute(constraints)
    change(shop)
    succeed(shop, *SWAP, stored(shop))
    assert (shop.execute(query), shop.execute(constraints)) == wanted
    assert (shop.rows(), details_of_database(shop)) == (rows, details)
    assert shop.execute("SELECT nextval('shop_product_id_seq') > max(id) FROM shop_product") == [(True,)]
    assert shop.execute("SELECT reltuples > 0 FROM pg_class WHERE relname = 'shop_product'") == [(True,)]


def test_next_restore_drops_what_the_one_before_kept(shop, before):
    succeed(shop, *SWAP, stored(shop))
    [first] = beside(shop)
    change(shop)
    changed = shop.rows()
    succeed(shop, *SWAP, stored(shop))
    [second] = beside(shop)
    assert second != first
    assert rows_of(shop, second) == changed

    succeed(shop, "dbrestore", "--noinput", "--strategy=in_place", stored(shop))
    assert beside(shop) == []
    assert shop.rows() == before


def set_and_grant(shop: Shop, server: PostgreSQLServer) -> None:
    """Give the database settings, limits and rights that no dump holds."""
    name = shop.settings["DATABASES"]["default"]["NAME"]
    with suppress(psycopg.errors.DuplicateObject):
        server.create_role("reader", "reader")
    for statement in (
        "ALTER DATABASE {} SET search_path TO \"$user\", public, 'odd, name'",
        "ALTER DATABASE {} SET statement_timeout TO '90s'",
        "ALTER DATABASE {} SET datestyle TO 'ISO, DMY'",
        "ALTER ROLE shop IN DATABASE {} SET work_mem TO '5MB'",
        "ALTER DATABASE {} CONNECTION LIMIT 30",
        "REVOKE ALL ON DATABASE {} FROM PUBLIC",
        "GRANT CONNECT ON DATABASE {} TO reader WITH GRANT OPTION",
    ):
        server.administer(statement, name)


def details_of_database(shop: Shop) -> list[tuple[object, ...]]:
    return shop.execute(
        "SELECT datdba::regrole::text, datcollate, datctype, encoding, datconnlimit, datacl::text,"
        " (SELECT jsonb_object_agg(setrole, setconfig) FROM pg_db_role_setting WHERE setdatabase = d.oid)"
        " FROM pg_database AS d WHERE datname = current_database()"
    )


def test_history_is_complete_and_the_site_goes_on_until_the_swap(shop, before, tmp_path, server):
    """What was written to the history even after it was copied is there, and readers lost nothing but a connection."""
    real = server.bin_dir / "pg_dump"
    held = programs.hold_output(tmp_path / "bin", "pg_dump", real, after=10, when="--table=")
    shop.settings["DJANGO_RCLONE"]["CONNECTOR_OPTIONS"] = {"default": {"BIN_DIR": str(held.program.parent)}}
    with closing(connect(shop.settings["DATABASES"]["default"])) as client:
        process = shop.start(*SWAP, stored(shop))
        held.wait()
        client.execute("INSERT INTO shop_product SELECT * FROM shop_product WHERE false")
        wait_for(lambda: history(shop)[1]["message"] == "Finishing the restore")
        [backup, running] = history(shop)
        assert (running["status"], running["message"]) == ("running", "Finishing the restore")
        client.execute(
            f"INSERT INTO {tables.HISTORY} SELECT (jsonb_populate_record(runs,"
            " jsonb_build_object('id', gen_random_uuid(), 'label', 'late', 'heartbeat_at', now()))).*"
            f" FROM {tables.HISTORY} AS runs WHERE kind = 'db_backup'"
        )
        held.release()
        assert shop.finish(process).code == 0
        with pytest.raises(psycopg.OperationalError, match="terminating connection"):
            client.execute("SELECT 1")
    runs = history(shop)
    assert [run["status"] for run in runs] == ["succeeded"] * 3
    assert runs[0] == backup or runs[1] == backup
    assert runs[-1]["id"] == running["id"]
    assert runs[-1]["lock"] is None
    assert runs[-1]["options"]["kept"] in beside(shop)
    assert shop.rows() == before
    assert shop.manage("migrate", "--check").code == 0


def test_database_without_a_history_is_swapped_too(shop):
    shop.execute("DROP TABLE IF EXISTS " + tables.HISTORY, "analytics")
    wanted, others = shop.rows("analytics"), shop.rows()
    dump = saved(shop, "--database=analytics")
    shop.execute("DELETE FROM analytics_pageview", "analytics")
    succeed(shop, *SWAP, "--database=analytics", dump)
    assert shop.rows("analytics") == wanted
    assert shop.rows() == others
    succeed(shop, *UNDO, "--database=analytics")
    assert shop.rows("analytics")["analytics_pageview"] == []


@pytest.mark.parametrize(
    "statement, reason",
    [
        pytest.param(
            "ALTER ROLE {role} NOCREATEDB", "may not create databases", id="createdb", marks=pytest.mark.soak
        ),
        pytest.param("ALTER DATABASE {database} OWNER TO postgres", "does not own it", id="owner"),
        pytest.param(
            "ALTER DATABASE {database} SET log_statement TO 'none'", "only a superuser can copy", id="setting"
        ),
    ],
)
def test_role_that_may_not_swap_restores_in_place_and_says_why(shop, before, server, statement, reason):
    entry = server.with_own_role(shop.settings["DATABASES"]["default"])
    shop.settings["DATABASES"]["default"] = entry
    with closing(server.superuser_connection(entry["NAME"])) as connection:
        connection.execute(f"GRANT ALL ON SCHEMA public TO {entry['USER']}")
    server.administer(statement.format(database=entry["NAME"], role=entry["USER"]))
    succeed(shop, *SWAP, stored(shop))
    assert shop.rows() == before
    assert beside(shop) == []
    log = history(shop)[-1]["log"]
    assert reason in log
    assert "Restoring in place instead." in log


def test_extension_that_only_a_superuser_can_create_is_restored_in_place(shop, server):
    with closing(server.superuser_connection(shop.settings["DATABASES"]["default"]["NAME"])) as connection:
        connection.execute("CREATE EXTENSION dblink")
    wanted, dump = shop.rows(), saved(shop)
    change(shop)
    succeed(shop, *SWAP, dump)
    assert shop.rows() == wanted
    assert "an extension that only a superuser can create" in history(shop)[-1]["log"]


def test_schemas_that_are_not_in_the_backup_are_not_swapped_away(shop):
    shop.settings["DJANGO_RCLONE"]["CONNECTOR_OPTIONS"] = {"default": {"SCHEMAS": ["public"]}}
    shop.execute("CREATE SCHEMA other")
    shop.execute("CREATE TABLE other.precious AS SELECT 1 AS n")
    wanted, dump = shop.rows(), saved(shop)
    change(shop)
    succeed(shop, *SWAP, dump)
    assert shop.rows() == wanted


def test_next_swap_drops_what_a_killed_one_left(make_shop, tmp_path, rclone_binary):
    shop = make_shop("postgresql", backed_up=True, prepare=add_noise)
    wanted = shop.rows()
    change(shop)
    changed = shop.rows()
    held = programs.hold_output(tmp_path / "bin", "rclone", rclone_binary, after=1_500_000, when=DOWNLOAD)
    shop.settings["DJANGO_RCLONE"]["RCLONE_BINARY"] = str(held.program)
    process = shop.start(*SWAP)
    held.wait()
    wait_for(lambda: len(beside(shop, "new")) == 1)
    assert shop.kill(process).code == -SIGKILL
    assert shop.rows() == changed
    assert len(beside(shop, "new")) == 1

    shop.settings["DJANGO_RCLONE"]["RCLONE_BINARY"] = rclone_binary
    succeed(shop, *SWAP, stored(shop))
    assert shop.rows() == wanted
    assert len(beside(shop)) == 1
    assert list(shop.temporary.iterdir()) == []


def test_swap_that_fails_leaves_nothing(shop, before, server, tmp_path):
    real = server.bin_dir / "pg_restore"
    program = programs.fail(
        tmp_path / "bin", "pg_restore", real, message="no index today", when="--section=post-data"
    )
    shop.settings["DJANGO_RCLONE"]["CONNECTOR_OPTIONS"] = {"default": {"BIN_DIR": str(program.parent)}}
    with nothing_changes(shop):
        assert_failed(shop.manage(*SWAP, stored(shop)), "no index today")
    assert beside(shop) == []


def test_connection_that_we_may_not_end_stops_the_swap(shop, before, server):
    name = shop.settings["DATABASES"]["default"]["NAME"]
    with closing(server.superuser_connection(name)) as other, nothing_changes(shop):
        assert_failed(
            shop.manage(*SWAP, stored(shop)), "could not be swapped: .*being accessed by other users"
        )
        assert other.execute("SELECT 1").fetchone() == (1,)
    assert beside(shop) == []


def test_what_another_run_writes_during_the_swap_is_not_lost(shop, before, tmp_path, server):
    """The backup of another database ends after its connection to the history was ended by the swap."""
    real = server.bin_dir / "pg_dump"
    held = programs.hold_output(tmp_path / "bin", "pg_dump", real, after=100, when="format")
    options = {"analytics": {"BIN_DIR": str(held.program.parent)}}
    shop.settings["DJANGO_RCLONE"]["CONNECTOR_OPTIONS"] = options
    process = shop.start("dbbackup", "--database=analytics", f"--output-path={tmp_path / 'dump'}")
    held.wait()
    succeed(shop, *SWAP, stored(shop))
    held.release()
    result = shop.finish(process)
    assert result.code == 0, result.err
    wait_for(lambda: [run["status"] for run in history(shop)] == ["succeeded"] * 3, 5)


CATCH_UP = """
from django.db import connection
from django.utils import timezone
from django_rclone_admin.connectors.postgresql.server import Server
from django_rclone_admin.connectors.postgresql.swap import History
from django_rclone_admin.connectors.registry import get_connector
from django_rclone_admin.models import BackupRun, Notice, OpenedBackup, SiteHealth

connector, server = get_connector("default"), Server("default")
live, new = connector.database_name, connector.database_name + "_dra_new_12345678"
server.create_like(live, new)
try:
    history = History(connector, server)
    history.copy(live, new)
    BackupRun.objects.create(kind="db_backup", database="other", status="queued", lock="db:other")
    OpenedBackup.objects.create(path="db/x", database="default", server="default", vendor="x", place="x", expires_at=timezone.now())
    SiteHealth.objects.create()
    Notice.objects.create(key="x")
    history.catch_up(live, new)
    with server.cursor(new) as cursor:
        for model in BackupRun, OpenedBackup, SiteHealth, Notice:
            cursor.execute(f"SELECT count(*) FROM {model._meta.db_table}")
            print(cursor.fetchone()[0])
finally:
    server.drop(new)
"""


def test_what_has_no_heartbeat_is_carried_over_too(shop):
    """A run that waits for a queue of tasks, and an opened backup, made between the copy of the history and the swap."""
    assert succeed(shop, "shell", "-c", CATCH_UP).split()[-4:] == ["1"] * 4


def test_names_of_databases_that_begin_alike_are_told_apart():
    long = "shop_" + "ä" * 40
    names = {name_beside(long + end, "_dra_kept_", "12345678") for end in "ab"}
    assert len(names) == 2
    assert all(len(name.encode()) <= 63 for name in names)
    assert name_beside("x" * NAME_BYTES, "_dra_kept_", "12345678") == "x" * NAME_BYTES + "_dra_kept_12345678"


def test_rows_whose_check_reads_another_table_are_loaded_after_that_table(shop):
    """By two connections, the small table would be loaded while the rows of the large one can't be seen yet."""
    for statement in (
        "CREATE TABLE a_large AS SELECT number AS id, repeat('x', 500) AS text FROM generate_series(1, 10000) AS number",
        "CREATE FUNCTION is_there(int) RETURNS bool LANGUAGE sql AS 'SELECT EXISTS (SELECT FROM public.a_large WHERE id = $1)'",
        "CREATE TABLE b_small (id int CHECK (is_there(id)))",
        "INSERT INTO b_small VALUES (1), (10000)",
    ):
        shop.execute(statement)
    dump = saved(shop)
    shop.execute("DELETE FROM b_small")
    succeed(shop, *SWAP, dump)
    assert shop.execute("SELECT id FROM b_small ORDER BY id") == [(1,), (10000,)]
