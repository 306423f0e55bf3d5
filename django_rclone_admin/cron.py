"""Cron expressions in a time zone: validation, the last time, the next times. Imports no Django.

``cronsim`` parses the expressions. It is used with a wall clock that never changes; this module applies a time zone,
with its two clock changes a year, in the same way as Debian's cron. That cron distinguishes two kinds of expressions:

- Fixed times, such as ``30 2 * * *``: each time occurs once. A time that the clock skips occurs right after the gap.
- With ``*`` first in minutes or hours, such as ``*/15 * * * *``: each time that the clock shows. Skipped times do not
  occur, and repeated times occur twice.
"""

from __future__ import annotations

import zoneinfo
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

from cronsim import CronSim, CronSimError

from .exceptions import UsageError, gettext_noop

LONGEST_CHANGE = timedelta(hours=3)
"""The largest clock change of a time zone in one night, with a margin."""
FIELDS = 5
MINUTE = timedelta(minutes=1)
SECOND = timedelta(seconds=1)


@dataclass(frozen=True, slots=True, kw_only=True)
class Cron:
    """The times of an expression in a time zone.

    :raises UsageError: the expression is invalid, never matches a date, or the time zone does not exist.
    """

    expression: str
    time_zone: str = "UTC"
    zone: zoneinfo.ZoneInfo = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "zone", _zone(self.time_zone))
        if len(self.expression.split()) != FIELDS:
            raise _no_expression(self.expression)
        try:
            next(CronSim(self.expression, datetime(2024, 1, 1)))  # noqa: DTZ001  (a wall clock)
        except (CronSimError, StopIteration, OverflowError, ValueError) as error:
            raise _no_expression(self.expression) from error

    @property
    def is_fixed(self) -> bool:
        """Whether its times are fixed, so that they occur once whatever the clock does."""
        minute, hour, *_days = self.expression.split()
        return not (minute.startswith("*") or hour.startswith("*"))

    def last(self, moment: datetime) -> datetime | None:
        """Return the last time up to a moment, in UTC; ``None`` if there was none in the previous fifty years."""
        best: datetime | None = None
        for wall in self._walls(moment + LONGEST_CHANGE, back=True):
            if best and wall < self._wall(best) - LONGEST_CHANGE:
                break
            found = [each for each in self._moments(wall) if each <= moment]
            best = max([*found, *([best] if best else [])], default=None)
        return best

    def upcoming(self, moment: datetime, count: int) -> list[datetime]:
        """Return the next times after a moment, in UTC."""
        found: set[datetime] = set()
        for wall in self._walls(moment - LONGEST_CHANGE, back=False):
            first = sorted(found)[:count]
            if len(first) == count and wall > self._wall(first[-1]) + LONGEST_CHANGE:
                break
            found |= {each for each in self._moments(wall) if each > moment}
        return sorted(found)[:count]

    def next(self, moment: datetime) -> datetime | None:
        """Return the next time after a moment, in UTC; ``None`` if there is none within fifty years."""
        return next(iter(self.upcoming(moment, 1)), None)

    def changes(self, moment: datetime, times: int) -> list[datetime]:
        """Return those of the next times after a moment that a clock change moves away from the wall-clock time."""
        return [each for each in self.upcoming(moment, times) if not self._is_on_wall(self._wall(each))]

    def _walls(self, moment: datetime, *, back: bool) -> Iterator[datetime]:
        """Give the wall-clock times of the expression from a moment on, without a time zone."""
        start = self._wall(moment) + (SECOND if back else -SECOND)
        try:
            yield from CronSim(self.expression, start, reverse=back)
        except OverflowError:  # the calendar ends with the years 1 and 9999
            return

    def _wall(self, moment: datetime) -> datetime:
        return moment.astimezone(self.zone).replace(tzinfo=None)

    def _is_on_wall(self, wall: datetime) -> bool:
        """Whether a wall-clock time matches the expression."""
        return next(CronSim(self.expression, wall - SECOND)) == wall

    def _moments(self, wall: datetime) -> list[datetime]:
        """Return the moments at which a wall-clock time of the expression occurs."""
        first, second = (wall.replace(tzinfo=self.zone, fold=fold).astimezone(UTC) for fold in (0, 1))
        if self._wall(first) != wall:  # the clock skips it
            return [self._end_of_gap(wall)] if self.is_fixed else []
        return [first] if self.is_fixed or first == second else [first, second]

    def _end_of_gap(self, wall: datetime) -> datetime:
        while True:
            wall += MINUTE
            moment = wall.replace(tzinfo=self.zone).astimezone(UTC)
            if self._wall(moment) == wall:
                return moment


def _zone(name: str) -> zoneinfo.ZoneInfo:
    try:
        return zoneinfo.ZoneInfo(name)
    except (zoneinfo.ZoneInfoNotFoundError, ValueError, OSError, TypeError) as error:
        raise UsageError(
            gettext_noop("There is no time zone “%(name)s”."),
            hint=gettext_noop("Use a name of the time zone database, such as “Europe/Vienna” or “UTC”."),
            name=name,
        ) from error


def _no_expression(text: str) -> UsageError:
    return UsageError(
        gettext_noop("“%(text)s” is not a cron expression with a time that ever comes."),
        hint=gettext_noop(
            "It has five fields: minute, hour, day of the month, month, day of the week. “0 2 * * *” is 02:00 every day."
        ),
        text=text,
    )
