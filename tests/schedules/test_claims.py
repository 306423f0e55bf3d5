"""Which schedules run, and how often: missed times, pauses, edits, clocks, and mistakes in a schedule."""

import hashlib
import json
from collections import Counter
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from io import StringIO
from typing import Any

import pytest
from django.core.exceptions import ValidationError
from django.core.management import CommandError, call_command
from django.db.models import Max

from django_rclone_admin import api, clock, signals
from django_rclone_admin.models import BackupRun, BackupSchedule, Kind, Status, Trigger
from django_rclone_admin.schedules import beating, due, work
from tests.support.waiting import wait_for

pytestmark = pytest.mark.django_db(databases=["default", "analytics"], transaction=True)

TWO = datetime(2026, 11, 20, 2, 0, tzinfo=UTC)
"""A time of the schedules of this module."""
MINUTE, HOUR, DAY = timedelta(minutes=1), timedelta(hours=1), timedelta(days=1)


@pytest.fixture
def now(monkeypatch, quick_looks) -> Callable[[datetime], None]:
    """Set the clock, which nothing real can set here."""
    holder = [TWO - HOUR]
    monkeypatch.setattr(clock, "now", lambda: holder[0])
    return lambda moment: holder.__setitem__(0, moment)


def make(**values: Any) -> BackupSchedule:
    usual = {"name": "nightly", "cron": "0 2 * * *", "databases": ["analytics"], "media": False}
    return BackupSchedule.objects.create(**{**usual, "last_due_at": clock.now(), **values})


def make_cheap(**values: Any) -> BackupSchedule:
    """Make a schedule for a test of its times alone: a clean-up asks less of rclone than a backup."""
    return make(**{"action": "prune", **values})


def run_pass(code: int = 0) -> tuple[str, str]:
    """Run a pass that ends with this exit code, and return what it printed on both outputs."""
    out, err = StringIO(), StringIO()
    ended = 0
    try:
        call_command("runschedules", stdout=out, stderr=err)
    except CommandError as error:
        ended = error.returncode
        err.write(str(error))
    assert ended == code, err.getvalue()
    return out.getvalue(), err.getvalue()


def count(kind: Kind = Kind.DB_BACKUP) -> int:
    return BackupRun.objects.filter(kind=kind).count()


def runs_by_schedule() -> dict[str, int]:
    """Return how many runs there are of each schedule, by its name."""
    return dict(Counter(BackupRun.objects.values_list("requested_by", flat=True)))


def test_schedule_runs_once_at_its_time_and_says_so(now):
    schedule = make(level="structure", clean=True)
    assert schedule.next_run_at == TWO
    assert run_pass() == ("", "")
    now(TWO - timedelta(seconds=1))
    assert (run_pass(), count()) == (("", ""), 0)
    now(TWO)
    out, _err = run_pass()
    assert out.startswith("nightly: ")
    now(TWO + MINUTE)
    assert (run_pass(), count()) == (("", ""), 1)
    run = BackupRun.objects.get(kind=Kind.DB_BACKUP)
    assert (run.trigger, run.requested_by, run.label) == (Trigger.SCHEDULE, "nightly", "nightly")
    kinds = (
        BackupRun.objects.filter(trigger=Trigger.SCHEDULE)
        .order_by("created_at")
        .values_list("kind", "status")
    )
    # The backup is checked, and old ones go afterwards.
    assert list(kinds) == [("db_backup", "succeeded"), ("verify", "succeeded"), ("prune", "succeeded")]
    schedule.refresh_from_db()
    assert (schedule.last_run, schedule.last_due_at, schedule.next_run_at) == (run.pk, TWO, TWO + DAY)
    assert (schedule.claimed_at, schedule.claimed_by, schedule.problem) == (None, "", "")


def test_week_that_was_missed_is_one_run(now):
    make_cheap()
    now(TWO + 7 * DAY + HOUR)
    run_pass()
    run_pass()
    assert count(Kind.PRUNE) == 1


LAST = {"unknown": None, "long ago": TWO - 9 * DAY, "by a clock far ahead": datetime(2099, 1, 1, tzinfo=UTC)}


def test_time_that_was_dealt_with_last_may_be_anything(now):
    for name, last in LAST.items():
        make_cheap(name=name)
        BackupSchedule.objects.filter(name=name).update(last_due_at=last)
    now(TWO)
    run_pass()
    run_pass()
    assert runs_by_schedule() == dict.fromkeys(LAST, 1)


