"""A mistake in ``DJANGO_RCLONE`` is named before anything is done, with what to write instead."""

import pytest
from django.core import checks
from django.core.exceptions import ImproperlyConfigured
from django.test import override_settings
from django.utils.translation import gettext_lazy

from django_rclone_admin.conf import get_settings, problems

REMOTE = {"REMOTE": "s3:bucket/site"}


def test_remote_alone_is_enough():
    assert problems(REMOTE) == []


def test_values_that_are_not_given_have_their_documented_defaults():
    with override_settings(DJANGO_RCLONE=REMOTE):
        settings = get_settings()

    assert (settings.db_backup_dir, settings.db_cleanup_keep, settings.compression) == ("db", 10, "zstd")
    assert (settings.policy.last, settings.safety_backup, settings.stall_timeout) == (10, True, 900)


@pytest.mark.parametrize(
    "key, hint",
    [
        ("REMTOE", "Did you mean “REMOTE”?"),
        ("remote", "Did you mean “REMOTE”?"),
        ("DB_CLEANUP_KEPT", "Did you mean “DB_CLEANUP_KEEP”?"),
        ("RCLONE_FLAG", "Did you mean “RCLONE_FLAGS”?"),
        ("QQQQQQQ", "Known keys: REMOTE, RCLONE_BINARY"),
        (5, "Known keys:"),
    ],
)
def test_unknown_key_is_named_with_what_was_meant(key, hint):
    [(sentence, found)] = problems({**REMOTE, key: 1})

    assert f"unknown key “{key}”" in sentence
    assert found.startswith(hint)


WRONG_TYPES = [
    ("REMOTE", 5, "text"),
    ("RCLONE_FLAGS", "--fast-list", "a list of text"),
    ("RCLONE_FLAGS", ["--transfers", 4], "a list of text"),
    ("RCLONE_ENV", {"RCLONE_CONFIG_X_PORT": 22}, "a dictionary of text to text"),
    ("DB_CLEANUP_KEEP", "10", "a whole number"),
    ("DB_CLEANUP_KEEP", True, "a whole number"),
    ("DB_CLEANUP_KEEP", 2.5, "a whole number"),
    ("RETENTION", {"daily": "7"}, "a dictionary of text to a number"),
    ("RETENTION", ["daily"], "a dictionary of text to a number"),
    ("COMPRESSION", "lz4", "“zstd” or “gzip” or None"),
    ("COMPRESSION_LEVEL", "fast", "a whole number or None"),
    ("RESTORE_STRATEGY", "replace", "“in_place”"),
    ("RESTORE_STRATEGY", {"default": "replace"}, "“in_place”"),
    ("SAFETY_BACKUP", "no", "True or False"),
    ("SAFETY_BACKUP", 1, "True or False"),
    ("STALL_TIMEOUT", None, "a number"),
    ("DATABASES", "default", "a list of text or None"),
    ("EXECUTOR", None, "text"),
    ("COMPRESSION", gettext_lazy("zstd"), "“zstd” or “gzip” or None"),
    ("RESTORE_STRATEGY", gettext_lazy("swap"), "“in_place”"),
    ("RESTORE_STRATEGY", {"default": gettext_lazy("swap")}, "“in_place”"),
    ("DB_BACKUP_DIR", gettext_lazy("db"), "text"),
]


@pytest.mark.parametrize("key, value, wanted", WRONG_TYPES, ids=lambda value: str(value)[:30])
def test_wrong_type_is_named_with_the_right_one(key, value, wanted):
    found = problems({**REMOTE, key: value})

    assert found[0][0] == f"DJANGO_RCLONE[“{key}”] has the wrong type."
    assert wanted in found[0][1]


@pytest.mark.parametrize(
    "values",
    [{"NOTIFY": {"events": [gettext_lazy("failed")]}}, {"HEALTH": {"ignore": [gettext_lazy("no_schedule")]}}],
    ids=["events", "ignore"],
)
def test_lazy_text_in_a_list_of_known_words_is_the_wrong_type(values):
    [(sentence, hint)] = problems(REMOTE | values)

    assert "has the wrong type" in sentence
    assert "It must be a list of" in hint


