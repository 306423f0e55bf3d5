"""When a schedule runs: cron expressions in time zones, through both changes of a year, against times worked out by hand."""

from datetime import UTC, datetime, timedelta
from itertools import pairwise
from zoneinfo import ZoneInfo

import pytest

from django_rclone_admin.cron import Cron
from django_rclone_admin.exceptions import UsageError

TABLE = """
# Europe/Berlin: 29 March 2026 from 02:00 to 03:00, 25 October 2026 from 03:00 back to 02:00
Europe/Berlin        30 2 * * *      2026-03-28T00:00  03-28T01:30 03-29T01:00 03-30T00:30 03-31T00:30
Europe/Berlin        0 3 * * *       2026-03-28T00:00  03-28T02:00 03-29T01:00 03-30T01:00 03-31T01:00
Europe/Berlin        0,30 2 * * *    2026-03-29T00:00  03-29T01:00 03-30T00:00 03-30T00:30 03-31T00:00
Europe/Berlin        */30 * * * *    2026-03-29T00:20  03-29T00:30 03-29T01:00 03-29T01:30 03-29T02:00
Europe/Berlin        */20 2 * * *    2026-03-28T23:00  03-30T00:00 03-30T00:20 03-30T00:40 03-31T00:00
Europe/Berlin        30 2 * * *      2026-10-24T00:00  10-24T00:30 10-25T00:30 10-26T01:30 10-27T01:30
Europe/Berlin        0 * * * *       2026-10-24T23:30  10-25T00:00 10-25T01:00 10-25T02:00 10-25T03:00
Europe/Berlin        0 4 * * 0       2026-10-20T00:00  10-25T03:00 11-01T03:00 11-08T03:00 11-15T03:00
# America/New_York: 8 March 2026 from 02:00 to 03:00, 1 November 2026 from 02:00 back to 01:00
America/New_York     15 2 * * *      2026-03-07T05:00  03-07T07:15 03-08T07:00 03-09T06:15 03-10T06:15
America/New_York     30 1 * * *      2026-10-31T04:00  10-31T05:30 11-01T05:30 11-02T06:30 11-03T06:30
America/New_York     */30 1 * * *    2026-11-01T04:00  11-01T05:00 11-01T05:30 11-01T06:00 11-01T06:30
America/New_York     0 0 * * *       2026-10-31T00:00  10-31T04:00 11-01T04:00 11-02T05:00 11-03T05:00
# Australia/Lord_Howe, by half an hour: 5 April 2026 from 02:00 back to 01:30, 4 October 2026 from 02:00 to 02:30
Australia/Lord_Howe  45 1 * * *      2026-04-03T16:00  04-04T14:45 04-05T15:15 04-06T15:15 04-07T15:15
Australia/Lord_Howe  */15 1 * * *    2026-04-04T14:20  04-04T14:30 04-04T14:45 04-04T15:00 04-04T15:15
Australia/Lord_Howe  10 2 * * *      2026-10-02T14:00  10-02T15:40 10-03T15:30 10-04T15:10 10-05T15:10
Australia/Lord_Howe  0 */3 * * *     2026-10-03T13:00  10-03T13:30 10-03T16:00 10-03T19:00 10-03T22:00
# Pacific/Chatham, with a quarter of an hour: 5 April 2026 from 03:45 back to 02:45, 27 September 2026 from 02:45 to 03:45
Pacific/Chatham      0 3 * * *       2026-04-03T20:00  04-04T13:15 04-05T14:15 04-06T14:15 04-07T14:15
Pacific/Chatham      0 3 * * *       2026-09-25T20:00  09-26T14:00 09-27T13:15 09-28T13:15 09-29T13:15
# Midnight is left out, a whole day is left out
Africa/Cairo         0 0 * * *       2026-04-22T20:00  04-22T22:00 04-23T22:00 04-24T21:00 04-25T21:00
Pacific/Apia         0 12 * * *      2011-12-28T00:00  12-28T22:00 12-29T22:00 12-30T10:00 12-30T22:00
# Europe/Dublin, where winter is the exception, and no change at all
Europe/Dublin        30 1 * * *      2026-03-28T00:00  03-28T01:30 03-29T01:00 03-30T00:30 03-31T00:30
Asia/Kolkata         30 2 * * *      2026-03-28T22:00  03-29T21:00 03-30T21:00 03-31T21:00 04-01T21:00
Asia/Kathmandu       30 2 * * *      2026-03-28T22:00  03-29T20:45 03-30T20:45 03-31T20:45 04-01T20:45
"""
"""Time zone, expression, from when (UTC), and the next four times (UTC). Two blanks or more stand between columns."""


