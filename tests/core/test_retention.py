"""Retention decides what to keep, with a reason for each, and never puts the last good backup at risk."""

import dataclasses
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from django_rclone_admin.core.catalog import StoredObject
from django_rclone_admin.core.manifest import Manifest
from django_rclone_admin.core.retention import SAFETY_PERIOD, RetentionPolicy, decide
from django_rclone_admin.core.states import State
from django_rclone_admin.exceptions import UsageError
from tests.support.engine import NAMING

NOW = datetime(2026, 11, 22, 12, 0, tzinfo=UTC)


def backup(taken_at, state=State.COMPLETE, *, pinned=False, trigger="schedule", number=1):
    """Return a backup as the catalog would list it; ``taken_at`` may be hours before now."""
    if not isinstance(taken_at, datetime):
        taken_at = NOW - timedelta(hours=taken_at)
    name = NAMING.render(database="default", taken_at=taken_at, extension="dump", number=number)
    manifest = None
    if state is State.COMPLETE:
        manifest = Manifest(
            name=name, database="default", engine="sqlite", connector="", taken_at=taken_at,
            finished_at=taken_at, size=1, raw_size=1, sha256="", trigger=trigger,
        )  # fmt: skip
    return StoredObject(
        name=name, path=f"db/{name}", size=1, state=state, database="default", taken_at=taken_at,
        number=number, pinned=pinned, has_manifest=manifest is not None, manifest=manifest,
    )  # fmt: skip


def kept(backups, now=NOW, **rules):
    """Return what a policy with only these rules keeps, with the reasons, newest first."""
    decisions = decide(backups, RetentionPolicy(**{"last": 0, **rules}), now)
    return [(each.backup, each.reasons) for each in decisions if each.keep]


counts = st.integers(0, 4)
policies = st.builds(
    RetentionPolicy, last=st.integers(1, 4), hourly=counts, daily=counts, weekly=counts, monthly=counts,
    yearly=counts, within_days=st.sampled_from([0, 0.5, 3, 40]), min_keep=st.integers(1, 4),
)  # fmt: skip
one_backup = st.builds(
    backup,
    st.integers(-3, 24 * 800),
    st.sampled_from([State.COMPLETE, State.COMPLETE, State.COMPLETE, State.LEGACY, State.DAMAGED]),
    pinned=st.sampled_from([False, False, False, True]),
    trigger=st.sampled_from(["schedule", "schedule", "safety"]),
    number=st.integers(1, 3),
)
listings = st.lists(one_backup, max_size=40, unique_by=lambda each: each.name)


def split(decisions):
    keep = {each.backup.name for each in decisions if each.keep}
    return [each.backup for each in decisions if each.keep], [
        each.backup for each in decisions if each.backup.name not in keep
    ]


@given(backups=listings, policy=policies)
def test_each_backup_is_decided_on_once_with_a_reason_newest_first(backups, policy):
    decisions = decide(backups, policy, NOW)

    assert {each.backup.name for each in decisions} == {each.name for each in backups}
    assert [each.backup.order for each in decisions] == sorted((each.order for each in backups), reverse=True)
    assert all(each.reasons and len(set(each.reasons)) == len(each.reasons) for each in decisions)


@given(backups=listings, policy=policies)
def test_newest_complete_backup_is_never_removed(backups, policy):
    complete = [each for each in backups if each.state is State.COMPLETE]
    regular = [each for each in complete if not each.is_safety]
    keep, _ = split(decide(backups, policy, NOW))

    if complete:
        assert max(regular or complete, key=lambda each: each.order) in keep


@given(backups=listings, policy=policies)
def test_as_many_complete_backups_stay_as_the_minimum_asks_for(backups, policy):
    complete = [each for each in backups if each.state is State.COMPLETE]
    keep, _ = split(decide(backups, policy, NOW))

    assert sum(each.state is State.COMPLETE for each in keep) >= min(policy.min_keep, len(complete))


@given(backups=listings, policy=policies)
def test_damaged_pinned_and_young_safety_backups_are_never_removed(backups, policy):
    _, removed = split(decide(backups, policy, NOW))

    assert not any(each.state is State.DAMAGED or each.pinned for each in removed)
    assert not any(each.is_safety and NOW - each.taken_at < SAFETY_PERIOD for each in removed)


@given(backups=listings, policy=policies)
def test_damaged_and_legacy_ones_change_nothing_for_the_complete(backups, policy):
    complete = [each for each in backups if each.state is State.COMPLETE]
    with_others = [each for each in split(decide(backups, policy, NOW))[0] if each.state is State.COMPLETE]

    assert with_others == split(decide(complete, policy, NOW))[0]


@given(backups=listings, policy=policies)
def test_deciding_again_on_what_was_kept_removes_nothing_more(backups, policy):
    """True of every rule: the newest of a period stays its newest, and no period that has one loses its last.

    Only as time passes do "within days" and the safety period let go of more.
    """
    keep, _ = split(decide(backups, policy, NOW))

    assert split(decide(keep, policy, NOW)) == (keep, [])


