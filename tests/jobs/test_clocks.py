"""Clocks that were wrong, or are: what a run has just made stays, and nobody takes the past for the present."""

import json
from datetime import UTC, datetime, timedelta
from itertools import product
from pathlib import Path

import pytest
from django.utils import timezone

from django_rclone_admin import api
from django_rclone_admin.health.levels import Level
from tests.support.backups import DAY, manifest_of
from tests.support.commands import document, done

FUTURE = [f"default-2097-11-25-12000{second}.sqlite3.zst" for second in range(3)]


def put(shop, name, *, size=100, **values):
    """Put a backup there that nobody took; ``values`` are what its manifest says instead of the usual."""
    taken_at = datetime.strptime(name[8:25], "%Y-%m-%d-%H%M%S").replace(tzinfo=UTC)
    shop.remote.write(f"db/{name}", bytes(size))
    manifest = manifest_of(name, "default", taken_at, size, **values).to_bytes()
    shop.remote.write(f"db/{name}.manifest.json", manifest)


def backups(shop):
    return sorted(name for name in shop.remote.names("db") if not name.endswith(".json"))


@pytest.mark.parametrize(
    "rules",
    [
        pytest.param({"DB_CLEANUP_KEEP": 1}, marks=pytest.mark.soak),  # which the next test has, too
        pytest.param({"DB_CLEANUP_KEEP": 2}, marks=pytest.mark.soak),
        {"RETENTION": {"last": 0, "daily": 1}},
        pytest.param({"RETENTION": {"last": 0, "within_days": 1}}, marks=pytest.mark.soak),
    ],
    ids=str,
)
def test_clean_up_keeps_what_its_run_made_whatever_the_names_say(make_shop, rules):
    shop = make_shop(**rules)
    for name in FUTURE:
        put(shop, name)

    run = document(shop, "dbbackup", "--clean")
    run = run if isinstance(run, dict) else run[0]

    assert set(backups(shop)) == {run["path"], *(f"db/{name}" for name in FUTURE)}


def test_clean_up_under_a_clock_that_went_back_keeps_what_its_run_made(make_shop):
    """The names of all others are minutes ahead, as the clock was until a moment ago: too little to look wrong."""
    shop = make_shop(DB_CLEANUP_KEEP=1)
    soon = timezone.now() + timedelta(minutes=5)
    ahead = f"default-{soon:%Y-%m-%d-%H%M%S}.sqlite3.zst"
    put(shop, ahead)

    run = document(shop, "dbbackup", "--clean")

    assert set(backups(shop)) == {run["path"], f"db/{ahead}"}


@pytest.mark.backed_up
def test_restore_takes_the_newest_one_with_a_time_that_has_come(shop):
    for name in FUTURE:
        put(shop, name)
    shop.execute("DELETE FROM shop_orderline")

    said = done(shop, "dbrestore", "--noinput", "--no-safety-backup")

    assert Path(shop.backup).name in said


@pytest.mark.django_db
class TestHealth:
    @pytest.fixture(autouse=True)
    def future(self, backups):
        for name in FUTURE:
            backups.put(datetime(2097, 11, 25, 12, 0, int(name[24]), tzinfo=UTC), name=name)

    def test_time_in_the_future_is_a_warning(self, backups):
        backups.put(timezone.now() - timedelta(hours=1))

        [health] = [each for each in api.health().databases if each.database == "default"]

        assert (health.level, "3 backups have a time in the future" in health.reason) == (Level.WARNING, True)
        assert health.last.name == Path(backups.paths[-1]).name

    def test_time_in_the_future_does_not_hide_that_the_last_backup_is_old(self, backups):
        backups.put(DAY - timedelta(days=300))

        [health] = [each for each in api.health().databases if each.database == "default"]

        assert (health.level, "old" in health.reason) == (Level.CRITICAL, True)

    def test_nothing_but_times_in_the_future_is_no_backup_to_rely_on(self, backups):
        [health] = [each for each in api.health().databases if each.database == "default"]

        assert (health.level, health.last) == (Level.CRITICAL, None)


NONSENSE = (
    "0001-01-01T00:00:00+00:00",
    "9999-12-31T23:59:59.999999+00:00",
    "0001-01-01T00:00:00+14:00",
    5,
    None,
    [],
    True,
)
"""What no backup can have as its time."""

RESTORE = """
from django.core.management import CommandError, call_command
for arguments in {}:
    try:
        call_command("dbrestore", "--noinput", *arguments, verbosity=0)
    except CommandError as error:
        print(error.returncode)
"""
"""Tries to restore with each of these arguments, and shows the exit codes. Any other error would end it."""


def test_nonsense_in_a_manifest_is_damage_and_no_traceback(shop):
    names = []
    for number, (value, field) in enumerate(product(NONSENSE, ("taken_at", "finished_at"))):
        name = f"default-2026-11-20-0830{number:02}.sqlite3.zst"
        put(shop, name)
        path = f"db/{name}.manifest.json"
        shop.remote.write(path, json.dumps(json.loads(shop.remote.read(path)) | {field: value}).encode())
        names.append(name)

    assert {each["name"]: each["state"] for each in document(shop, "listbackups")} == dict.fromkeys(
        names, "damaged"
    )
    several = [[], *(["--input-path", name] for name in names[::9])]
    result = shop.manage("shell", "--verbosity=0", "-c", RESTORE.format(several))
    assert (result.code, result.out.split()) == (0, ["1"] * len(several)), result.err
    document(shop, "dbbackup", "--clean")
    assert shop.manage("checkbackups").code in (0, 1, 2)
