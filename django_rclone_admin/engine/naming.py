"""Names of backups: rendering and parsing are each other's inverse."""

from __future__ import annotations

import re
import string
from dataclasses import dataclass
from datetime import UTC, datetime

from ..exceptions import UsageError
from ..exceptions import gettext_noop as _

MANIFEST, PIN, PARTIAL = ".manifest.json", ".keep", ".partial-"
"""What follows the name of a backup in the names of the objects that belong to it."""

DIRECTIVES = {
    "%Y": r"\d{4}",
    "%m": r"\d\d",
    "%d": r"\d\d",
    "%H": r"\d\d",
    "%M": r"\d\d",
    "%S": r"\d\d",
    "%f": r"\d{6}",
}
"""The parts of a date format. All have a fixed width: else ``2026-1-11`` could be read in two ways."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ParsedName:
    """What a backup's name says."""

    database: str
    taken_at: datetime
    """Aware, UTC, as exact as the date format."""
    extension: str
    """Without the leading dot, such as ``dump.zst``."""
    number: int = 1
    """Above 1 when others of the same time were there before it."""


class Naming:
    """Renders and parses names by a template such as ``{database}-{datetime}.{ext}``.

    :raises UsageError: the template or the date format can't be parsed back.
    """

    def __init__(self, template: str, date_format: str) -> None:
        self.template, self.date_format = template, date_format
        pattern, known = "", {"database": 0, "datetime": 0, "ext": 0}
        try:
            parts = list(string.Formatter().parse(template))
        except ValueError:
            parts = []
        for text, field, spec, conversion in parts:
            pattern += re.escape(text)
            if field is None:
                continue
            if field not in known or spec or conversion:
                raise self._refuse(template)
            known[field] += 1
            pattern += self._pattern(field)
        if not {"%Y", "%m", "%d"} <= set(self._directives):
            raise UsageError(
                _("DB_DATE_FORMAT %(format)s does not say which day it was."),
                hint=_("Use %%Y, %%m and %%d, and %%H %%M %%S too if you can: the newest backup is known by its name."),
                format=repr(date_format),
            )
        begins_well = len(parts) > 1 and parts[0][:2] == ("", "database") and re.match(r"[-_.]", parts[1][0])
        if set(known.values()) != {1} or not begins_well or re.search(r"[/\\\x00-\x1f]", template):
            raise self._refuse(template)
        self._pattern_of_name = re.compile(pattern)

    def render(self, *, database: str, taken_at: datetime, extension: str, number: int = 1) -> str:
        """Return a name; ``number`` above 1 makes it differ from others of the same time.

        :raises UsageError: the alias can't be part of a name.
        """
        if not re.fullmatch(r"[\w.@+-]+", database) or database.startswith((".", "-")):
            raise UsageError(
                _("The database alias %(database)s can't be part of a file name."),
                hint=_("Use letters, digits and “_” in the aliases of DATABASES."),
                database=repr(database),
            )
        stamp = taken_at.astimezone(UTC).strftime(self.date_format) + (f"-{number}" if number > 1 else "")
        name = self.template.format(database=database, datetime=stamp, ext=extension)
        parsed = self.parse(name)
        if parsed is None or (parsed.database, parsed.number) != (database, number):
            raise UsageError(
                _("The name %(name)s could be mistaken for something else."),
                hint=_("Change DB_FILENAME_TEMPLATE, or the alias in DATABASES."),
                name=repr(name),
            )
        return name

    def parse(self, name: str) -> ParsedName | None:
        """Return what a name says, or ``None`` when it is not of our making."""
        found = self._pattern_of_name.fullmatch(name)
        if not found or name.endswith((MANIFEST, PIN)) or PARTIAL in name:
            return None
        try:
            taken_at = datetime.strptime(found["datetime"], self.date_format).replace(tzinfo=UTC)
        except ValueError:
            return None
        return ParsedName(
            database=found["database"],
            taken_at=taken_at,
            extension=found["ext"],
            number=int(found["number"] or 1),
        )

    def _pattern(self, field: str) -> str:
        if field == "database":
            return r"(?P<database>[\w@+][\w.@+-]*?)"
        if field == "ext":
            return r"(?P<ext>[A-Za-z0-9]+(?:\.[A-Za-z0-9]+)*)"
        dates = re.sub(
            r"%.|.", lambda part: DIRECTIVES.get(part[0]) or self._literal(part[0]), self.date_format
        )
        return rf"(?P<datetime>{dates})(?:-(?P<number>[2-9]|[1-9]\d{{1,3}}))?"

    def _literal(self, part: str) -> str:
        if part.startswith("%") or part in "/\\":
            raise UsageError(
                _("DB_DATE_FORMAT may not contain “%(part)s”."),
                hint=_("It may use %%Y %%m %%d %%H %%M %%S %%f and plain characters."),
                part=part,
            )
        return re.escape(part)

    @staticmethod
    def _refuse(template: str) -> UsageError:
        return UsageError(
            _("DB_FILENAME_TEMPLATE %(template)s can't be parsed back."),
            hint=_(
                "Start with {database} and one of “- _ .”, and use {datetime} and {ext} once each, with no “/”."
            ),
            template=repr(template),
        )


def partial(name: str, run: str) -> str:
    """Return the name of an upload in flight."""
    return f"{name}{PARTIAL}{run}"


def partial_run(name: str) -> str | None:
    """Return the run that was uploading this object, or ``None`` when it is no upload in flight."""
    _name, mark, run = name.rpartition(PARTIAL)
    return run if mark else None
