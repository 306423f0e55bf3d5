"""Translated texts for errors, sizes, times and outcomes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, Protocol

from django.template.defaultfilters import filesizeformat
from django.utils import timezone
from django.utils.formats import date_format, number_format
from django.utils.timesince import timesince
from django.utils.translation import get_language, gettext, ngettext, override, to_locale

from . import clock
from .core.engines import engine_name
from .core.printable import printable
from .exceptions import NOTHING_CHANGED, BackupError, gettext_noop, restate

LEVELS = {
    "checksum": gettext_noop("checksum"),
    "structure": gettext_noop("structure"),
    "restore": gettext_noop("restored"),
    "site": gettext_noop("read by the site"),
}
"""The levels of checks in words."""
MEDIA_LEVELS = {
    "checksum": gettext_noop("list read"),
    "structure": gettext_noop("all files there"),
    "restore": gettext_noop("all files read"),
}
"""The same for media backups: their checks restore nothing."""
CHECKS = LEVELS | {
    "restore": gettext_noop("test restore"),
    "site": gettext_noop("test restore, read by the site"),
}
"""The checks of these levels as nouns."""
MEDIA_CHECKS = {
    "checksum": gettext_noop("file list"),
    "structure": gettext_noop("presence of all files"),
    "restore": gettext_noop("reading of all files"),
}
"""The same for media backups."""
OUTCOMES = {
    "passed": gettext_noop("passed"),
    "failed": gettext_noop("failed"),
    "unchecked": gettext_noop("not checked"),
}
"""The outcomes of checks in words."""
RUNS = {
    "db_backup": gettext_noop("a database backup"),
    "db_restore": gettext_noop("a database restore"),
    "media_backup": gettext_noop("a media backup"),
    "media_restore": gettext_noop("a media restore"),
    "verify": gettext_noop("a check"),
    "prune": gettext_noop("a clean-up"),
    "open": gettext_noop("an opening of a backup"),
    "copy": gettext_noop("a copying of backups"),
}
"""The kinds of runs, for use in a sentence."""
LAST_HOURS = 48
"""More hours than that are said as days."""
LOCALES = Path(__file__).parent / "locale"


def describe(error: BaseException) -> tuple[str, str]:
    """Return the sentence and the hint of an error, translated. For errors of other packages, the message is their
    text."""
    if isinstance(error, BackupError):
        hint = _translate(error.hint_template, error.params)
        claim, changed = (_translate(each, {}) for each in (NOTHING_CHANGED, error.changed))
        return _translate(error.template, error.params), restate(hint, claim, changed)
    return str(error) or type(error).__name__, ""


def level(name: str, kind: str = "database") -> str:
    """Return the name of a level of checks, translated.

    :param kind: ``media`` for a media backup.
    """
    return gettext(MEDIA_LEVELS.get(name, LEVELS[name]) if kind == "media" else LEVELS[name])


def check(name: str, kind: str = "database") -> str:
    """Return the check of a level as a noun, translated.

    :param kind: ``media`` for a media backup.
    """
    return gettext(MEDIA_CHECKS.get(name, CHECKS[name]) if kind == "media" else CHECKS[name])


def outcome(name: str) -> str:
    """Return the outcome of a check, translated."""
    return gettext(OUTCOMES[name])


def a_run(kind: str) -> str:
    """Return the name of a kind of run for use in a sentence, translated."""
    return gettext(RUNS[kind])


def seconds(count: float) -> str:
    """Return a number of seconds as a span of time in words."""
    return span(timedelta(seconds=count))


def lines(text: str) -> str:
    """Return lines of text from any source, made safe for a terminal."""
    return "\n".join(map(printable, text.split("\n")))


def _translate(template: str, params: dict[str, object]) -> str:
    translated = gettext(template) if template else ""
    return translated % params if params else translated


def time(value: datetime | None) -> str:
    """Return a time in the time zone of the site, whatever ``USE_TZ`` says, such as “24 Nov 2026, 16:20”."""
    return "–" if value is None else date_format(timezone.localtime(value), "j M Y, H:i")


def when(value: datetime) -> str:
    """Return a time in words: “Today 02:00”, “Yesterday 16:20”, “Tomorrow 02:00”, otherwise with the date."""
    local, today = timezone.localtime(value), timezone.localtime(clock.now()).date()
    days = (today - local.date()).days
    at = date_format(local, "H:i")
    if days == 0:
        return gettext("Today %(time)s") % {"time": at}
    if days == 1:
        return gettext("Yesterday %(time)s") % {"time": at}
    if days == -1:
        return gettext("Tomorrow %(time)s") % {"time": at}
    if local.year == today.year:
        return f"{date_format(local, 'j M')} {at}"
    return f"{date_format(local, 'j M Y')} {at}"


def size(count: int | None) -> str:
    """Return a number of bytes in words."""
    return "–" if count is None else filesizeformat(count).replace("\xa0", " ")


def removed(count: int) -> str:
    """Say how many backups a clean-up has removed."""
    return ngettext("Removed %(count)d old backup.", "Removed %(count)d old backups.", count) % {
        "count": count
    }


def files(count: int | None) -> str:
    """Return a number of files in words."""
    if count is None:
        return "–"
    return ngettext("%(count)s file", "%(count)s files", count) % {
        "count": number_format(count, force_grouping=True)
    }


def change(count: int, before: int) -> str:
    """Return the growth of a count, as a suffix such as “, +12”; empty if it is unchanged."""
    more = count - before
    return f", {'+' if more > 0 else '−'}{number_format(abs(more), force_grouping=True)}" if more else ""


def percent(value: int, before: int) -> str:
    """Return the growth of a number, such as “+0.4 %”; empty below a tenth of a percent."""
    change = (value - before) / before * 100 if before else 0.0
    if abs(change) < 0.1:
        return ""
    number = number_format(abs(change), 1 if abs(change) < 10 else 0, force_grouping=True)
    return gettext("%(sign)s%(number)s %%") % {"sign": "+" if change > 0 else "−", "number": number}


def day(value: datetime) -> str:
    """Return a day in words, such as “2 December”."""
    local = timezone.localtime(value)
    is_this_year = local.year == timezone.localtime(clock.now()).year
    return date_format(local, "j F" if is_this_year else "j F Y")


class Dumped(Protocol):
    """An object that names its engine and server version: a backup or its manifest."""

    @property
    def engine(self) -> Any: ...
    @property
    def server_version(self) -> Any: ...


def engine(dumped: Dumped) -> str:
    """Return the name of the engine and the version of its server, such as “MariaDB 10.11.6”."""
    return f"{engine_name(dumped.engine, dumped.server_version)} {dumped.server_version}".strip()


def number(count: int | None) -> str:
    """Return a number with its groups of digits."""
    return "–" if count is None else str(number_format(count, force_grouping=True))


def signed(count: int) -> str:
    """Return a difference, with its sign."""
    sign = "+" if count > 0 else "−" if count < 0 else ""
    return f"{sign}{number(abs(count))}"


def objects(names: Mapping[str, Sequence[str]]) -> str:
    """Return names of database objects by their kinds, such as “tables: a, b; views: c”."""
    return "; ".join(f"{kind.replace('_', ' ')}: {', '.join(each)}" for kind, each in names.items() if each)


def duration(time: timedelta | None) -> str:
    """Return a span of time, to the second."""
    if time is None:
        return "–"
    seconds = time.total_seconds()
    if seconds < 10:
        return gettext("%(seconds).1f s") % {"seconds": seconds}
    minutes, seconds = divmod(int(seconds), 60)
    if not minutes:
        return gettext("%(seconds)d s") % {"seconds": seconds}
    hours, minutes = divmod(minutes, 60)
    if not hours:
        return gettext("%(minutes)d min %(seconds)d s") % {"minutes": minutes, "seconds": seconds}
    return gettext("%(hours)d h %(minutes)d min") % {"hours": hours, "minutes": minutes}


def span(time: timedelta) -> str:
    """Return a span of time in words, in its two largest units: at least a minute."""
    now, time = clock.now(), max(time, timedelta(minutes=1))
    with _own_language():
        return timesince(now - time, now)


def _own_language() -> AbstractContextManager[object]:
    """Return a context in which Django uses the language of our own texts: English without a catalogue."""
    language = to_locale(get_language() or "en")
    if any((LOCALES / name).is_dir() for name in (language, language.partition("_")[0])):
        return nullcontext()
    return override("en")


def ago(time: datetime) -> str:
    """Return how long ago a time was, in its largest unit."""
    if clock.now() - time < timedelta(minutes=1):
        return gettext("just now")
    with _own_language():
        return gettext("%(time)s ago") % {"time": timesince(time, depth=1)}


def within(time: datetime) -> str:
    """Return the shortest span of whole hours, or days, that a time is less than ago."""
    count = int((clock.now() - time) / timedelta(hours=1)) + 1
    return hours(count if count <= LAST_HOURS else -(-count // 24) * 24)


def hours(count: float) -> str:
    """Return a number of hours in words: as days where there are many, and they are whole."""
    if count > LAST_HOURS and count % 24 == 0:
        return ngettext("%(count)d day", "%(count)d days", int(count // 24)) % {"count": count // 24}
    whole = int(count) if count == int(count) else count
    return ngettext("%(count)s hour", "%(count)s hours", int(count)) % {"count": number_format(whole)}