@given(backups=listings, policy=policies)
def test_policy_that_asks_for_more_removes_nothing_that_the_other_keeps(backups, policy):
    policy = dataclasses.replace(policy, min_keep=1)
    generous = dataclasses.replace(policy, last=policy.last + 1, daily=policy.daily + 2)
    keep, _ = split(decide(backups, policy, NOW))

    assert all(each in split(decide(backups, generous, NOW))[0] for each in keep)


def test_last_counts_from_the_newest():
    backups = [backup(hours) for hours in (1, 2, 3, 4)]

    assert [each for each, _ in kept(backups, last=2)] == backups[:2]


@pytest.mark.parametrize(
    "rule, newer, older, other, reason",
    [
        ("hourly", (11, 22, 10, 59), (11, 22, 10, 0), (11, 22, 9, 59), "the newest of its hour"),
        ("daily", (11, 21, 23, 59), (11, 21, 0, 0), (11, 20, 23, 59), "the newest of its day"),
        ("weekly", (11, 22, 11, 0), (11, 16, 0, 0), (11, 15, 23, 59), "the newest of its week"),
        ("monthly", (10, 31, 23, 59), (10, 1, 0, 0), (9, 30, 23, 59), "the newest of its month"),
    ],
)
def test_rule_keeps_the_newest_of_each_of_its_periods(rule, newer, older, other, reason):
    newer, older, other = (backup(datetime(2026, *moment, tzinfo=UTC)) for moment in (newer, older, other))

    both = kept([other, older, newer], **{rule: 2})

    assert [each for each, _ in both] == [newer, other]
    assert all(reason in reasons for _, reasons in both)
    assert [each for each, _ in kept([other, older, newer], **{rule: 1})] == [newer]


def test_yearly_keeps_the_newest_of_each_year():
    backups = [
        backup(datetime(year, month, 1, tzinfo=UTC)) for year in (2026, 2025, 2024) for month in (6, 1)
    ]

    assert [each.taken_at.year for each, _ in kept(backups, yearly=2)] == [2026, 2025]


def test_week_belongs_to_the_year_that_has_its_thursday():
    """Friday, 1 January 2027 is in the last week of 2026."""
    backups = [backup(datetime(2026, 12, 31, tzinfo=UTC)), backup(datetime(2027, 1, 1, tzinfo=UTC))]

    found = kept(backups, now=datetime(2027, 1, 2, tzinfo=UTC), weekly=1)

    assert [each for each, _ in found] == [backups[1]]


def test_periods_without_a_backup_do_not_count():
    """A site that was switched off for a year still has its three last days."""
    backups = [backup(24 * days) for days in (400, 401, 402, 403)]

    assert [each for each, _ in kept(backups, daily=3)] == backups[:3]


def test_within_days_counts_from_the_newest_backup():
    """Backups that stopped a year ago are not thinned out."""
    for age in (0, 24 * 365):
        backups = [backup(age + hours) for hours in (1, 2, 48, 49, 50)]

        assert [each for each, _ in kept(backups, within_days=2)] == backups[:3]


@pytest.mark.parametrize("rule", ["hourly", "daily", "weekly", "monthly", "yearly"])
def test_oldest_stays_while_a_rule_is_not_full(rule):
    backups = [backup(datetime(2026, 11, 21, 8, minute, tzinfo=UTC)) for minute in (50, 40, 30)]

    found = kept(backups, **{rule: 2})

    assert [each for each, _ in found] == [backups[0], backups[2]]
    assert found[1][1] == ("the oldest, while a rule is not full",)
    assert [each for each, _ in kept(backups, **{rule: 1})] == [backups[0]]


def test_days_begin_at_midnight_in_the_time_zone_of_the_site():
    zone = ZoneInfo("America/New_York")  # five hours behind
    evening, night, morning = (backup(datetime(2026, 11, 21, hour, tzinfo=UTC)) for hour in (3, 6, 14))

    found = decide([evening, night, morning], RetentionPolicy(last=0, daily=2), NOW, zone=zone)

    assert [each.backup for each in found if each.keep] == [morning, evening]


def periods(time, rule):
    """Return what tells the periods of a rule apart, as text."""
    return time.strftime(
        {"hourly": "%Y%m%d%H", "daily": "%Y%m%d", "weekly": "%G-%V", "monthly": "%Y%m", "yearly": "%Y"}[rule]
    )


@given(hours=st.lists(st.integers(0, 24 * 800), min_size=1, max_size=40, unique=True), policy=policies)
def test_rules_are_those_of_restic(hours, policy):
    """As its documentation of ``forget`` has them: source https://restic.readthedocs.io/en/stable/060_forget.html"""
    backups = [backup(each) for each in sorted(hours)]
    expected = {*range(len(backups))[: policy.last]}
    for rule in ("hourly", "daily", "weekly", "monthly", "yearly"):
        newest = {}
        for number, each in enumerate(backups):
            newest.setdefault(periods(each.taken_at, rule), number)
        count = getattr(policy, rule)
        expected.update([*newest.values()][:count])
        if len(newest) < count:
            expected.add(len(backups) - 1)
    limit = backups[0].taken_at - timedelta(days=policy.within_days)
    expected.update(number for number, each in enumerate(backups) if each.taken_at > limit)

    found = decide(backups, dataclasses.replace(policy, min_keep=1), NOW)

    assert [each.keep for each in found] == [number in expected for number in range(len(backups))]