def test_pause_that_ends_makes_up_for_nothing(now):
    make_cheap(paused_until=TWO + 3 * DAY + HOUR)
    now(TWO + 3 * DAY + 2 * HOUR)
    run_pass()
    assert count(Kind.PRUNE) == 0
    now(TWO + 4 * DAY)
    run_pass()
    assert count(Kind.PRUNE) == 1


RESUMED = {
    "at once": ({"paused_until": TWO + 9 * DAY}, {"paused_until": None}),
    "earlier": ({"paused_until": TWO + 9 * DAY}, {"paused_until": TWO + DAY}),
    "enabled": ({"enabled": False}, {"enabled": True}),
}
"""How a schedule rests, and how it goes on, by a name."""


def test_resume_by_hand_makes_up_for_nothing(now):
    saved = {name: make_cheap(name=f"{name}, saved", **rest) for name, (rest, _resume) in RESUMED.items()}
    updated = {name: make_cheap(name=f"{name}, updated", **rest) for name, (rest, _resume) in RESUMED.items()}
    now(TWO + DAY + HOUR)
    run_pass()  # an update behind the back of the model is seen by the passes alone
    for name, (_rest, resume) in RESUMED.items():
        for field, value in resume.items():
            setattr(saved[name], field, value)
        saved[name].save()
        BackupSchedule.objects.filter(pk=updated[name].pk).update(**resume)
    run_pass()
    assert runs_by_schedule() == {}
    now(TWO + 2 * DAY)
    run_pass()
    assert runs_by_schedule() == {each.name: 1 for each in (*saved.values(), *updated.values())}


def test_new_schedule_does_not_run_for_times_before_it_was_made(backups):
    a_minute = {"cron": "* * * * *", "databases": ["analytics"], "media": False}
    BackupSchedule.objects.create(name="created", **a_minute)
    BackupSchedule.objects.bulk_create([BackupSchedule(name="in bulk", **a_minute)])
    before = BackupSchedule.objects.aggregate(last=Max("last_due_at"))["last"]
    if before.minute == datetime.now(UTC).minute:
        assert due.owed(BackupSchedule.objects.get(name="in bulk"), clock.now()) is None
    assert all(each.last_due_at for each in BackupSchedule.objects.all())


EDITS = {
    "hour": {"cron": "0 1 * * *"},
    "zone": {"time_zone": "Asia/Tokyo"},
    "each minute": {"cron": "* * * * *"},
}


def test_edit_makes_no_earlier_time_due(now):
    schedules = [make_cheap(name=name) for name in EDITS]
    now(TWO)
    run_pass()
    now(TWO + 8 * HOUR)
    for schedule in schedules:
        schedule.refresh_from_db()
        for field, value in EDITS[schedule.name].items():
            setattr(schedule, field, value)
        schedule.save()
    run_pass()
    assert runs_by_schedule() == dict.fromkeys(EDITS, 1)
    for schedule in schedules:
        assert schedule.next_run_at == schedule.next_times(TWO + 8 * HOUR, 1)[0]
    now(TWO + 3 * DAY)
    run_pass()
    assert runs_by_schedule() == dict.fromkeys(EDITS, 2)


def test_edit_of_an_old_copy_does_not_run_the_same_time_again(now):
    make_cheap()
    old = BackupSchedule.objects.get()
    now(TWO)
    run_pass()
    old.name = "renamed"
    old.save()
    run_pass()
    assert count(Kind.PRUNE) == 1
    assert BackupSchedule.objects.get().last_run == BackupRun.objects.get().pk


def test_start_that_is_too_late_is_skipped_and_says_so(now):
    schedule = make_cheap(start_within=30)
    now(TWO + 31 * MINUTE)
    out, _err = run_pass()
    schedule.refresh_from_db()
    assert "Skipped" in out
    assert (count(Kind.PRUNE), "Skipped" in schedule.problem) == (0, True)
    assert run_pass() == ("", "")
    now(TWO + DAY + 30 * MINUTE)
    run_pass()
    schedule.refresh_from_db()
    assert (count(Kind.PRUNE), schedule.problem) == (1, "")


def test_spread_moves_the_start_by_the_same_time_each_day(now):
    for number in range(5):
        make_cheap(name=str(number), spread=50)
    offsets = {each.offset for each in BackupSchedule.objects.all()}
    assert len(offsets) > 1
    assert all(timedelta(0) <= each <= 50 * MINUTE for each in offsets)
    schedule = max(BackupSchedule.objects.all(), key=lambda each: each.offset)
    assert schedule.next_run_at == TWO + schedule.offset
    assert [each - TWO for each in schedule.next_times(TWO - HOUR, 2)] == [
        schedule.offset,
        DAY + schedule.offset,
    ]
    BackupSchedule.objects.exclude(pk=schedule.pk).delete()
    now(TWO + schedule.offset - timedelta(seconds=1))
    run_pass()
    assert count(Kind.PRUNE) == 0
    now(TWO + schedule.offset)
    run_pass()
    assert count(Kind.PRUNE) == 1


