"""`checkbackups` is a monitoring plugin: its words, its numbers and its exit codes."""

import json
import re
from datetime import timedelta

import pytest
from django.utils import timezone

from django_rclone_admin.models import BackupRun, SiteHealth
from tests.support.backups import Backups
from tests.support.verdicts import checkbackups, drop_table

pytestmark = pytest.mark.django_db(databases=["default"])

HOUR = timedelta(hours=1)


@pytest.fixture(autouse=True)
def only_default(backups: Backups, quick_looks: None) -> None:
    backups.configure(DATABASES=["default"])


def put(backups, age=HOUR, **values):
    return backups.put(timezone.now() - age, **values)


def test_well_backed_up_site_is_ok_with_performance_data(backups):
    put(backups, 2 * HOUR)
    found = checkbackups()
    assert found.code == 0
    first, *others = found.output.splitlines()
    words, _bar, numbers = first.partition(" | ")
    assert words == "BACKUPS OK - Protected. 1 database, backed up less than 3 hours ago."
    assert re.match(r"'default_age'=72\d\ds;;93600;0 'default_size'=100B;;;0( 'free'=\d+B;;;0)?$", numbers)
    assert others == []


@pytest.mark.parametrize(
    "age, values, code, word",
    [
        (HOUR, {"manifest": False}, 1, "WARNING"),
        (27 * HOUR, {}, 2, "CRITICAL"),
    ],
    ids=["warning", "critical"],
)
def test_exit_code_is_that_of_the_state(backups, age, values, code, word):
    put(backups, age, **values)
    found = checkbackups()
    assert (found.code, found.output.split()[1]) == (code, word)
    assert re.search(rf"^{word} \w+ \(default\): .+\.", found.output, re.MULTILINE)


def test_no_backup_has_undetermined_numbers(backups):
    found = checkbackups()
    assert found.code == 2
    assert "'default_age'=U 'default_size'=U" in found.output


def test_limit_on_the_command_line_holds_this_time_only(backups):
    put(backups, 3 * HOUR)
    backups.configure(HEALTH={"default": {"max_age_hours": 26}})
    assert checkbackups("--max-age", "2").code == 2
    assert checkbackups("--max-age", "0.5", database="default").code == 2
    assert checkbackups().code == 0


def test_one_database_is_judged_alone(backups):
    backups.configure(DATABASES=["default", "analytics"])
    put(backups)
    assert checkbackups().code == 2
    alone = checkbackups("-d", "default")
    assert (alone.code, "analytics" in alone.output) == (0, False)
    assert checkbackups(database=["default", "analytics"]).code == 2


def test_it_sees_what_was_moved_away_a_moment_ago(backups):
    put(backups)
    assert checkbackups().code == 0
    for file in (backups.remote.root / "db").iterdir():
        file.unlink()
    assert checkbackups().code == 2


def test_remote_that_is_down_is_critical_with_what_was_known(backups):
    put(backups, 2 * HOUR)
    checkbackups()
    backups.take_down()
    # The kept answer is of another remote: only that one may be judged by it.
    found = checkbackups()
    assert (found.code, found.output[:46]) == (2, "BACKUPS CRITICAL - The remote does not answer.")


def test_answer_of_the_last_look_stays_when_rclone_goes_away(backups, tmp_path):
    put(backups, 2 * HOUR)
    checkbackups()
    backups.configure(RCLONE_BINARY=str(tmp_path / "gone"))
    found = checkbackups()
    assert found.code == 2
    assert "CRITICAL no_rclone: " in found.output
    assert re.search(r"'default_age'=72\d\ds", found.output)


def test_missing_history_is_a_warning_and_the_rest_is_judged(backups):
    put(backups)
    for model in (BackupRun, SiteHealth):
        drop_table(model)
    found = checkbackups()
    assert (found.code, "no_history" in found.output) == (1, True)
    put(backups, size=0, database="default")
    backups.configure(HEALTH={"max_age_hours": 0.5})
    assert checkbackups().code == 2


@pytest.mark.parametrize(
    "arguments, values",
    [(["-d", "defualt"], {}), ([], {"HEALTH": {"max_age_hour": 1}})],
    ids=["alias", "settings"],
)
def test_wrong_usage_is_unknown_and_says_so_where_monitors_read(backups, arguments, values):
    backups.configure(**values)
    found = checkbackups(*arguments)
    assert found.code == 3
    assert found.output.startswith("BACKUPS UNKNOWN - ")
    assert "Did you mean" in found.output
    assert "error" in json.loads(checkbackups(*arguments, "--json").output)


def test_json_is_the_document_of_the_page(backups):
    put(backups, 2 * HOUR)
    document = json.loads(checkbackups("--json").output)
    assert (document["status"], document["level"], document["findings"]) == ("pass", "ok", [])
    assert 7200 <= document["checks"]["default:age"][0]["observedValue"] < 7300


def test_names_and_messages_can_not_forge_numbers(backups):
    run = BackupRun.objects.create(
        kind="db_backup", status="failed", database="default", message="no | 'default_age'=1s\nOK"
    )
    found = checkbackups()
    assert run.status == "failed"
    assert found.output.splitlines()[0].count("|") == 1
    assert [line.count("|") for line in found.output.splitlines()[1:]] == [0] * (found.output.count("\n") - 1)
