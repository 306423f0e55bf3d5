"""The safety backup is a copy of what will be overwritten, whatever the options of the site's own backups say."""

import pytest

from tests.support.commands import undo_once
from tests.support.site import Shop

RESTORE = ("dbrestore", "--noinput", "--strategy=in_place")


def succeed(shop: Shop, *arguments: str) -> None:
    result = shop.manage(*arguments)
    assert result.code == 0, result.err


def add_schema(shop: Shop) -> None:
    shop.execute("CREATE SCHEMA other")
    shop.execute("CREATE TABLE other.notes AS SELECT 1 AS n")


@pytest.mark.postgresql
@pytest.mark.parametrize(
    "options",
    [
        {
            "EXCLUDE_TABLES": ["shop_orderline"],
            "DUMP_ARGS": ["--exclude-table-data=shop_product", "--no-comments", "-N", "other"],
        },
        {"SCHEMAS": ["public"]},
        # What "excluded" has, too, is DUMP_ARGS that leave rows out.
        pytest.param({"DUMP_ARGS": ["--schema-only"]}, marks=pytest.mark.soak),
    ],
    ids=["excluded", "schemas", "schema-only"],
)
def test_safety_backup_leaves_nothing_out_and_is_not_dumped_from_the_replica(
    make_shop, postgresql_server, options
):
    shop = make_shop("postgresql", backed_up=True, prepare=add_schema)
    live = shop.settings["DATABASES"]["default"]["NAME"]
    replica = f"{live}_replica"
    postgresql_server.create_database(replica, template=live)
    shop.execute("UPDATE shop_orderline SET quantity = 7")
    shop.execute("UPDATE shop_product SET price = price + 1")
    shop.execute("UPDATE other.notes SET n = 2")
    shop.execute("CREATE TABLE only_here AS SELECT 1 AS n")
    wanted = shop.rows()
    options = {**options, "CONNECTION": {"NAME": replica}}
    shop.settings["DJANGO_RCLONE"]["CONNECTOR_OPTIONS"] = {"default": options}
    if "SCHEMAS" in options:  # a backup of all of the database does not fit a restore of some of it
        succeed(shop, "dbbackup")
    succeed(shop, *RESTORE)
    assert shop.rows() != wanted
    undo_once(shop)
    assert shop.rows() == wanted
