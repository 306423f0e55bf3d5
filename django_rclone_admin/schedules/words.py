"""Describes cron expressions in words, such as “every night at 02:00”, and lists the presets."""

from __future__ import annotations

from collections.abc import Sequence

from django.utils.dates import MONTHS
from django.utils.text import get_text_list
from django.utils.translation import gettext as _
from django.utils.translation import ngettext

PRESETS = (
    "0 2 * * *",
    "0 4 * * 0",
    "0 */6 * * *",
    "0 * * * *",
    "0 2 * * 1-5",
    "0 3 1 * *",
)
"""The presets of a form; each has a short description."""

NIGHT = range(6)
"""The hours that count as night."""
MOST_TIMES = 6
"""How many times of a day are listed one by one."""
NAMES = {name: number for number, name in enumerate(["SUN", "MON", "TUE", "WED", "THU", "FRI", "SAT"])}
MONTH_NAMES = {
    name: number
    for number, name in enumerate(
        ["JAN", "FEB", "MAR", "APR", "MAY", "JUN", "JUL", "AUG", "SEP", "OCT", "NOV", "DEC"], start=1
    )
}


def in_words(expression: str) -> str:
    """Return an expression in words. An expression that is too complex is shown unchanged.

    :param expression: one that :class:`~django_rclone_admin.cron.Cron` accepts.
    """
    minute, hour, day, month, weekday = expression.upper().split()
    try:
        times = _times(minute, hour)
        days = _days(day, weekday, is_night=_is_night(hour))
        months = _months(month)
    except ValueError:
        return _("at the times of “%(expression)s”") % {"expression": expression}
    found = times if not days else _("%(days)s %(times)s") % {"days": days, "times": times}
    return _("%(times)s in %(months)s") % {"times": found, "months": months} if months else found


def _numbers(text: str, names: dict[str, int] | None = None) -> list[int]:
    """Return the numbers of a field without steps.

    :raises ValueError: the field is more complex.
    """
    found: list[int] = []
    for part in text.split(","):
        first, dash, last = part.partition("-")
        low = (names or {}).get(first) if first in (names or {}) else int(first)
        high = low if not dash else (names or {}).get(last) if last in (names or {}) else int(last)
        assert low is not None
        assert high is not None
        found += range(low, high + 1)
    return sorted(set(found))


def _step(text: str) -> int | None:
    """Return the step of a field such as ``*/5``."""
    star, _slash, step = text.partition("/")
    return int(step) if star == "*" and step else None


def _times(minute: str, hour: str) -> str:
    if hour == "*":
        return _times_of_an_hour(minute)
    if minute == "*" or _step(minute):
        raise ValueError
    step = _step(hour)
    if step and 24 % step == 0 and minute == "0":
        return ngettext("every hour", "every %(count)d hours", step) % {"count": step}
    hours = range(0, 24, step) if step else _numbers(hour)
    clock = [f"{each:02}:{at:02}" for each in hours for at in _numbers(minute)]
    if len(clock) > MOST_TIMES:
        raise ValueError
    return _("at %(times)s") % {"times": get_text_list(clock, _("and"))}


def _times_of_an_hour(minute: str) -> str:
    step = 1 if minute == "*" else _step(minute)
    if step:
        if 60 % step:
            raise ValueError
        return ngettext("every minute", "every %(count)d minutes", step) % {"count": step}
    minutes = _numbers(minute)
    if minutes == [0]:
        return _("every hour")
    if len(minutes) > MOST_TIMES:
        raise ValueError
    named = get_text_list([f"{each:02}" for each in minutes], _("and"))
    return _("every hour at minute %(minutes)s") % {"minutes": named}


def _days(day: str, weekday: str, *, is_night: bool | None) -> str:
    if day == "*" and weekday == "*":
        # “every 15 minutes” needs no days.
        return "" if is_night is None else _("every night") if is_night else _("every day")
    dates, names = _dates(day), _weekdays(weekday)
    if dates and names:
        return _("%(dates)s and %(weekdays)s") % {"dates": dates, "weekdays": names}
    return dates or names


def _is_night(hour: str) -> bool | None:
    if hour == "*" or _step(hour):
        return None
    return all(each in NIGHT for each in _numbers(hour))


def _dates(day: str) -> str:
    if day == "*":
        return ""
    if day == "L":
        return _("on the last day of the month")
    if day == "LW":
        return _("on the last weekday of the month")
    days = _numbers(day)
    if days == [1]:
        return _("on the first day of the month")
    return ngettext("on day %(days)s of the month", "on the days %(days)s of the month", len(days)) % {
        "days": get_text_list([str(each) for each in days], _("and"))
    }


def _weekdays(weekday: str) -> str:
    if weekday == "*":
        return ""
    days = sorted({each % 7 for each in _numbers(weekday, NAMES)})
    if days == [1, 2, 3, 4, 5]:
        return _("Mondays to Fridays")
    if len(days) == 7:
        return _("every day")
    return get_text_list([_plural(each) for each in days], _("and"))


def _plural(day: int) -> str:
    plurals: Sequence[str] = (
        _("Sundays"),
        _("Mondays"),
        _("Tuesdays"),
        _("Wednesdays"),
        _("Thursdays"),
        _("Fridays"),
        _("Saturdays"),
    )
    return plurals[day]


def _months(month: str) -> str:
    if month == "*":
        return ""
    return get_text_list([str(MONTHS[each]) for each in _numbers(month, MONTH_NAMES)], _("and"))
