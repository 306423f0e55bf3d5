"""When backups will go, if further ones come as they have come."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from django_rclone_admin.core.catalog import StoredObject
from django_rclone_admin.core.forecast import forecast, rhythm
from django_rclone_admin.core.retention import RetentionPolicy
from django_rclone_admin.core.states import State

NOW = datetime(2026, 11, 26, 3, 0, tzinfo=UTC)
DAY = timedelta(days=1)


def backup(age: timedelta, **values: Any) -> StoredObject:
    taken_at = NOW - age
    name = f"default-{taken_at:%Y-%m-%d-%H%M%S}.dump"
    usual = {"size": 100, "state": State.COMPLETE, "database": "default", "taken_at": taken_at}
    return StoredObject(**{"name": name, "path": f"db/{name}", **usual, **values})


def days(found: dict[str, datetime], backups: list[StoredObject]) -> list[float | None]:
    """Return in how many days each backup goes, the newest first."""
    return [(found[each.name] - NOW) / DAY if each.name in found else None for each in backups]


def test_last_three_go_one_by_one():
    backups = [backup(DAY * age) for age in range(5)]
    found = forecast(backups, RetentionPolicy(last=3), NOW, every=DAY)
    assert days(found, backups) == [3, 2, 1, 0, 0]


def test_rule_for_months_keeps_the_newest_of_each():
    backups = [backup(DAY * age) for age in (0, 1, 40)]
    found = forecast(backups, RetentionPolicy(last=2, monthly=2), NOW, every=DAY)
    newest, yesterday, october = days(found, backups)
    assert (newest, yesterday) == (2, 1)
    assert october == 5  # 1 December is the second month after it


@pytest.mark.parametrize("values", [{"pinned": True}, {"state": State.DAMAGED}])
def test_what_no_rule_removes_stays(values):
    backups = [backup(timedelta(0)), backup(9 * DAY, **values)]
    assert days(forecast(backups, RetentionPolicy(last=1), NOW, every=DAY), backups) == [1, None]


def test_nothing_is_said_of_no_backups():
    assert forecast([], RetentionPolicy(last=1), NOW, every=DAY) == {}


def test_rhythm_is_the_usual_gap():
    assert rhythm([backup(DAY * age) for age in (0, 1, 2, 9)]) == DAY
    assert rhythm([backup(timedelta(0))]) == DAY
    assert rhythm([backup(timedelta(minutes=age)) for age in (0, 1, 2)]) == timedelta(hours=1)
