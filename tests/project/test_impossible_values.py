"""A value of ``DJANGO_RCLONE`` that can't be right is named by ``manage.py check``, whatever the kind of the mistake."""

from pathlib import Path

import pytest
from django.core.checks import run_checks

from django_rclone_admin.conf import get_settings, problems

NAN, INFINITE = float("nan"), float("inf")


def said(settings, **values) -> list[tuple[str, str]]:
    """Return the id and the text of each message about these settings."""
    settings.DJANGO_RCLONE = {"REMOTE": "/srv/backups", **values}
    found = run_checks(tags=["django_rclone_admin"])
    ours = [
        each for each in found if each.id != "django_rclone_admin.W001"
    ]  # rclone may not be on this machine
    return [(str(each.id).rpartition(".")[2], f"{each.msg} {each.hint}") for each in ours]


IMPOSSIBLE = {
    "REMOTE": ["/srv/a\nb", "/srv/\0", "s3:bucket\n"],
    "RCLONE_BINARY": [""],
    "RCLONE_ENV": [{"": "x"}, {"A=B": "x"}, {"A": "x\0y"}],
    "DB_BACKUP_DIR": ["..", "../db", "a//b", ".", "a/./b", "a\nb"],
    "MEDIA_BACKUP_DIR": ["../media", "a//b", "./media"],
    "MEDIA_VERSIONS_DIR": ["a/../b"],
    "MEDIA_MAX_DELETE_PERCENT": [-1, 101],
    "STALE_AFTER": [0, -1, NAN, INFINITE],
    "STALL_TIMEOUT": [-1, NAN, INFINITE],
    "LISTING_CACHE_SECONDS": [-1, NAN],
    "OPEN_HOURS": [0, -0.5, INFINITE],
}


@pytest.mark.parametrize("key", IMPOSSIBLE)
def test_impossible_value_is_an_error_that_names_its_key(settings, key):
    for value in IMPOSSIBLE[key]:
        [(name, text)] = said(settings, **{key: value})
        assert name == "E001", value
        assert f"“{key}”] has an impossible value." in text, value


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
