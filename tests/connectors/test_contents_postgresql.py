"""What a dump of PostgreSQL holds is compared with the database: what is missing is named, or fails the backup."""

import json
import subprocess
from contextlib import closing

import pytest

from django_rclone_admin.connectors.postgresql.arguments import narrowed, whole
from django_rclone_admin.exceptions import UsageError
from tests.support import programs
from tests.support.commands import dumped, saved
from tests.support.faults import assert_failed, nothing_changes
from tests.support.matrix import sampled
from tests.support.postgresql import connect, system_binaries
from tests.support.postgresql_schema import KINDS
from tests.support.servers import missing
from tests.support.site import Shop

pytestmark = pytest.mark.postgresql


def manifest(shop: Shop) -> dict:
    [name] = [name for name in shop.remote.names("db") if name.endswith(".manifest.json")]
    return json.loads(shop.remote.read(name))


def use(shop: Shop, **options: object) -> None:
    shop.settings["DJANGO_RCLONE"]["CONNECTOR_OPTIONS"] = {"default": options}


@pytest.fixture
def shop(make_shop) -> Shop:
    shop = make_shop("postgresql")
    shop.execute("CREATE VIEW dear AS SELECT * FROM shop_product WHERE price > 5")
    shop.execute("CREATE SCHEMA other")
    shop.execute("CREATE TABLE other.notes AS SELECT 1 AS n")
    return shop


@pytest.mark.parametrize("database", sampled(["postgresql", "postgresql18"], "postgresql18"))
def test_manifest_names_every_kind_and_lacks_nothing(make_shop, database):
    shop = make_shop(database)
    with closing(connect(shop.settings["DATABASES"]["default"])) as connection:
        connection.execute(KINDS)
    found = dumped(shop)
    assert found["left_out"] == {}
    contents = found["objects"]
    assert {"everything", "measured", "measured_one", "fast", "no_columns", "parent"} <= set(
        contents["tables"]
    )
    assert contents["views"] == ["numbers", "sliced", "the view"]
    assert contents["materialized_views"] == ["counted", "counted_again", "empty_one"]
    assert contents["triggers"] == ["later on parent", "noted on parent"]
    assert contents["policies"] == ["somebody on everything"]
    assert contents["rules"] == ["quiet on trail"]
    assert contents["publications"] == ["ours"]
    assert contents["extensions"] == ["citext"]
    assert contents["large_objects"] == ["*"]
    assert "public.bare(pg_catalog.text)" in contents["functions"]
    assert {"public.mood", "public.pair", "public.percent", "public.timerange"} <= set(contents["types"])


def test_version_of_pg_dump_is_known_although_it_does_not_tell_it(shop, tmp_path):
    """Where pg_dump is Debian's wrapper, the question takes nearly as long as a call of rclone."""
    bin_dir = system_binaries() or missing("PostgreSQL's server is not installed")
    body = 'if "--version" in arguments:\n    sys.exit(1)\n'
    use(shop, BIN_DIR=str(programs.wrapper(tmp_path / "bin", "pg_dump", bin_dir / "pg_dump", body).parent))

    version = dumped(shop)["tool_version"]

    told = subprocess.run([bin_dir / "pg_dump", "--version"], capture_output=True, text=True, check=True)
    assert f" {version} " in told.stdout


def test_what_the_options_leave_out_is_in_the_manifest_and_in_the_plan(shop):
    use(shop, DUMP_ARGS=["-N", "other", "--exclude-table-data", "shop_orderline"])
    expected = {"rows": ["other.notes", "shop_orderline"], "tables": ["other.notes"]}
    assert dumped(shop)["left_out"] == expected

    arguments = ["--exclude-table=dear", "--no-comments", "-v"]
    use(shop, EXCLUDE_TABLES=["shop_orderline", "other.*"], DUMP_ARGS=arguments)
    expected = {"rows": ["other.notes", "shop_orderline"], "views": ["dear"], "comments": ["*"]}
    result = shop.manage("dbbackup")
    assert result.code == 0, result.err
    found = manifest(shop)
    assert found["left_out"] == expected
    assert {"other.notes", "shop_orderline"} <= set(found["tables"])
    assert found["tool_version"]
    assert shop.manage("dbrestore", "--dry-run", "--json").json["left_out"] == expected


def test_rows_that_row_security_hides_are_named(shop, postgresql_server):
    shop.execute("ALTER TABLE shop_product ENABLE ROW LEVEL SECURITY")
    shop.execute("ALTER TABLE shop_product FORCE ROW LEVEL SECURITY")
    shop.execute("CREATE POLICY dear_only ON shop_product USING (price > 5)")
    with nothing_changes(shop):
        result = shop.manage("dbbackup")
        assert_failed(result, "affected by row-level security policy")
        assert "BYPASSRLS" in result.err
    use(shop, DUMP_ARGS=["--enable-row-security"])
    assert dumped(shop)["left_out"] == {"hidden_rows": ["shop_product"]}


def test_replica_that_lacks_a_table_fails_the_backup(shop, postgresql_server):
    live = shop.settings["DATABASES"]["default"]["NAME"]
    replica = f"{live}_replica"
    postgresql_server.create_database(replica, template=live)
    use(shop, CONNECTION={"NAME": replica})
    saved(shop)
    shop.execute("CREATE TABLE only_here AS SELECT 1 AS n")
    with nothing_changes(shop):
        result = shop.manage("dbbackup")
        assert_failed(result, r"dump lacks: .*only_here \(rows\), only_here \(tables\)")
    assert shop.names() == []


def test_pg_dump_that_leaves_out_more_than_it_was_told_fails_the_backup(shop, postgresql_server, tmp_path):
    real = postgresql_server.bin_dir / "pg_dump"
    body = (
        "if any('format' in each for each in arguments): arguments.append('--exclude-table=shop_orderline')"
    )
    use(shop, BIN_DIR=str(programs.wrapper(tmp_path / "bin", "pg_dump", real, body).parent))
    with nothing_changes(shop):
        assert_failed(shop.manage("dbbackup"), r"shop_orderline \(tables\)")
        use(shop, BIN_DIR=str(tmp_path / "bin"), EXCLUDE_TABLES=["shop_orderline"])
        result = shop.manage("dbbackup", f"--output-path={tmp_path / 'dump'}")
        assert_failed(result, r"shop_orderline \(tables\)")
    assert not (tmp_path / "dump").exists()


@pytest.mark.parametrize(
    "arguments",
    [
        ["--format=plain"],
        ["-Fp"],
        ["-f", "x"],
        ["--file=x"],
        ["shop"],
        ["--exclude-table-d=x"],
        ["-vFp"],
        ["--help"],
    ],
)
def test_arguments_that_change_what_a_dump_is_are_refused(arguments):
    with pytest.raises(UsageError, match="with which no backup"):
        narrowed("default", arguments)


def test_arguments_are_read_as_pg_dump_reads_them():
    arguments = ["-vO", "-N", "other", "-Tshop_a", "--lock-wait-timeout", "5s", "--no-comments", "--inserts"]
    assert set(narrowed("default", arguments)) == {"-N", "-T", "--no-comments"}
    assert whole(arguments) == ["-v", "-O", "--lock-wait-timeout", "5s", "--inserts"]


def test_argument_that_changes_what_a_dump_is_stops_the_backup_before_it_begins(shop):
    use(shop, DUMP_ARGS=["--format=plain"])
    with nothing_changes(shop):
        assert_failed(shop.manage("dbbackup"), "DUMP_ARGS of “default” contains --format, with", code=2)
