"""A value of ``DJANGO_RCLONE`` that can't be right is named by ``manage.py check``, whatever the kind of the mistake."""

from dataclasses import fields
from pathlib import Path

import pytest
from django.core.checks import run_checks

from django_rclone_admin.conf import get_settings, problems
from django_rclone_admin.health.limits import Limits, SiteLimits

NAN, INFINITE = float("nan"), float("inf")
TOO_MUCH = [NAN, INFINITE, 1e12, 1e300, 10**400]
UNFIT = ["a\0b", "\0", "a\ud800b"]


def said(settings, **values) -> list[tuple[str, str]]:
    """Return the id and the text of each message about these settings."""
    settings.DJANGO_RCLONE = {"REMOTE": "/srv/backups", **values}
    found = run_checks(tags=["django_rclone_admin"])
    ours = [
        each for each in found if each.id != "django_rclone_admin.W001"
    ]  # rclone may not be on this machine
    return [(str(each.id).rpartition(".")[2], f"{each.msg} {each.hint}") for each in ours]


IMPOSSIBLE = {
    "REMOTE": ["/srv/a\nb", "/srv/\0", "s3:bucket\n", *UNFIT],
    "RCLONE_BINARY": ["", *UNFIT, Path("a\0b")],
    "RCLONE_CONFIG": UNFIT,
    "RCLONE_FLAGS": [["-v", each] for each in UNFIT],
    "MEDIA_SOURCE": UNFIT,
    "MEDIA_EXCLUDE": [["*.tmp", each] for each in UNFIT],
    "RCLONE_ENV": [{"": "x"}, {"A=B": "x"}, {"A": "x\0y"}, {"A\ud800": "x"}, {"A": "x\ud800"}],
    "DB_BACKUP_DIR": ["..", "../db", "a//b", ".", "a/./b", "a\nb", *UNFIT],
    "MEDIA_BACKUP_DIR": ["../media", "a//b", "./media"],
    "MEDIA_VERSIONS_DIR": ["a/../b"],
    "MEDIA_MAX_DELETE_PERCENT": [-1, 101, 10**400, -(10**400)],
    "STALE_AFTER": [0, -1, *TOO_MUCH],
    "STALL_TIMEOUT": [-1, *TOO_MUCH],
    "LISTING_CACHE_SECONDS": [-1, *TOO_MUCH],
    "OPEN_HOURS": [0, -0.5, 1e9, *TOO_MUCH],
}


@pytest.mark.parametrize("key", IMPOSSIBLE)
def test_impossible_value_is_an_error_that_names_its_key(settings, key):
    for value in IMPOSSIBLE[key]:
        [(name, text)] = said(settings, **{key: value})
        assert name == "E001", value
        assert f"“{key}”] has an impossible value." in text, value


LIMITS = [each for each in (*fields(Limits), *fields(SiteLimits)) if each.name not in ("token", "ignore")]


@pytest.mark.parametrize("limit", [each.name for each in LIMITS])
def test_limit_of_health_that_nothing_can_reach_is_an_error_that_says_how_to_turn_it_off(settings, limit):
    for value in (*TOO_MUCH[:2], 1e300, 10**400, -1):
        [(name, text)] = said(settings, HEALTH={limit: value})
        assert (name, f"HEALTH[“{limit}”] has an impossible value." in text) == ("E001", True), value
        assert "or None for no limit" in text


@pytest.mark.parametrize("value", TOO_MUCH)
def test_limit_of_one_part_or_model_that_nothing_can_reach_is_an_error(settings, value):
    [(name, text)] = said(settings, HEALTH={"default": {"max_age_hours": value}})
    assert (name, "HEALTH[“default”][“max_age_hours”]" in text) == ("E001", True)
    limits = {"auth.User": {"newest": ("date_joined", value), "min_rows": value}}
    found = said(settings, VERIFY_CHECKS={"default": limits})
    assert [name for name, _text in found] == ["E001", "E001"]
    assert "hours, at most 876000" in found[0][1]


@pytest.mark.parametrize("key", ["REMOTE", "DB_BACKUP_DIR", "RCLONE_FLAGS"])
def test_text_that_no_program_can_be_given_is_told_so_without_the_text(settings, key):
    value = "hunter2\0"
    [(_name, text)] = said(settings, **{key: [value] if key == "RCLONE_FLAGS" else value})
    assert "No program can be given it: it has a NUL character" in text
    assert "hunter2" not in text


@pytest.mark.parametrize("remote", [" ", "\t", None, ""])
def test_blank_remote_is_missing(settings, remote):
    assert "“REMOTE”] is missing" in said(settings, REMOTE=remote)[-1][1]


@pytest.mark.parametrize(
    "values",
    [
        {"STALL_TIMEOUT": 0, "LISTING_CACHE_SECONDS": 0, "MEDIA_MAX_DELETE_PERCENT": 0},
        {"MEDIA_MAX_DELETE_PERCENT": 100, "OPEN_HOURS": 0.5, "STALE_AFTER": 0.5},
        {"DB_BACKUP_DIR": "", "MEDIA_BACKUP_DIR": "/files/", "MEDIA_VERSIONS_DIR": "old ..files/v1.2"},
        {"NOTIFY": {"sentry": None}},
        {
            "OPEN_HOURS": 876_000,
            "HEALTH": {"max_age_hours": 876_000, "min_size": 1e15, "max_run_hours": None},
        },
        {"RCLONE_FLAGS": ["--header=X: ü\n"], "RCLONE_CONFIG": None, "MEDIA_EXCLUDE": ["\udcff.tmp"]},
    ],
)
def test_values_at_the_edge_are_fine(settings, values):
    assert said(settings, **values) == []