def test_clock_that_is_set_back_a_little_does_not_run_it_twice(now):
    make_cheap()
    now(TWO)
    run_pass()
    for moment in (TWO - HOUR, TWO - MINUTE, TWO, TWO + MINUTE):
        now(moment)
        run_pass()
    assert count(Kind.PRUNE) == 1


def test_hour_that_comes_twice_runs_no_minute_again_without_time_zones(now, settings):
    settings.USE_TZ, settings.TIME_ZONE = False, "Europe/Berlin"
    start = datetime(2026, 10, 24, 23, 30, tzinfo=UTC)
    now(start)
    make_cheap(cron="0 * * * *", time_zone="Europe/Berlin", last_due_at=start)
    for minutes in range(0, 240, 30):
        now(start + minutes * MINUTE)
        run_pass()
    # The column can't tell the two hours apart, so one of them may be left out.
    assert count(Kind.PRUNE) in (3, 4)


# -- mistakes ---------------------------------------------------------------------------------------------------------


BROKEN = {
    "words": ({"cron": "every night"}, "“every night” is not a cron expression"),
    "empty": ({"cron": ""}, "“” is not a cron expression"),
    "never": ({"cron": "0 0 31 2 *"}, "“0 0 31 2 *” is not a cron expression"),
    "zone": ({"time_zone": "Europe/Atlantis"}, "There is no time zone “Europe/Atlantis”."),
    "gone": ({"databases": ["gone"]}, "There is no database “gone”."),
    "text": ({"databases": "analytics"}, "The list of databases of this schedule can't be read."),
    "mapping": ({"databases": {"analytics": 1}}, "The list of databases of this schedule can't be read."),
    "numbers": ({"databases": [5, None]}, "The list of databases of this schedule can't be read."),
    "action": ({"action": "dance"}, "“dance” is not an action of a schedule."),
}


def test_broken_schedules_are_one_error_each_and_the_others_go_on(now):
    for name, (values, _expected) in BROKEN.items():
        make(name=name)
        BackupSchedule.objects.filter(name=name).update(**values)
    make_cheap(name="nightly")
    make_cheap(name="a nightly one")
    now(TWO)
    out, err = run_pass(code=1)
    assert "Traceback" not in out + err
    assert sorted(line.partition(":")[0] for line in out.splitlines()) == ["a nightly one", "nightly"]
    assert (count(), count(Kind.PRUNE)) == (0, 2)
    dry = {each["schedule"]: each["problem"] for each in document("--dry-run")}
    for name, (_values, expected) in BROKEN.items():
        [line] = [
            each for each in err.splitlines() if each.startswith((f"{name}: ", f"The schedule “{name}”"))
        ]
        assert expected in line
        assert expected in BackupSchedule.objects.get(name=name).problem
        assert expected in dry[name]
    assert (dry["nightly"], len(err.splitlines())) == ("", len(BROKEN) + 1)  # and one hint


def document(*arguments: str) -> Any:
    out = StringIO()
    call_command("runschedules", *arguments, "--json", stdout=out)
    return json.loads(out.getvalue())


def test_one_database_that_fails_does_not_stop_the_others(now):
    make(databases=["gone", "analytics"])
    now(TWO)
    _out, err = run_pass(code=1)
    assert "gone: There is no database “gone”." in err
    assert count() == 1


def test_model_refuses_what_is_no_schedule(now):
    for values in {"cron": "x"}, {"time_zone": "Nowhere"}:
        with pytest.raises(ValidationError) as raised:
            BackupSchedule(**{"name": "x", "cron": "0 2 * * *", **values}).full_clean()
        assert list(raised.value.message_dict) == list(values)


