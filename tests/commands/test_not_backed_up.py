"""A backup says which databases it left out."""

from pathlib import Path

import pytest

from tests.support.commands import done

OTHERS = "Not backed up: analytics. Add --all for all databases, or --database for one of them."


@pytest.fixture
def into_file(tmp_path: Path) -> tuple[str, ...]:
    """Arguments that send a backup into a file: what is said besides is the same, and rclone is not needed."""
    return ("--output-path", str(tmp_path / "dump.sqlite3"))


@pytest.mark.soak  # as the next test, and test_backup_prints_its_run_and_keeps_its_label
def test_backup_without_arguments_names_what_it_left_out(shop):
    lines = done(shop, "dbbackup").splitlines()
    assert lines[-1] == OTHERS
    assert {name.partition("-")[0] for name in shop.names()} == {"default"}


def test_file_without_arguments_names_what_it_left_out(shop, into_file):
    assert OTHERS in done(shop, "dbbackup", *into_file)


@pytest.mark.parametrize("arguments", [("-d", "default"), ("-d", "analytics"), ("--verbosity", "0")])
def test_nothing_is_said_where_the_choice_was_made(shop, into_file, arguments):
    assert "Not backed up" not in done(shop, "dbbackup", *arguments, *into_file)


def test_nothing_is_said_of_databases_that_all_does_not_mean(shop, into_file):
    shop.settings["DJANGO_RCLONE"]["DATABASES"] = ["default"]
    assert "Not backed up" not in done(shop, "dbbackup", *into_file)


def test_site_with_one_database_hears_nothing(shop, into_file):
    del shop.settings["DATABASES"]["analytics"]
    assert "Not backed up" not in done(shop, "dbbackup", *into_file)


def test_database_that_has_no_connector_is_named(shop, into_file):
    shop.settings["DATABASES"]["legacy"] = {"ENGINE": "django.db.backends.oracle", "NAME": "x"}
    line = "Not backed up: legacy. No connector supports the engine; name one in CONNECTORS."
    assert line in done(shop, "dbbackup", *into_file).splitlines()
    # Nothing is said of the others where all were chosen.
    said = done(shop, "dbbackup", "--all").splitlines()
    assert [each for each in said if "Not backed up" in each] == [line]
    stored = [each.partition(":")[0] for each in said if ": Stored " in each]
    assert stored == ["default", "analytics"]
    assert "legacy" not in done(shop, "dbbackup", "-d", "default", *into_file)
