"""Decides which of all processes on all hosts announces a problem, by a claim in the database of the history."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta

from django.db import IntegrityError, transaction
from django.db.models import QuerySet

from .. import clock
from ..health.levels import Level
from ..jobs import history
from ..models.health import Notice

LEASE = timedelta(minutes=5)
"""How long a claim is valid without a confirmation: its owner may have died before it sent the message."""
KEY_CHARACTERS = 150


@dataclass(frozen=True, slots=True, kw_only=True)
class Problem:
    """A problem to announce."""

    key: str
    level: Level
    subject: str
    """The alias of a database, ``media``, or empty."""
    sentence: str
    hint: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Over:
    """An announced problem that is over."""

    key: str
    sentence: str
    """The announced text."""
    since: datetime

    @property
    def subject(self) -> str:
        """The alias of a database, ``media``, or empty."""
        return self.key.partition(":")[2]


def claim_new(problems: Iterable[Problem]) -> list[Problem]:
    """Return the problems that this process has to announce: new ones, and those that have become worse."""
    known = {each.key: each for each in _rows()}
    return [each for each in problems if _claim(each, known.get(_key(each.key)))]


def claim_over(problems: Collection[Problem], *, among: Collection[str]) -> list[Over]:
    """Return the announced problems that are over and that this process has to announce as solved.

    :param problems: all current problems.
    :param among: the key prefixes, before the colon, to consider.
    """
    there = {_key(each.key) for each in problems}
    over = []
    for row in _rows():
        if row.key in there or row.key.partition(":")[0] not in among or not _is_free(row):
            continue
        if row.told_at is None:
            _same(row).delete()  # it was over before it was announced
        elif _same(row).update(claimed_at=clock.now()):
            over.append(Over(key=row.key, sentence=row.sentence, since=row.since))
    return over


def claim_daily(key: str) -> bool:
    """Whether this process has to send the daily message."""
    now = clock.now()
    row = _rows().filter(pk=key).first()
    if row is None:
        return _insert(Notice(key=key, claimed_at=now))
    is_due = row.told_at is None or now - row.told_at > timedelta(hours=23, minutes=30)
    return is_due and _is_free(row) and bool(_same(row).update(claimed_at=now))


def told(keys: Iterable[str]) -> None:
    """Record that the problems were announced."""
    _rows().filter(pk__in=map(_key, keys)).update(told_at=clock.now(), claimed_at=None)


def release(keys: Iterable[str]) -> None:
    """Release claims: the message could not be sent, and another process may try."""
    _rows().filter(pk__in=map(_key, keys)).update(claimed_at=None)


def forget(over: Iterable[Over]) -> None:
    """Record that the end of the problems was announced."""
    _rows().filter(pk__in=[each.key for each in over]).delete()


def _claim(problem: Problem, row: Notice | None) -> bool:
    now, key = clock.now(), _key(problem.key)
    if row is None:
        return _insert(
            Notice(key=key, level=problem.level, sentence=problem.sentence, since=now, claimed_at=now)
        )
    is_worse = problem.level.gravity > Level(row.level).gravity
    if (row.told_at is not None and not is_worse) or not _is_free(row):
        return False
    values = {"claimed_at": now, "level": problem.level, "sentence": problem.sentence}
    return bool(_same(row).update(**values))


def _insert(row: Notice) -> bool:
    try:
        with transaction.atomic(using=history.database()):
            row.save(using=history.database(), force_insert=True)
    except IntegrityError:
        return False
    return True


def _is_free(row: Notice) -> bool:
    return row.claimed_at is None or clock.now() - row.claimed_at > LEASE


def _same(row: Notice) -> QuerySet[Notice]:
    """Return the row unless it has changed since it was read: an UPDATE of this queryset works as a claim."""
    unchanged: Mapping[str, object] = {
        "level": row.level,
        "told_at": row.told_at,
        "claimed_at": row.claimed_at,
    }
    wanted = {
        f"{name}__isnull" if value is None else name: True if value is None else value
        for name, value in unchanged.items()
    }
    return _rows().filter(pk=row.pk, **wanted)


def _rows() -> QuerySet[Notice]:
    return Notice.objects.using(history.database())


def _key(key: str) -> str:
    return key[:KEY_CHARACTERS]
