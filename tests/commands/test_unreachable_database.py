"""A database server that does not answer is what a command says, in one sentence, and nothing besides."""

import pytest

from tests.support.faults import assert_failed
from tests.support.servers import free_port


@pytest.fixture(
    params=[
        pytest.param("postgresql", marks=pytest.mark.postgresql),
        pytest.param("mysql", marks=pytest.mark.mysql),
    ]
)
def shop(request, make_shop):
    """A shop with a backup, whose server is gone."""
    shop = make_shop(request.param, backed_up=True)
    entry = shop.settings["DATABASES"]["default"]
    port, entry["PORT"] = entry["PORT"], free_port()
    yield shop
    entry["PORT"] = port


@pytest.mark.in_turns("shop")
@pytest.mark.parametrize(
    "command",
    [
        ["dbbackup"],
        ["dbrestore", "--noinput"],
        ["dbrestore", "--dry-run"],
        ["dbrestore", "--undo", "--noinput"],
    ],
    ids=["backup", "restore", "dry-run", "undo"],
)
def test_server_that_is_gone_is_said_and_nothing_else(shop, command):
    result = shop.manage(*command)
    assert_failed(result, "^The database “default” can't be reached: ")
    assert "migrate" not in result.err
    assert "safety backup" not in result.out


@pytest.mark.parametrize("shop", [pytest.param("postgresql", marks=pytest.mark.postgresql)], indirect=True)
def test_opened_backups_that_can_not_be_known_are_not_said_to_be_none(shop):
    for command in (
        ["openbackup"],
        ["openbackup", "--list"],
        ["closebackup", "--all"],
        ["closebackup", "--expired"],
        ["closebackup", "backup_12345678"],
    ):
        result = shop.manage(*command)
        assert result.code == 1, result
        assert "CommandError: The database “default” can't be reached: " in result.err
        assert "migrate" not in result.err
        assert "open" not in result.out.replace("Opening the backup", "")


@pytest.mark.in_turns("shop")
def test_other_databases_are_backed_up_without_a_record(shop):
    """The history is in the database that is gone; the backup of another one is made all the same."""
    count = len(shop.names())
    result = shop.manage("dbbackup", "--database=analytics")
    assert result.code == 0, result.err
    assert (
        "The run is not recorded, and does not lock its database: The database “default” can't be reached"
        in result.err
    )
    assert "migrate" not in result.err
    assert len(shop.names()) == count + 2
