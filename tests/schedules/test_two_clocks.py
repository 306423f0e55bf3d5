"""Hosts with different clocks, through the nights in which the clock changes: each time runs once."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from itertools import product

import pytest

from django_rclone_admin import clock
from django_rclone_admin.cron import Cron
from django_rclone_admin.models import BackupSchedule
from django_rclone_admin.schedules import due
from tests.support.matrix import sampled

pytestmark = pytest.mark.django_db

MINUTE, HOUR = timedelta(minutes=1), timedelta(hours=1)
NIGHTS = {
    "Berlin forward": ("Europe/Berlin", datetime(2026, 3, 28, 22, tzinfo=UTC)),
    "Berlin back": ("Europe/Berlin", datetime(2026, 10, 24, 22, tzinfo=UTC)),
    "Lord Howe forward": ("Australia/Lord_Howe", datetime(2026, 10, 3, 12, tzinfo=UTC)),
    "Lord Howe back": ("Australia/Lord_Howe", datetime(2026, 4, 4, 12, tzinfo=UTC)),
}
"""A time zone, and a moment before its clock changes."""


@pytest.fixture
def look(monkeypatch):
    """Look at the schedule with a clock, which nothing real can set here; return the time that it runs for, if any."""
    holder = [datetime(2026, 1, 1, tzinfo=UTC)]
    monkeypatch.setattr(clock, "now", lambda: holder[-1])

    def look(moment: datetime) -> datetime | None:
        holder.append(moment)
        schedule = BackupSchedule.objects.get()
        at = due.owed(schedule, moment)
        if at is None:
            return None
        claim = due.claim(schedule, at)
        assert claim
        claim.end()
        return at

    return look


def night(start: datetime, step: timedelta) -> Iterator[datetime]:
    moment = start
    while moment < start + 9 * HOUR:
        yield moment
        moment += step


EACH_NIGHT, EACH_QUARTER, THREE_HOURS = "30 2 * * *", "*/15 * * * *", "5 1-3 * * *"
HARDEST = (
    *((name, EACH_NIGHT) for name in NIGHTS),
    *((name, EACH_QUARTER) for name in ("Berlin forward", "Lord Howe back")),
    *((name, THREE_HOURS) for name in ("Berlin back", "Lord Howe forward")),
)


@pytest.mark.parametrize(
    "name, expression", sampled(product(NIGHTS, (EACH_NIGHT, EACH_QUARTER, THREE_HOURS)), *HARDEST)
)
def test_two_hosts_with_different_clocks_run_each_time_once(look, name, expression):
    zone, start = NIGHTS[name]
    BackupSchedule.objects.create(name="it", cron=expression, time_zone=zone, last_due_at=start)
    expected = Cron(expression=expression, time_zone=zone).upcoming(start, 50)

    ran = [
        at
        for moment in night(start, 3 * MINUTE)
        for host in (moment + 2 * MINUTE, moment - 2 * MINUTE)
        if (at := look(host))
    ]

    assert ran == [each for each in expected if each < start + 9 * HOUR]
    assert len(ran) >= 1


@pytest.mark.parametrize("name", NIGHTS)
def test_spread_start_comes_once_in_a_night_in_which_the_clock_changes(look, name):
    zone, start = NIGHTS[name]
    schedule = BackupSchedule.objects.create(
        name="it", cron="30 2 * * *", time_zone=zone, spread=90, last_due_at=start
    )
    [expected] = Cron(expression="30 2 * * *", time_zone=zone).upcoming(start, 1)

    ran = [at for moment in night(start, 7 * MINUTE) if (at := look(moment))]

    assert ran == [expected + schedule.offset]


def test_claim_of_a_dead_host_whose_clock_was_far_ahead_is_lost(look):
    start = datetime(2026, 11, 20, 2, tzinfo=UTC)
    values = {"claimed_at": start + timedelta(days=10), "claimed_by": "elsewhere 1"}
    schedule = BackupSchedule.objects.create(name="it", cron="0 2 * * *", last_due_at=start, **values)
    assert due.is_lost(schedule, start + MINUTE)
    assert [each.schedule for each in due.overdue(start + MINUTE)] == [schedule]
    assert due.retake(schedule)