def test_json_and_dry_run_say_what_is_due_and_change_nothing(now):
    schedule = make_cheap()
    now(TWO + MINUTE)
    expected = {
        "schedule": "nightly",
        "action": "prune",
        "due_at": TWO.isoformat(),
        "next_run_at": (TWO + DAY).isoformat(),
        "problem": "",
    }
    assert document("--dry-run") == [expected]
    assert (BackupRun.objects.count(), due.last_pass()) == (0, None)
    [outcome] = document()
    assert (outcome["result"], outcome["due_at"]) == ("succeeded", TWO.isoformat())
    assert outcome["runs"] == [str(BackupRun.objects.get().pk)]
    assert document() == []
    assert document("--dry-run") == [{**expected, "due_at": None}]
    schedule.refresh_from_db()
    assert due.last_pass() == TWO + MINUTE


def test_preview_without_a_schedule_says_so(now):
    out = StringIO()
    call_command("runschedules", dry_run=True, stdout=out)
    assert "There are no schedules." in out.getvalue()


def test_options_that_exclude_each_other_are_refused(now):
    for other in "dry_run", "json":
        with pytest.raises(CommandError) as raised:
            call_command("runschedules", loop=True, **{other: True}, stdout=StringIO())
        assert raised.value.returncode == 2


# -- locks ------------------------------------------------------------------------------------------------------------


@pytest.fixture
def locked(now, monkeypatch) -> BackupRun:
    """Another run locks the database; nobody has the patience that a real pass has."""
    monkeypatch.setattr(work, "LOOK_AGAIN", 0.01)
    run = BackupRun(kind=Kind.DB_RESTORE, status="running", database="analytics", lock="db:analytics")
    run.heartbeat_at = None
    run.save()
    return run


def test_database_that_is_locked_is_waited_for(locked, now, monkeypatch):
    make_cheap(databases=["analytics", "default"])
    now(TWO)
    attempt, tries = work._attempt, []

    def try_again(*arguments: Any) -> Any:
        tries.append(arguments)
        if len(tries) == 2:
            BackupRun.objects.filter(pk=locked.pk).update(lock=None, status="succeeded")
        return attempt(*arguments)

    monkeypatch.setattr(work, "_attempt", try_again)
    run_pass()
    assert len(tries) == 2
    done = BackupRun.objects.filter(kind=Kind.PRUNE).order_by("created_at")
    assert [run.database for run in done] == ["default", "analytics"]


def test_database_that_stays_locked_is_recorded(locked, now, monkeypatch):
    monkeypatch.setattr(work, "LOCK_PATIENCE", 0.05)
    schedule = make(databases=["analytics", "default"])
    now(TWO)
    _out, err = run_pass(code=1)
    schedule.refresh_from_db()
    assert "“analytics” is locked by a database restore" in err
    assert "“analytics” is locked by a database restore" in schedule.problem
    assert [run.database for run in BackupRun.objects.filter(kind=Kind.DB_BACKUP)] == ["default"]
    assert schedule.last_run == BackupRun.objects.get(kind=Kind.DB_BACKUP).pk


@pytest.mark.parametrize(
    "blocked, values",
    [
        ("read:analytics", {"level": "checksum"}),
        # A clean-up waits as a check does.
        pytest.param("db:analytics", {"clean": True}, marks=pytest.mark.soak),
    ],
)
def test_backup_is_not_made_again_where_what_follows_has_to_wait(now, monkeypatch, blocked, values):
    """Another run takes the lock when the backup has just been made, and keeps it for three tries."""
    monkeypatch.setattr(work, "LOOK_AGAIN", 0.01)
    make(**values)
    now(TWO)
    tries: list[object] = []

    def block(run: BackupRun, **_values: object) -> None:
        if run.kind == Kind.DB_BACKUP:
            BackupRun.objects.create(kind=Kind.OPEN, status="running", database="analytics", lock=blocked)

    follow = work._Backup.__call__

    def call(step: work._Backup) -> None:
        tries.append(step)
        if len(tries) == 3:
            BackupRun.objects.filter(kind=Kind.OPEN).update(lock=None, status="succeeded")
        follow(step)

    monkeypatch.setattr(work._Backup, "__call__", call)
    signals.run_finished.connect(block)
    try:
        run_pass()
    finally:
        signals.run_finished.disconnect(block)
    assert (count(), len(tries)) == (1, 3)
    assert BackupRun.objects.filter(kind__in=[Kind.VERIFY, Kind.PRUNE], status="succeeded").count() == 1


def test_work_of_hours_is_not_taken_for_lost_between_two_runs(now, monkeypatch):
    """A run of two hours has just ended, and the next has not begun: that is when another host looks."""
    monkeypatch.setattr(beating, "BEAT", 0.01)
    make_cheap(databases=["analytics", "default"])
    now(TWO)
    seen: list[bool] = []

    def look(run: BackupRun, **_values: object) -> None:
        now(clock.now() + 2 * HOUR)
        wait_for(lambda: BackupSchedule.objects.get().claimed_at == clock.now())
        seen.append(due.is_lost(BackupSchedule.objects.get(), clock.now()))

    signals.run_finished.connect(look)
    try:
        run_pass()
    finally:
        signals.run_finished.disconnect(look)
    assert seen == [False, False]