@pytest.mark.parametrize("values", [{}, {"REMOTE": ""}, {"DB_BACKUP_DIR": "db"}])
def test_missing_remote_is_named(values):
    [(sentence, hint)] = problems(values)

    assert "“REMOTE”] is missing" in sentence
    assert "s3:bucket/site" in hint


@pytest.mark.parametrize("values", [None, [], "s3:bucket"])
def test_what_is_no_dictionary_is_refused(values):
    [(sentence, hint)] = problems(values)

    assert "must be a dictionary" in sentence
    assert "REMOTE" in hint


def test_all_mistakes_are_named_at_once():
    found = problems({"RMOTE": 1, "SAFETY_BACKUP": "no"})

    assert len(found) == 3


@pytest.mark.parametrize(
    "values",
    [
        {"DB_CLEANUP_KEEP": 0},
        {"DB_CLEANUP_KEEP": -1},
        {"DB_CLEANUP_KEEP": 0, "RETENTION": {"daily": 7}},
        {"DB_CLEANUP_KEEP": 0, "RETENTION": {"last": 5}},
        {"RETENTION": {"last": 0}},
        {"RETENTION": {"daily": -7}},
        {"RETENTION": {"min_keep": 0}},
    ],
)
def test_retention_that_could_keep_nothing_is_refused(values):
    [(sentence, hint)] = problems(REMOTE | values)

    assert sentence == "The retention rules would not keep any backup."
    assert "1 or more" in hint


@pytest.mark.parametrize(
    "values",
    [
        {"MEDIA_BACKUP_DIR": ""},
        {"MEDIA_BACKUP_DIR": "backups", "DB_BACKUP_DIR": "backups/db"},
        {"MEDIA_BACKUP_DIR": "db/"},
        {"MEDIA_VERSIONS_DIR": "media/versions"},
        {"MEDIA_VERSIONS_DIR": "db"},
        {"MEDIA_VERSIONS_DIR": ""},
    ],
)
def test_folders_that_lie_in_each_other_are_refused(values):
    [(sentence, hint)] = problems(REMOTE | values)

    assert "are nested" in sentence
    assert "MEDIA_BACKUP_DIR" in hint


@pytest.mark.parametrize(
    "values", [{"DB_BACKUP_DIR": ""}, {"DB_BACKUP_DIR": "media-db"}, {"MEDIA_BACKUP_DIR": "db/media"}]
)
def test_folders_beside_each_other_are_fine(values):
    assert problems(REMOTE | values) == []


def test_retention_with_a_part_of_a_backup_is_refused():
    [(sentence, _)] = problems(REMOTE | {"RETENTION": {"last": 2.5}})

    assert "not an integer" in sentence


def test_unknown_rule_of_the_retention_is_named_with_what_was_meant():
    [(sentence, hint)] = problems(REMOTE | {"RETENTION": {"dayly": 7}})

    assert "unknown rule “dayly”" in sentence
    assert hint == "Did you mean “daily”?"


def test_last_of_the_retention_goes_before_db_cleanup_keep():
    values = REMOTE | {"DB_CLEANUP_KEEP": 3, "RETENTION": {"last": 5, "daily": 7, "within_days": 0.5}}
    with override_settings(DJANGO_RCLONE=values):
        policy = get_settings().policy

    assert (policy.last, policy.daily, policy.within_days) == (5, 7, 0.5)


@pytest.mark.parametrize(
    "values, name",
    [
        ({"DB_FILENAME_TEMPLATE": "{datetime}.{ext}"}, "DB_FILENAME_TEMPLATE"),
        ({"DB_FILENAME_TEMPLATE": "{database}/{datetime}.{ext}"}, "DB_FILENAME_TEMPLATE"),
        ({"DB_DATE_FORMAT": "%c"}, "DB_DATE_FORMAT"),
        ({"DB_DATE_FORMAT": "%H%M"}, "DB_DATE_FORMAT"),
        ({"DB_FILENAME_TEMPLATE": "{database}-\ud800{datetime}.{ext}"}, "DB_FILENAME_TEMPLATE"),
        ({"DB_DATE_FORMAT": "%Y%m%d\ud800"}, "DB_DATE_FORMAT"),
    ],
)
def test_names_that_cannot_be_read_back_are_refused(values, name):
    [(sentence, hint)] = problems(REMOTE | values)

    assert name in sentence
    assert hint


