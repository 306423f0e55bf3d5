"""Predicts when backups will be removed, if further backups come at the usual interval. A pure function."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta, tzinfo
from itertools import pairwise
from statistics import median

from .catalog import StoredObject
from .retention import RetentionPolicy, decide
from .states import RESTORABLE

AHEAD = timedelta(days=400)
"""How far the forecast looks ahead."""
MOST_STEPS = 400
"""The largest number of future backups that is simulated."""
LOOKED_AT = 10
"""The number of recent backups from which the interval is derived."""
A_DAY, AN_HOUR = timedelta(days=1), timedelta(hours=1)


def rhythm(backups: Sequence[StoredObject]) -> timedelta:
    """Return the usual interval between two backups, at least an hour; a day where there are too few backups."""
    times = sorted((each.taken_at for each in backups if each.taken_at and not each.is_safety), reverse=True)
    gaps = [(later - earlier).total_seconds() for later, earlier in pairwise(times[:LOOKED_AT])]
    return max(AN_HOUR, timedelta(seconds=median(gaps))) if gaps else A_DAY


def forecast(
    backups: Sequence[StoredObject],
    policy: RetentionPolicy,
    now: datetime,
    *,
    every: timedelta,
    zone: tzinfo = UTC,
) -> dict[str, datetime]:
    """Return when each backup of one database will be removed, by name; backups that stay are left out.

    :param every: the interval between future backups, each followed by a clean-up.
    """
    there = list(backups)
    model = next((each for each in there if each.state in RESTORABLE and each.taken_at), None)
    found: dict[str, datetime] = {}
    for step in range(MOST_STEPS):
        moment = now + every * step
        if model is None or moment - now > AHEAD or not ({each.name for each in backups} - found.keys()):
            break
        if step:
            name = f"forecast {step}"
            there.append(
                dataclasses.replace(model, name=name, path=name, taken_at=moment, pinned=False, manifest=None)
            )
        gone = {each.backup.name for each in decide(there, policy, moment, zone=zone) if not each.keep}
        found |= dict.fromkeys(gone, moment)
        there = [each for each in there if each.name not in gone]
    names = {each.name for each in backups}
    return {name: moment for name, moment in found.items() if name in names}
