"""A misspelt alias is an error, and not an empty list."""

import pytest

from tests.support.commands import document, done
from tests.support.faults import assert_failed, nothing_changes

COMMANDS = [
    ("dbbackup", "-d"),
    ("listbackups", "-d"),
    ("listbackups", "--all", "-d"),
    ("prunebackups", "-d"),
    ("prunebackups", "--dry-run", "-d"),
    ("dbrestore", "--noinput", "-d"),
    ("dbrestore", "--noinput", "--to"),
    ("dbrestore", "--noinput", "--undo", "-d"),
    ("dbrestore", "--dry-run", "-d"),
]


@pytest.mark.backed_up
def test_alias_that_nobody_knows_is_wrong_usage(shop):
    with nothing_changes(shop):
        for command in COMMANDS:
            result = shop.manage(*command, "defalt")
            assert_failed(result, "There is no database “defalt”", code=2)
            assert "Did you mean “default”? The aliases in DATABASES are: default, analytics." in result.err
            # “-d "$ALIAS"” with a variable that is not set must not mean all, or another one.
            assert_failed(shop.manage(*command, ""), "There is no database “”", code=2)


def test_alias_like_no_other_gets_the_list_of_all(shop):
    result = shop.manage("listbackups", "-d", "zzz")
    assert_failed(result, "There is no database “zzz”", code=2)
    assert result.err.endswith("Hint: The aliases in DATABASES are: default, analytics.\n")


def test_error_is_a_json_document(shop):
    for command in ("listbackups", "-d", "defalt"), ("prunebackups", "-d", "defalt"):
        result = shop.manage(*command, "--json")
        assert (result.code, result.json.keys()) == (2, {"error", "hint"})
        assert "Did you mean “default”?" in result.json["hint"]


def test_database_without_backups_has_an_empty_list(shop):
    assert done(shop, "listbackups") == "There are no backups.\n"
    assert done(shop, "listbackups", "-d", "analytics") == "There are no backups.\n"
    assert done(shop, "prunebackups", "-d", "analytics") == "There are no backups.\n"
    assert document(shop, "listbackups", "-d", "analytics") == []


def test_database_that_is_configured_no_more_keeps_its_list(shop):
    for day in 15, 16, 17:
        shop.remote.write(f"db/archive-2024-01-{day}-120000.sqlite3", b"PRAGMA x;")
    assert len(document(shop, "listbackups", "-d", "archive")) == 3
    shop.settings["DJANGO_RCLONE"]["DB_CLEANUP_KEEP"] = 2
    kept = [each["keep"] for each in document(shop, "prunebackups", "-d", "archive")]
    assert kept == [True, True, False]
    assert len(document(shop, "listbackups", "-d", "archive")) == 2


def test_misspelt_name_of_a_database_that_has_only_backups(shop):
    shop.remote.write("db/archive-2024-01-15-120000.sqlite3", b"PRAGMA x;")
    for command in "listbackups", "prunebackups":
        result = shop.manage(command, "-d", "archiv")
        assert_failed(result, "There is no database “archiv”", code=2)
        assert "Did you mean “archive”?" in result.err


@pytest.mark.backed_up
def test_alias_is_looked_at_before_the_backup(shop):
    """A restore into a database that does not exist says so, whatever the backup is."""
    name = shop.backup.removeprefix("db/")
    result = shop.manage("dbrestore", "--noinput", "-d", "defalt", "--input-path", name)
    assert_failed(result, "There is no database “defalt”", code=2)