@pytest.mark.parametrize(
    "values", [{"COMPRESSION_LEVEL": 23}, {"COMPRESSION": "gzip", "COMPRESSION_LEVEL": 10}]
)
def test_level_that_the_compression_does_not_have_is_refused(values):
    [(sentence, hint)] = problems(REMOTE | values)

    assert "COMPRESSION_LEVEL" in sentence
    assert "Use a number from" in hint


def test_settings_are_read_anew_when_they_change():
    with override_settings(DJANGO_RCLONE=REMOTE):
        before = get_settings()
        assert get_settings() is before
        with override_settings(DJANGO_RCLONE=REMOTE | {"DB_BACKUP_DIR": "elsewhere"}):
            assert get_settings().db_backup_dir == "elsewhere"
        assert get_settings() == before


def test_mistake_is_raised_at_use_with_its_hint():
    with override_settings(DJANGO_RCLONE={"RMOTE": "x"}), pytest.raises(ImproperlyConfigured) as caught:
        get_settings()

    assert "unknown key “RMOTE”" in str(caught.value)
    assert "Did you mean “REMOTE”?" in str(caught.value)


def test_mistakes_are_errors_of_the_system_check():
    with override_settings(DJANGO_RCLONE={"REMTOE": "x", "SAFETY_BACKUP": 1}):
        found = [
            each
            for each in checks.run_checks(tags=["django_rclone_admin"])
            if each.id == "django_rclone_admin.E001"
        ]

    assert len(found) == 3
    assert all(isinstance(each, checks.Error) and each.hint for each in found)


def test_good_settings_pass_the_system_check():
    assert [
        each
        for each in checks.run_checks(tags=["django_rclone_admin"])
        if each.id == "django_rclone_admin.E001"
    ] == []


def test_settings_do_not_show_their_secrets():
    values = REMOTE | {"RCLONE_ENV": {"RCLONE_CONFIG_S3_SECRET_ACCESS_KEY": "hunter2"}}
    with override_settings(DJANGO_RCLONE=values):
        assert "hunter2" not in repr(get_settings())


GOOD_CHECKS = [
    {"default": ["shop.checks.has_orders", {"shop.Order": {"min_rows": 0, "newest": ("at", 1.5)}}]},
    {"default": {"shop.Order": {"newest": ["at", 24]}}, "analytics": []},
]
BAD_CHECKS = [
    [], {"default": "shop.checks.has_orders"}, {"default": [5]}, {"default": ["has_orders"]}, {"default": [{"Order": {}}]},
    {"default": ["shop..checks"]}, {"default": {"shop.Order": {"min_row": 1}}}, {"default": {"shop.Order": {"min_rows": -1}}},
    {"default": {"shop.Order": {"min_rows": True}}}, {"default": {"shop.Order": {"newest": 24}}}, {"default": {"shop.Order": 5}},
    {"default": {"shop.Order": {"newest": ("at", "24")}}}, {"default": {"shop.Order": {"newest": ("", 24)}}},
]  # fmt: skip


@pytest.mark.parametrize("checks", GOOD_CHECKS, ids=str)
def test_checks_of_the_site_are_taken(checks):
    assert problems({"REMOTE": "x:", "VERIFY_CHECKS": checks}) == []


@pytest.mark.parametrize("checks", BAD_CHECKS, ids=str)
def test_checks_of_the_site_of_another_shape_are_refused_with_a_hint(checks):
    [(sentence, hint)] = problems({"REMOTE": "x:", "VERIFY_CHECKS": checks})

    assert "VERIFY_CHECKS" in sentence
    assert hint


@pytest.mark.parametrize("folder", ["checks", "checks/media", "/checks/"])
@pytest.mark.parametrize("key", ["MEDIA_BACKUP_DIR", "MEDIA_VERSIONS_DIR"])
def test_folder_of_the_records_is_not_for_media(key, folder):
    assert problems({"REMOTE": "x:", key: folder})
