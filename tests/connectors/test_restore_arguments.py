"""Arguments in ``RESTORE_ARGS`` with which the programs would end well, and restore a part of the backup or nothing."""

import pytest

from django_rclone_admin.connectors.mongodb import MongoDumpConnector
from django_rclone_admin.exceptions import UsageError
from tests.support.faults import assert_failed, nothing_changes


def use(shop, *arguments):
    options = {"default": {"RESTORE_ARGS": list(arguments)}}
    shop.settings["DJANGO_RCLONE"]["CONNECTOR_OPTIONS"] = options


@pytest.mark.postgresql
def test_pg_restore_gets_no_argument_that_leaves_something_out(make_shop):
    shop = make_shop("postgresql", backed_up=True)
    shop.execute("UPDATE shop_product SET price = 1")
    for argument in (
        "--list",
        "--table=shop_product",
        "--use-list=/dev/null",
        "-a",
        "--schema-only",
        "--sch=x",
    ):
        use(shop, "--verbose", argument)
        name = argument.partition("=")[0]
        with nothing_changes(shop):
            result = shop.manage("dbrestore", "--noinput")
            assert_failed(result, f"RESTORE_ARGS of “default” contains {name}, which", code=2)
        assert "--no-comments" in result.err
    assert shop.manage("dbrestore", "--dry-run").code == 2
    assert shop.manage("dbbackup").code == 0  # a backup has nothing to do with it


@pytest.mark.in_turns("strategy")
@pytest.mark.postgresql
@pytest.mark.parametrize("strategy", ["in_place", "swap"])
def test_arguments_that_leave_nothing_out_are_passed_on(make_shop, strategy):
    shop = make_shop("postgresql")
    shop.execute("COMMENT ON TABLE shop_product IS 'dear'")
    wanted = shop.rows()
    assert shop.manage("dbbackup").code == 0
    shop.execute("UPDATE shop_product SET price = 1")
    use(shop, "--no-comments", "--verbose")
    result = shop.manage("dbrestore", "--noinput", f"--strategy={strategy}")
    assert result.code == 0, result.err
    assert shop.rows() == wanted
    assert shop.execute("SELECT obj_description('shop_product'::regclass)") == [(None,)]


@pytest.mark.mysql
def test_client_of_mysql_gets_no_argument_that_leaves_something_out(make_shop):
    shop = make_shop("mysql", backed_up=True)
    for argument in ("--execute=SELECT 1", "--help", "--one-database", "-f"):
        use(shop, "--verbose", argument)
        with nothing_changes(shop):
            result = shop.manage("dbrestore", "--noinput", "--no-safety-backup")
            name = argument.partition("=")[0]
            assert_failed(result, f"RESTORE_ARGS of “default” contains {name}, which", code=2)
    use(shop, "--verbose", "--verbose")
    assert shop.manage("dbrestore", "--noinput", "--no-safety-backup").code == 0


@pytest.mark.parametrize("argument", ["--dryRun", "--nsExclude=shop.cache", "-d", "--db=shop", "--version"])
def test_mongorestore_gets_no_argument_that_leaves_something_out(argument):
    connector = MongoDumpConnector("default", {"NAME": "shop"}, {"RESTORE_ARGS": ["--gzip", argument]})
    with pytest.raises(UsageError, match="could restore only part of the backup"):
        connector.check_restore_options()
    MongoDumpConnector("default", {"NAME": "shop"}, {"RESTORE_ARGS": ["--gzip"]}).check_restore_options()
