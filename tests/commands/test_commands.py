"""What all commands have in common, as users and scripts see them: usage, output, JSON documents, exit codes."""

import re

import pytest

from tests.support.commands import done
from tests.support.faults import assert_failed, nothing_changes


@pytest.mark.parametrize(
    "values, expected",
    [
        ({"DB_CLEANUP_KEEP": 0}, "would not keep any backup"),
        ({"COMPRESION": None}, "unknown key “COMPRESION”.*Did you mean “COMPRESSION”"),
        ({"COMPRESSION": "zip"}, "“COMPRESSION”. has the wrong type"),
        ({"REMOTE": ""}, "“REMOTE”. is missing"),
        ({"RETENTION": {"dayly": 1}}, "unknown rule “dayly”.*Did you mean “daily”"),
        ({"DB_FILENAME_TEMPLATE": "{datetime}.{ext}"}, "can't be parsed back"),
    ],
    ids=lambda value: next(iter(value)) if isinstance(value, dict) else "",
)
def test_wrong_settings_are_named_before_anything_is_done(shop, values, expected):
    shop.settings["DJANGO_RCLONE"] |= values
    for command in ("dbbackup",), ("dbrestore", "--noinput"), ("listbackups",), ("prunebackups",):
        assert_failed(shop.manage(*command), expected, code=2)
    assert shop.names() == []


@pytest.mark.backed_up
@pytest.mark.parametrize(
    "arguments, expected",
    [
        (("dbbackup", "--database", "nope"), "There is no database “nope”"),
        (("dbbackup", "--all", "--database", "default"), "--all and --database can't be used together"),
        (("dbbackup", "--clean", "--output-path", "x"), "--output-path and --clean can't be used together"),
        (("dbbackup", "--all", "--output-path", "x"), "--output-path takes one database"),
        (("dbbackup", "--json", "--output-path", "-"), "--json can't be used"),
        (("dbbackup", "--output-path", "/dev/null/x"), "can't be written: Not a directory"),
        (("dbrestore", "--noinput", "--to", "nope"), "There is no database “nope”"),
        (("dbrestore", "--input-path", "a", "--input-file", "b"), "can't be used together"),
        (("dbrestore", "--input-file", "/dev/null/x"), "The file “/dev/null/x” does not exist"),
        (("dbrestore", "--input-file", "-"), "standard input needs --noinput"),
        (("dbrestore", "--undo", "--strategy", "swap"), "--undo and --strategy can't be used together"),
        (
            ("dbrestore", "--undo", "--no-safety-backup"),
            "--undo and --no-safety-backup can't be used together",
        ),
        (("dbrestore", "--noinput", "--strategy", "magic"), "The strategy “magic” is not available"),
        (("listbackups", "--media", "--database", "default"), "can't be used together"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, tuple) else "",
)
def test_wrong_usage_is_refused(shop, arguments, expected):
    with nothing_changes(shop):
        result = shop.manage(*arguments)
        assert (result.code, bool(re.search(expected, result.err))) == (2, True), result


def test_failure_is_a_json_document_that_keeps_its_exit_code(shop):
    for code, arguments in {
        1: ("dbrestore", "--noinput"),
        2: ("dbbackup", "--database", "nope"),
    }.items():
        result = shop.manage(*arguments, "--json")
        assert result.code == code
        assert result.json.keys() == {"error", "hint"}
        assert all(result.json.values())
    shop.settings["DJANGO_RCLONE"]["COMPRESION"] = None
    result = shop.manage("listbackups", "--json")
    assert (result.code, result.json.keys()) == (2, {"error", "hint"})


def test_verbosity_chooses_how_much_is_said(shop, tmp_path):
    into_file = ("dbbackup", "-d", "default", "--output-path", str(tmp_path / "dump"))
    assert done(shop, *into_file, "--verbosity", "0") == ""
    assert len(done(shop, *into_file).splitlines()) == 2
    assert "Writing the manifest" in done(shop, "dbbackup", "--verbosity", "2")


def test_traceback_is_shown_to_who_asks_for_it(shop):
    assert "Traceback" in shop.manage("dbrestore", "--noinput", "--traceback").err