# -- health -----------------------------------------------------------------------------------------------------------


def test_schedule_that_nobody_runs_is_overdue(now):
    make_cheap()
    assert (due.last_pass(), due.overdue()) == (None, [])
    now(TWO + 10 * MINUTE)
    assert due.overdue() == []
    now(TWO + 16 * MINUTE)
    [found] = due.overdue()
    assert (found.schedule.name, found.due_at) == ("nightly", TWO)
    assert found.reason == "The schedule “nightly” should have run at 20 Nov 2026, 02:00."
    assert due.overdue(TWO) == []
    BackupSchedule.objects.update(paused_until=TWO + DAY)
    assert due.overdue() == []
    BackupSchedule.objects.update(paused_until=None, enabled=False)
    assert due.overdue() == []
    BackupSchedule.objects.update(enabled=True)
    run_pass()
    assert (due.overdue(), due.last_pass()) == ([], TWO + 16 * MINUTE)


def test_broken_schedule_is_overdue_at_once(now):
    make()
    BackupSchedule.objects.update(cron="nonsense")
    [found] = due.overdue()
    assert "“nonsense” is not a cron expression" in found.reason
    assert found.hint.startswith("It has five fields")


def test_pass_on_another_host_that_went_silent_is_taken_over(now):
    schedule = make_cheap()
    now(TWO)
    other = "other-boot 4026531836 77 1234 1700000000.000000"
    BackupSchedule.objects.update(last_due_at=TWO, claimed_at=TWO, claimed_by=other)
    now(TWO + 4 * MINUTE)
    run_pass()
    assert (count(Kind.PRUNE), due.overdue()) == (0, [])
    now(TWO + 6 * MINUTE)
    assert "its process ended too early" in due.overdue()[0].reason
    run_pass()
    run_pass()
    schedule.refresh_from_db()
    assert (count(Kind.PRUNE), schedule.claimed_at, schedule.problem) == (1, None, "")


def test_pass_that_was_killed_during_its_run_is_closed_and_not_done_again(now):
    schedule = make()
    run = BackupRun.objects.create(kind=Kind.DB_BACKUP, status="interrupted", database="analytics")
    now(TWO + 6 * MINUTE)
    BackupSchedule.objects.update(last_due_at=TWO, claimed_at=TWO, claimed_by="?", last_run=run.pk)
    run_pass()
    schedule.refresh_from_db()
    assert (count(), schedule.claimed_at, schedule.last_run) == (1, None, run.pk)
    assert "stopped unexpectedly" in schedule.problem
    assert api.list_backups() == []


def test_checks_take_what_needs_it_most_and_each_database_by_itself(now, backups):
    sha256 = hashlib.sha256(bytes(100)).hexdigest()
    backups.put(TWO, database="analytics", sha256=sha256)
    make(name="checks", action="verify", cron="0 3 * * *", level="checksum")
    now(TWO + HOUR)
    run_pass()
    [run] = BackupRun.objects.filter(kind=Kind.VERIFY)
    assert (run.status, run.trigger, run.requested_by) == (Status.SUCCEEDED, Trigger.SCHEDULE, "checks")
    [backup] = api.list_backups()
    assert (backup.path, backup.proven) == (run.path, "checksum")
    backups.put(TWO + DAY, database="analytics", sha256=sha256)
    now(TWO + DAY + HOUR)
    printed = run_pass()
    assert BackupRun.objects.filter(kind=Kind.VERIFY).count() == 2, printed


def test_check_that_fails_is_the_error_of_the_schedule_and_removes_nothing(now, backups, monkeypatch):
    schedule = make(level="structure", clean=True)
    # What damages a backup between its end and its check can't be made at the right moment.
    check = api.verify_backup

    def damage(path: str, **values: Any) -> Any:
        backups.remote.write(path, b"x" * len(backups.remote.read(path)))
        return check(path, **values)

    monkeypatch.setattr(api, "verify_backup", damage)
    now(TWO)
    _out, err = run_pass(code=1)
    schedule.refresh_from_db()
    assert "analytics: " in schedule.problem
    assert "Traceback" not in err
    assert not BackupRun.objects.filter(kind=Kind.PRUNE).exists()
