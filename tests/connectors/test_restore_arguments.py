"""Arguments in ``RESTORE_ARGS`` with which the programs would end well, and restore a part of the backup or nothing."""

import pytest

from django_rclone_admin.connectors.mongodb import MongoDumpConnector
from django_rclone_admin.connectors.mysql.connector import MysqlDumpConnector
from django_rclone_admin.connectors.postgresql.connector import PgDumpConnector
from django_rclone_admin.exceptions import UsageError
from tests.support.commands import saved, stored
from tests.support.faults import assert_failed, nothing_changes


def use(shop, *arguments):
    options = {"default": {"RESTORE_ARGS": list(arguments)}}
    shop.settings["DJANGO_RCLONE"]["CONNECTOR_OPTIONS"] = options


@pytest.mark.postgresql
def test_pg_restore_gets_no_argument_that_leaves_something_out(make_shop):
    shop = make_shop("postgresql", backed_up=True)
    shop.execute("UPDATE shop_product SET price = 1")
    use(shop, "--verbose", "--table=shop_product")
    with nothing_changes(shop):
        result = shop.manage("dbrestore", "--noinput")
        assert_failed(result, "RESTORE_ARGS of “default” contains --table, which", code=2)
    assert "--no-comments" in result.err
    assert shop.manage("dbrestore", "--dry-run").code == 2
    saved(shop)  # a backup has nothing to do with it


@pytest.mark.parametrize(
    "argument", ["--list", "--table=shop_product", "--use-list=/dev/null", "-a", "--schema-only", "--sch=x"]
)
def test_each_argument_with_which_pg_restore_leaves_something_out_is_refused(argument):
    assert_refused(PgDumpConnector, argument)


@pytest.mark.in_turns("strategy")
@pytest.mark.postgresql
@pytest.mark.parametrize("strategy", ["in_place", "swap"])
def test_arguments_that_leave_nothing_out_are_passed_on(make_shop, strategy):
    shop = make_shop("postgresql")
    shop.execute("COMMENT ON TABLE shop_product IS 'dear'")
    wanted, dump = shop.rows(), saved(shop)
    shop.execute("UPDATE shop_product SET price = 1")
    use(shop, "--no-comments", "--verbose")
    result = shop.manage("dbrestore", "--noinput", "--no-safety-backup", f"--strategy={strategy}", dump)
    assert result.code == 0, result.err
    assert shop.rows() == wanted
    assert shop.execute("SELECT obj_description('shop_product'::regclass)") == [(None,)]


@pytest.mark.mysql
def test_client_of_mysql_gets_no_argument_that_leaves_something_out(make_shop):
    shop = make_shop("mysql", backed_up=True)
    use(shop, "--verbose", "--execute=SELECT 1")
    with nothing_changes(shop):
        result = shop.manage("dbrestore", "--noinput", "--no-safety-backup")
        assert_failed(result, "RESTORE_ARGS of “default” contains --execute, which", code=2)
    use(shop, "--verbose", "--verbose")
    assert shop.manage("dbrestore", "--noinput", "--no-safety-backup", stored(shop)).code == 0


@pytest.mark.parametrize("argument", ["--execute=SELECT 1", "--help", "--one-database", "-f"])
def test_each_argument_with_which_the_client_of_mysql_leaves_something_out_is_refused(argument):
    assert_refused(MysqlDumpConnector, argument)


def assert_refused(kind, argument):
    connector = kind("default", {"NAME": "shop"}, {"RESTORE_ARGS": ["--verbose", argument]})
    name = argument.partition("=")[0]
    with pytest.raises(UsageError, match=f"RESTORE_ARGS of “default” contains {name}, which"):
        connector.check_restore_options()


@pytest.mark.parametrize("argument", ["--dryRun", "--nsExclude=shop.cache", "-d", "--db=shop", "--version"])
def test_mongorestore_gets_no_argument_that_leaves_something_out(argument):
    connector = MongoDumpConnector("default", {"NAME": "shop"}, {"RESTORE_ARGS": ["--gzip", argument]})
    with pytest.raises(UsageError, match="could restore only part of the backup"):
        connector.check_restore_options()
    MongoDumpConnector("default", {"NAME": "shop"}, {"RESTORE_ARGS": ["--gzip"]}).check_restore_options()