def rows() -> list[tuple[str, str, datetime, list[datetime]]]:
    found = []
    for line in TABLE.strip().splitlines():
        if not line.startswith("#"):
            zone, expression, start, times = [cell for cell in line.split("  ") if cell.strip()]
            since = datetime.fromisoformat(start.strip()).replace(tzinfo=UTC)
            expected = [
                datetime.fromisoformat(f"{since.year}-{each}").replace(tzinfo=UTC) for each in times.split()
            ]
            found.append((zone, expression.strip(), since, expected))
    return found


@pytest.mark.parametrize("zone, expression, start, expected", rows())
def test_times_are_those_of_the_table(zone, expression, start, expected):
    cron = Cron(expression=expression, time_zone=zone)
    assert cron.upcoming(start, 4) == expected
    assert cron.next(start) == expected[0]
    for earlier, later in pairwise(expected):
        assert cron.last(later) == later
        assert cron.last(later - timedelta(seconds=1)) == earlier
        assert cron.last(earlier + timedelta(microseconds=1)) == earlier


@pytest.mark.parametrize("zone", ["Europe/Berlin", "America/New_York", "Australia/Lord_Howe"])
@pytest.mark.parametrize("expression", ["30 2 * * *", "*/15 * * * *", "0 */3 * * *", "15,45 1-3 * * *"])
def test_last_and_next_agree_through_a_year_of_changes(zone, expression):
    cron = Cron(expression=expression, time_zone=zone)
    for start in (
        datetime(2026, month, day, tzinfo=UTC)
        for month, day in ((3, 7), (3, 28), (4, 4), (10, 3), (10, 24), (10, 31))
    ):
        times = cron.upcoming(start, 40)
        assert times == sorted(set(times))
        for earlier, later in pairwise(times):
            assert cron.last(later - timedelta(seconds=1)) == earlier


def test_a_time_that_the_clock_moves_is_named():
    cron = Cron(expression="30 2 * * *", time_zone="Europe/Berlin")
    [moved] = cron.changes(datetime(2026, 3, 20, tzinfo=UTC), 30)
    assert moved.astimezone(ZoneInfo("Europe/Berlin")).strftime("%d %H:%M") == "29 03:00"
    assert (
        Cron(expression="30 4 * * *", time_zone="Europe/Berlin").changes(
            datetime(2026, 3, 20, tzinfo=UTC), 30
        )
        == []
    )


@pytest.mark.parametrize(
    "expression",
    [
        "",
        "@daily",
        "0 2 * *",
        "0 0 2 * * *",
        "61 * * * *",
        "a b c d e",
        "0 0 31 2 *",
        "0 0 30 2 *",
        "* * * * MON#6",
        "9-1 * * * *",
        "0 0 * * 8",
        "*/0 * * * *",
        "٣ * * * *",
        "0 0 * * *\x00",
        "0 2 * * * # nightly",
    ],
)
def test_what_is_no_expression_is_refused(expression):
    with pytest.raises(UsageError, match="is not a cron expression with a time that ever comes"):
        Cron(expression=expression)


@pytest.mark.parametrize("zone", ["", "Europe", "../etc", "/etc/passwd", "Europe/Wien", "UTC\x00"])
def test_what_is_no_time_zone_is_refused(zone):
    with pytest.raises(UsageError, match="There is no time zone"):
        Cron(expression="0 2 * * *", time_zone=zone)