def test_database_backups_among_the_versions_of_media_files_are_refused(settings):
    [(name, text)] = said(settings, DB_BACKUP_DIR="media-versions/db")
    assert name == "E001"
    assert "nested" in text


@pytest.mark.parametrize("key", ["REMOTE", "RCLONE_BINARY", "RCLONE_CONFIG", "MEDIA_SOURCE"])
def test_path_may_be_a_path_object(settings, key, tmp_path):
    settings.DJANGO_RCLONE = {"REMOTE": "/srv/backups", key: tmp_path / "x"}
    assert problems(settings.DJANGO_RCLONE) == []
    assert getattr(get_settings(), key.lower()) == str(tmp_path / "x")


def test_path_object_elsewhere_is_still_the_wrong_type(settings):
    assert "has the wrong type" in said(settings, DB_BACKUP_DIR=Path("db"))[0][1]


@pytest.mark.parametrize(
    "values",
    [
        {"DATABASES": ["defalt"]},
        {"CONNECTORS": {"defalt": "django_rclone_admin.connectors.sqlite.SqliteConnector"}},
        {"CONNECTOR_OPTIONS": {"defalt": {}}},
        {"RESTORE_STRATEGY": {"defalt": "swap"}},
        {"OPEN_ON": {"default": "defalt"}},
        {"OPEN_ON": {"defalt": "default"}},
        {"VERIFY_CHECKS": {"defalt": ["os.getcwd"]}},
    ],
    ids=str,
)
def test_unknown_alias_is_a_warning_that_names_the_key(settings, values):
    found = said(settings, **values)
    assert ("W004", f"{next(iter(values))} in DJANGO_RCLONE names “defalt”") in [
        (name, text.partition(",")[0]) for name, text in found
    ]


MISSING = [
    ({"EXECUTOR": "ThreadExecutor"}, "ThreadExecutor"),
    ({"EXECUTOR": "django_rclone_admin.executors.Nope"}, "Nope"),
    ({"EXECUTOR": "nowhere.Executor"}, "No module named 'nowhere'"),
    ({"EXECUTOR": "os.sep"}, "can't be called"),
    ({"CONNECTORS": {"default": "nowhere.Connector"}}, "No module named 'nowhere'"),
    ({"CONNECTOR_MAPPING": {"some.engine": "os.Nope"}}, "os.Nope"),
    ({"VERIFY_CHECKS": {"default": ["nowhere.check"]}}, "nowhere.check"),
    ({"VERIFY_CHECKS": {"default": [{"shop.Nope": {"min_rows": 1}}]}}, "shop.Nope"),
    ({"VERIFY_CHECKS": {"default": {"nope.Order": {"min_rows": 1}}}}, "nope"),
    ({"VERIFY_CHECKS": {"default": [{"auth.User": {"newest": ("nope", 24)}}]}}, "'nope'"),
    ({"RCLONE_CONFIG": "/nowhere/rclone.conf"}, "/nowhere/rclone.conf"),
]


@pytest.mark.parametrize("values, word", MISSING, ids=str)
def test_missing_thing_is_a_warning_with_the_reason(settings, values, word):
    [(name, text)] = said(settings, **values)
    assert name == "W007"
    assert text.startswith(next(iter(values)))
    assert word in text


OPTIONS = [
    ({"EXCLUDE": ["a"]}, "EXCLUDE"),
    ({"EXCLUDE_TABLES": "django_session"}, "EXCLUDE_TABLES"),
    ({"DUMP_ARGS": [1]}, "DUMP_ARGS"),
    ({"CONNECTION": ["HOST"]}, "CONNECTION"),
    ({"ENV": {"A": 1}}, "ENV"),
    ({"ENV": "A=1"}, "ENV"),
    ({"BIN_DIR": 3}, "BIN_DIR"),
    ({"BIN_DIR": Path("a\0b")}, "BIN_DIR"),
    ({"DUMP_ARGS": ["-v", "a\0b"]}, "DUMP_ARGS"),
    ({"CONNECTION": {"OPTIONS": {"sslcert": "a\ud800b"}}}, "CONNECTION"),
    ({"ENV": {"A": "a\0b"}}, "ENV"),
    ({"ENV": {"A=B": "x"}}, "ENV"),
    ({"ENV": {"": "x"}}, "ENV"),
]


@pytest.mark.parametrize("options, key", OPTIONS, ids=str)
def test_refused_option_of_a_connector_is_a_warning(settings, options, key):
    [(name, text)] = said(settings, CONNECTOR_OPTIONS={"default": options})
    assert name == "W008"
    assert key in text


def test_what_the_site_has_is_fine(settings):
    assert said(
        settings,
        EXECUTOR="django_rclone_admin.executors.ProcessExecutor",
        CONNECTORS={"default": "django_rclone_admin.connectors.sqlite.SqliteConnector"},
        CONNECTOR_OPTIONS={"default": {"EXCLUDE_TABLES": ["django_session"], "BIN_DIR": Path("/usr/bin")}},
        VERIFY_CHECKS={"default": ["os.getcwd", {"auth.User": {"newest": ("date_joined", 24), "min_rows": 1}}]},
        OPEN_ON={"default": "default"},
    ) == []  # fmt: skip


def test_wrong_type_of_checks_is_told_in_a_readable_way(settings):
    [(_, text)] = said(settings, VERIFY_CHECKS={"default": "shop.checks.orders"})
    assert "a dictionary of aliases to lists" in text
    assert "any value" not in said(settings, HEALTH=[])[0][1]