@pytest.mark.parametrize("rules", [{"last": 1}, {"last": 0, "daily": 1}, {"last": 0, "within_days": 1}])
def test_times_in_the_future_take_no_place_and_stay(rules):
    future = [backup(-24 * 365 - hours) for hours in range(3)]
    newest, older = backup(1), backup(24 * 40)

    found = decide([*future, newest, older], RetentionPolicy(**rules), NOW)

    assert [each.backup for each in found if each.keep] == [*future[::-1], newest]
    assert all("future" in each.reasons[0] for each in found[:3])


def test_what_was_just_made_stays_and_so_does_what_was_stored_later():
    """Another host may have made it, whose clock is behind by a day."""
    stored = [
        dataclasses.replace(backup(hours), stamp=(NOW - timedelta(minutes=hours)).isoformat())
        for hours in (1, 50, 40, 60)
    ]
    own = stored[1]
    later, earlier = (
        dataclasses.replace(stored[2], stamp=(own.modified + timedelta(seconds=1)).isoformat()),
        stored[3],
    )

    found = decide([stored[0], own, later, earlier], RetentionPolicy(last=1), NOW, made=[own.path])

    assert {each.backup.name for each in found if each.keep} == {stored[0].name, own.name, later.name}


def test_rules_add_up_and_each_gives_its_reason():
    [(newest, reasons), *_] = kept([backup(1), backup(2), backup(30)], last=1, daily=2, within_days=1)

    assert newest == backup(1)
    assert reasons == (
        "the newest complete backup",
        "one of the last",
        "the newest of its day",
        "young enough",
    )


def test_what_no_rule_keeps_says_so():
    [_, removed] = decide([backup(1), backup(2)], RetentionPolicy(last=1), NOW)

    assert (removed.keep, removed.reasons) == (False, ("no rule keeps it",))


def test_two_of_the_same_second_are_ordered_by_their_number():
    backups = [backup(1, number=number) for number in (1, 2, 10)]

    assert [each for each, _ in kept(backups, last=1)] == [backups[2]]


def test_old_legacy_backup_goes_by_the_rules():
    backups = [backup(1), backup(2, State.LEGACY), backup(3, State.LEGACY)]

    assert [each for each, _ in kept(backups, last=2)] == backups[:2]


def test_newer_legacy_backups_never_displace_the_complete_ones():
    legacy = [backup(hours, State.LEGACY) for hours in (1, 2, 3)]
    complete = [backup(hours) for hours in (10, 11, 12)]

    assert [each for each, _ in kept(legacy + complete, last=2)] == legacy[:2] + complete[:2]


def test_safety_backup_does_not_stand_in_for_the_newest_complete_one():
    safety, regular = backup(1, trigger="safety"), backup(24 * 300)

    assert [each for each, _ in kept([safety, regular], daily=1)] == [safety, regular]


def test_old_safety_backup_is_removed_though_a_rule_would_keep_it():
    old = backup(SAFETY_PERIOD / timedelta(hours=1) + 1, trigger="safety")

    assert [each for each, _ in kept([backup(1), old], last=10)] == [backup(1)]


def test_only_safety_backup_stays_however_old():
    old = backup(24 * 300, trigger="safety")

    assert kept([old], last=1) == [(old, ("the newest complete backup",))]


def test_pinned_backup_takes_no_place_in_the_rules():
    pinned, others = backup(1, pinned=True), [backup(2), backup(3)]

    assert [each for each, _ in kept([pinned, *others], last=1)] == [pinned, others[0]]


def test_what_is_no_backup_is_not_decided_on():
    upload = StoredObject(name="x.partial-1", path="db/x.partial-1", size=1, state=State.INCOMPLETE)
    foreign = StoredObject(name="README", path="db/README", size=1, state=State.FOREIGN)

    assert decide([upload, foreign], RetentionPolicy(), NOW) == []


@pytest.mark.parametrize(
    "rules",
    [
        {"last": 0}, {"last": -1}, {"last": 0, "daily": -1}, {"last": 5, "daily": -1}, {"min_keep": 0},
        {"last": 2.5}, {"last": 10, "weekly": 1.5}, {"min_keep": 1.5}, {"within_days": float("nan")},
        {"within_days": float("inf")}, {"within_days": 1e12}, {"last": 0, "within_days": float("-inf")},
    ],
)  # fmt: skip
def test_policy_that_could_keep_nothing_or_makes_no_sense_is_refused(rules):
    with pytest.raises(UsageError) as caught:
        RetentionPolicy(**rules)

    assert caught.value.hint
