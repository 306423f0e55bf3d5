"""Cron expressions in a time zone: is it one, when was the last time, when are the next. No Django.

``cronsim`` knows the expressions. It is asked for times of a wall clock that never changes; what a time zone makes of these
at the two changes of a year is decided here, as Debian's cron does it. That cron knows two kinds of expressions:

- At fixed times, such as ``30 2 * * *``: each time comes once. One that the clock leaves out comes right after the gap.
- With ``*`` first in minutes or hours, such as ``*/15 * * * *``: each time that the clock shows. What it leaves out does not
  come, and what it shows twice comes twice.
"""

from __future__ import annotations

import zoneinfo
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

from cronsim import CronSim, CronSimError

from .exceptions import UsageError, gettext_noop

LONGEST_CHANGE = timedelta(hours=3)
"""No clock was set back by more than that in one night since there are computers."""
FIELDS = 5
MINUTE = timedelta(minutes=1)
SECOND = timedelta(seconds=1)


@dataclass(frozen=True, slots=True, kw_only=True)
class Cron:
    """The times of an expression in a time zone.

    :raises UsageError: it is no expression, none of its times ever comes, or there is no such time zone.
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
        """Whether it is one of the fixed times, which come once whatever the clock does."""
        minute, hour, *_days = self.expression.split()
        return not (minute.startswith("*") or hour.startswith("*"))

    def last(self, moment: datetime) -> datetime | None:
        """Return the last time up to a moment, in UTC; ``None`` where none came in the fifty years before."""
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
        """Return the next time after a moment, in UTC; ``None`` where none comes within fifty years."""
        return next(iter(self.upcoming(moment, 1)), None)

    def changes(self, moment: datetime, times: int) -> list[datetime]:
        """Return those of the next times after a moment that a change of the clock moves away from the wall clock's time."""
        return [each for each in self.upcoming(moment, times) if not self._is_on_wall(self._wall(each))]

    def _walls(self, moment: datetime, *, back: bool) -> Iterator[datetime]:
        """Give the times of the expression on the wall from a moment on, without a time zone."""
        start = self._wall(moment) + (SECOND if back else -SECOND)
        try:
            yield from CronSim(self.expression, start, reverse=back)
        except OverflowError:  # the calendar begins with the year 1 and ends with 9999
            return

    def _wall(self, moment: datetime) -> datetime:
        return moment.astimezone(self.zone).replace(tzinfo=None)

    def _is_on_wall(self, wall: datetime) -> bool:
        """Whether a time is one of the expression, as it stands there."""
        return next(CronSim(self.expression, wall - SECOND)) == wall

    def _moments(self, wall: datetime) -> list[datetime]:
        """Return the moments at which a time of the expression comes."""
        first, second = (wall.replace(tzinfo=self.zone, fold=fold).astimezone(UTC) for fold in (0, 1))
        if self._wall(first) != wall:  # the clock leaves it out
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
        gettext_noop("“%(text)s” is no cron expression whose time ever comes."),
        hint=gettext_noop(
            "It has five fields: minute, hour, day of the month, month, day of the week. “0 2 * * *” is 02:00 every day."
        ),
        text=text,
    )
