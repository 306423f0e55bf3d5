"""Renders and parses the names of backups; each is the inverse of the other."""

from __future__ import annotations

import re
import string
from dataclasses import dataclass
from datetime import MAXYEAR, UTC, datetime

from ..exceptions import UsageError, gettext_noop
from .check_marks import SEPARATOR as CHECK

MANIFEST, PIN, PARTIAL = ".manifest.json", ".keep", ".partial-"
"""The suffixes of the objects that belong to a backup."""

MEDIA = "media"
"""Stands in the names of file lists where other backups have the alias of a database."""

UNITS = {
    "%Y": ("year", 4),
    "%m": ("month", 2),
    "%d": ("day", 2),
    "%H": ("hour", 2),
    "%M": ("minute", 2),
    "%S": ("second", 2),
    "%f": ("microsecond", 6),
}
"""The parts of a date format and their number of digits. Fixed, because ``2026-1-11`` would be ambiguous."""

UNFIT = re.compile(r"[/\\\x00-\x1f\x7f\ud800-\udfff]")
"""Characters that a name may not contain: it would be a path, span lines, or not be encodable."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ParsedName:
    """The parts of a backup's name."""

    database: str
    taken_at: datetime
    """Aware, UTC, with the precision of the date format."""
    extension: str
    """Without the leading dot, such as ``dump.zst``."""
    number: int = 1
    """Above 1 when other backups already had the same time."""


class Naming:
    """Renders and parses names by a template such as ``{database}-{datetime}.{ext}``.

    :raises UsageError: the template or the date format can't be parsed back.
    """

    def __init__(self, template: str, date_format: str) -> None:
        self.template, self.date_format = template, date_format
        fields = {
            "database": r"(?P<database>[\w@+][\w.@+-]*?)",
            "datetime": rf"(?P<datetime>{_date_pattern(date_format)})(?:-(?P<number>[2-9]|[1-9]\d{{1,3}}))?",
            "ext": r"(?P<ext>[A-Za-z0-9]+(?:\.[A-Za-z0-9]+)*)",
        }
        try:
            parts = list(string.Formatter().parse(template))
        except ValueError:
            parts = []
        used = [field for _text, field, _spec, _conversion in parts if field is not None]
        is_plain = not any(spec or conversion for _text, _field, spec, conversion in parts)
        begins_well = len(parts) > 1 and parts[0][:2] == ("", "database") and re.match(r"[-_.]", parts[1][0])
        if sorted(used) != sorted(fields) or not is_plain or not begins_well or UNFIT.search(template):
            raise _refuse(template)
        self._places = _places(date_format)
        self._pattern = re.compile(
            "".join(re.escape(text) + fields.get(field or "", "") for text, field, *_ in parts)
        )
        if self.parse(self._fill("default", datetime.now(UTC), "dump.zst", 1)) is None:
            raise _refuse(template)

    def render(self, *, database: str, taken_at: datetime, extension: str, number: int = 1) -> str:
        """Return a name; ``number`` above 1 makes it differ from other names of the same time.

        :raises UsageError: the alias can't be used in a name.
        """
        if not re.fullmatch(r"[\w.@+-]+", database) or database.startswith((".", "-")):
            raise UsageError(
                gettext_noop("The database alias %(database)s can't be part of a file name."),
                hint=gettext_noop("Use letters, digits and “_” in the aliases of DATABASES."),
                database=repr(database),
            )
        name = self._fill(database, taken_at, extension, number)
        parsed = self.parse(name)
        if parsed is None or (parsed.database, parsed.number) != (database, number):
            raise UsageError(
                gettext_noop("The name %(name)s is ambiguous."),
                hint=gettext_noop(
                    "Change the alias in DATABASES, or DB_FILENAME_TEMPLATE and DB_DATE_FORMAT."
                ),
                name=repr(name),
            )
        return name

    def parse(self, name: str) -> ParsedName | None:
        """Return the parts of a name, or ``None`` when it is not the name of a backup."""
        found = self._pattern.fullmatch(name)
        if not found or name.endswith((MANIFEST, PIN)) or PARTIAL in name or CHECK in f".{found['ext']}.":
            return None
        digits = found["datetime"] + "0"
        try:
            # Not strptime: it would dominate the time with a hundred thousand names.
            year, month, day, *time = [int(digits[place]) for place in self._places]
            hour, minute, second, microsecond = time
            taken_at = datetime(year, month, day, hour, minute, second, microsecond, UTC)
        except ValueError:
            return None
        # No time zone may move the time out of the calendar.
        if not 1 < taken_at.year < MAXYEAR:
            return None
        return ParsedName(
            database=found["database"],
            taken_at=taken_at,
            extension=found["ext"],
            number=int(found["number"] or 1),
        )

    def _fill(self, database: str, taken_at: datetime, extension: str, number: int) -> str:
        stamp = taken_at.astimezone(UTC).strftime(self.date_format) + (f"-{number}" if number > 1 else "")
        return self.template.format(database=database, datetime=stamp, ext=extension)


def _places(date_format: str) -> list[slice]:
    """Return where each unit stands in a date of this format, from the year on; a missing one is the last character."""
    found, end = {}, 0
    for part in re.findall(r"%.|.|\n", date_format):
        unit, width = UNITS.get(part, ("", 1))
        end += width
        found[unit] = slice(end - width, end)
    return [found.get(unit, slice(-1, None)) for unit, _width in UNITS.values()]


def _date_pattern(date_format: str) -> str:
    """Return a regular expression for the dates of a format.

    :raises UsageError: a date could not be parsed back, or does not identify the day.
    """
    parts = re.findall(r"%.|.|\n", date_format)
    for part in parts:
        if (part.startswith("%") and part not in UNITS) or UNFIT.search(part):
            raise UsageError(
                gettext_noop("DB_DATE_FORMAT may not contain “%(part)s”."),
                hint=gettext_noop("It may use %%Y %%m %%d %%H %%M %%S %%f and plain characters."),
                part=part,
            )
    directives = [part for part in parts if part in UNITS]
    if len(directives) != len(set(directives)) or not {"%Y", "%m", "%d"} <= set(directives):
        raise UsageError(
            gettext_noop("DB_DATE_FORMAT %(format)s must say the year, the month and the day, each once."),
            hint=gettext_noop("Which backup is the newest is known by its name alone: add %%H%%M%%S too."),
            format=repr(date_format),
        )
    return "".join(f"[0-9]{{{UNITS[part][1]}}}" if part in UNITS else re.escape(part) for part in parts)


def _refuse(template: str) -> UsageError:
    return UsageError(
        gettext_noop("DB_FILENAME_TEMPLATE %(template)s can't be parsed back."),
        hint=gettext_noop(
            "Start with {database} and one of “- _ .”, and use {datetime} and {ext} once each, with no “/”."
        ),
        template=repr(template),
    )


def partial(name: str, run: str) -> str:
    """Return the name of an upload in flight."""
    return f"{name}{PARTIAL}{run}"


def partial_run(name: str) -> str | None:
    """Return the run that was uploading this object, or ``None`` when the name is not that of an upload in flight."""
    _name, mark, run = name.rpartition(PARTIAL)
    return run if mark else None
