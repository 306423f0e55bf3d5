"""Decides which backups to check next. A pure function, like the retention."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta

from .catalog import StoredObject
from .check_marks import LEVELS, Level
from .states import RESTORABLE


def highest(backup: StoredObject, level: Level) -> Level:
    """Return the highest level at which a backup can be checked: for media files, the last level is meaningless."""
    return Level.RESTORE if backup.kind == "media" and level is LEVELS[-1] else level


def unchecked_since(backup: StoredObject, level: Level) -> datetime:
    """Return when a backup last passed a level; if it never did, when it was made."""
    assert backup.taken_at is not None
    reached = [each.at for each in backup.proofs if each.level.includes(highest(backup, level))]
    return max(reached, default=backup.taken_at)


def has_reached(backup: StoredObject, level: Level) -> bool:
    """Whether a backup has passed a level, and no later check contradicts it."""
    return any(each.level.includes(highest(backup, level)) for each in backup.proofs)


def due(
    objects: Iterable[StoredObject], level: Level, *, within: timedelta, now: datetime
) -> list[StoredObject]:
    """Return the backups due for a check: of each database the newest that has not reached the level; then, the longest
    unchecked first, all that have not passed it within the interval.

    Damaged backups are never due: their state is known.
    """
    candidates = [each for each in objects if each.state in RESTORABLE and not each.is_ahead(now)]
    newest: dict[tuple[str, str], StoredObject] = {}
    for each in sorted(candidates, key=lambda each: each.order):
        if not has_reached(each, level):
            newest[each.kind, each.database] = each
    first = sorted(newest.values(), key=lambda each: each.order, reverse=True)
    return first + _longest_unchecked(candidates, first, level, now - within)


def _longest_unchecked(
    candidates: Iterable[StoredObject], others: Sequence[StoredObject], level: Level, before: datetime
) -> list[StoredObject]:
    known = {each.path for each in others}
    left = [each for each in candidates if each.path not in known]
    left.sort(key=lambda each: (unchecked_since(each, level), each.path))
    return [each for each in left if unchecked_since(each, level) < before]
