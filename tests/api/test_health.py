"""Is the site safe? What the health panel says of one database, for all that can be the matter with its backups."""

from datetime import timedelta
from typing import Any

import pytest
from django.utils import timezone

from django_rclone_admin import api
from django_rclone_admin.conf import problems
from django_rclone_admin.health.levels import Level
from django_rclone_admin.health.limits import HIGHEST
from django_rclone_admin.models import BackupRun, Kind, Status
from tests.support.backups import Backups

pytestmark = pytest.mark.django_db(databases=["default"])

HOUR = timedelta(hours=1)


@pytest.fixture(autouse=True)
def only_default(backups: Backups) -> None:
    backups.configure(DATABASES=["default"])


def put(backups: Backups, age: timedelta = HOUR, **values: Any) -> str:
    return backups.put(timezone.now() - age, **values)


def end_run(status: str, age: timedelta = timedelta(0)) -> None:
    run = BackupRun.objects.create(kind=Kind.DB_BACKUP, status=status, database="default")
    BackupRun.objects.filter(pk=run.pk).update(created_at=timezone.now() - age)


def judge() -> tuple[Level, str]:
    [found] = api.health().databases
    return found.level, found.reason.replace("\xa0", " ")


def test_young_whole_backup_is_all_it_takes(backups):
    put(backups)
    assert judge() == (Level.OK, "")
    assert api.health().sentence == "Protected."


def test_no_backup_is_a_danger(backups):
    assert judge() == (Level.CRITICAL, "There is no backup.")
    assert api.health().detail == "default: There is no backup."


def test_old_backup_is_a_danger(backups):
    put(backups, 27 * HOUR)
    assert judge() == (Level.CRITICAL, "The last backup is 1 day, 3 hours old; the limit is 26 hours.")
    backups.configure(HEALTH={"max_age_hours": 48})
    assert judge() == (Level.OK, "")
    backups.configure(HEALTH={"max_age_hours": 48, "default": {"max_age_hours": 1}})
    assert judge()[0] == Level.CRITICAL


def test_backup_that_is_too_small_is_a_danger(backups):
    backups.configure(HEALTH={"min_size": 1000})
    put(backups, size=999)
    assert judge() == (Level.CRITICAL, "The last backup is too small.")


def test_highest_limits_that_settings_may_have_are_judged(backups):
    backups.configure(HEALTH=HIGHEST)
    put(backups)
    assert judge() == (Level.CRITICAL, "The last backup is too small.")
    backups.configure(HEALTH=HIGHEST | {"min_size": 0})
    assert judge() == (Level.OK, "")


def test_damaged_backup_is_no_backup(backups):
    path = put(backups)
    backups.remote.write(path, b"cut")
    assert judge() == (Level.CRITICAL, "There is no backup.")
    put(backups, 2 * HOUR)
    api.refresh()
    assert judge() == (Level.WARNING, "The newest backup is damaged; an older one is good.")


def test_backup_that_shrank_deserves_a_look(backups):
    put(backups, 2 * HOUR, size=1000)
    put(backups, size=499)
    assert judge() == (Level.WARNING, "The last backup is much smaller than the previous one.")
    backups.configure(HEALTH={"max_size_drop_percent": 60})
    assert judge() == (Level.OK, "")


def test_backup_without_a_manifest_deserves_a_look(backups):
    put(backups, manifest=False)
    assert judge() == (Level.WARNING, "The last backup can't be checked: its manifest is missing.")


@pytest.mark.parametrize("status", [Status.FAILED, Status.INTERRUPTED])
def test_run_that_failed_since_deserves_a_look(backups, status):
    put(backups)
    end_run(status, 2 * HOUR)
    assert judge() == (Level.OK, "")
    end_run(status)
    assert judge() == (Level.WARNING, "The last run did not succeed.")


def test_run_that_was_cancelled_or_has_not_ended_is_no_failure(backups):
    put(backups)
    for status in Status.CANCELLED, Status.QUEUED, Status.RUNNING:
        end_run(status)
        assert judge() == (Level.OK, "")


def test_backups_of_other_databases_do_not_count(backups):
    put(backups, database="analytics")
    assert judge() == (Level.CRITICAL, "There is no backup.")


def test_answer_after_a_run_knows_its_backup_without_asking_the_remote(backups, tmp_path):
    api.health()
    backups.count_calls(tmp_path)
    api.backup_database("default")
    made_by_the_run = len(backups.calls())
    known = api.last_health()
    assert backups.calls() == []
    assert made_by_the_run == 6
    assert (known.level, known.databases[0].last.path[:11]) == (Level.OK, "db/default-")
    assert known.databases[0].findings == api.health().databases[0].findings == []


def test_kept_backup_grows_too_old_by_itself(backups):
    put(backups, 25 * HOUR)
    api.health()
    assert api.last_health().level == Level.OK
    backups.configure(HEALTH={"max_age_hours": 24})
    assert [each.rule for each in api.last_health().findings] == ["old", "no_schedule"]


def test_nothing_known_is_unknown_and_not_well(backups):
    known = api.last_health()
    assert (known.level, [each.rule for each in known.findings]) == (Level.UNKNOWN, ["no_answer"])


def test_last_known_state_is_judged_while_the_remote_is_down(backups):
    put(backups)
    api.health()
    backups.take_down()
    found = api.health()
    assert found.level == Level.CRITICAL
    assert found.sentence == "The remote does not answer."


@pytest.mark.parametrize(
    "health, words",
    [
        ({"max_age_hour": 3}, "“max_age_hours”"),
        ({"default": {"min_sise": 3}}, "“min_size”"),
        ({"defualt": {}}, "“default”"),
        ({"ignore": ["no_shedule"]}, "“no_schedule”"),
        ({"max_age_hours": "26"}, "must be a number"),
        ({"max_age_hours": True}, "must be a number"),
        ({"default": 5}, "dictionary of limits"),
        ({"token": ""}, "random text"),
    ],
    ids=str,
)
def test_impossible_health_is_refused_with_what_was_meant(health, words):
    [(sentence, hint)] = problems({"REMOTE": "x:", "HEALTH": health})
    assert "HEALTH" in sentence
    assert words in hint
