"""The limits in ``HEALTH``: global ones, and those of single databases. Imports neither the settings nor Django."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Self

from ..core.naming import MEDIA
from ..impossible_values import BYTES, DAYS, HOURS
from ..suggestions import suggestion
from .levels import Rule


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """The limits of one database or of the media files. ``None`` turns a limit off."""

    max_age_hours: float | None = 26
    max_verified_age_days: float | None = 30
    max_size_drop_percent: float | None = 50
    min_size: float | None = 1
    """Bytes."""
    max_run_hours: float | None = 24

    @classmethod
    def of(cls, part: str, health: Mapping[str, Any]) -> Self:
        """Return the limits of a database or of the media files."""
        own = health.get(part)
        values = {**health, **(own if isinstance(own, dict) else {})}
        return cls(**{name: values[name] for name in NAMES if name in values})


@dataclass(frozen=True, slots=True, kw_only=True)
class SiteLimits:
    """The options of ``HEALTH`` for the whole site."""

    max_answer_age_hours: float | None = 26
    """How old the stored facts may be."""
    min_free: float | None = None
    """The least free bytes on the remote; by default twice the size of the last backups."""
    token: str = dataclasses.field(default="", repr=False)
    """The token for ``health/`` and ``metrics/``."""
    ignore: tuple[str, ...] = ()
    """Rules, or a rule and its subject, that are ignored."""

    @classmethod
    def of(cls, health: Mapping[str, Any]) -> Self:
        """Return the site options of a ``HEALTH`` dictionary."""
        values = {name: health[name] for name in SITE_NAMES if name in health}
        return cls(**{**values, "ignore": tuple(values.get("ignore", ()))})


NAMES = tuple(each.name for each in dataclasses.fields(Limits))
SITE_NAMES = tuple(each.name for each in dataclasses.fields(SiteLimits))
HIGHEST = {
    "max_age_hours": HOURS,
    "max_verified_age_days": DAYS,
    "max_size_drop_percent": 100,
    "min_size": BYTES,
    "max_run_hours": HOURS,
    "max_answer_age_hours": HOURS,
    "min_free": BYTES,
}
"""The highest values of all numbers."""


def is_judged(part: str, health: Mapping[str, Any]) -> bool:
    """Whether a database, or the media files, is evaluated at all."""
    return health.get(part) is not False


def problems_of_health(health: Mapping[str, Any], aliases: Iterable[str]) -> list[tuple[str, str]]:
    """Return the problems of ``HEALTH``, as pairs of a message and a hint.

    :param aliases: the aliases of ``DATABASES``.
    """
    parts, found = {*aliases, MEDIA}, []
    for key, value in health.items():
        if key in HIGHEST:
            found += _problems_of_number("HEALTH", key, value)
        elif key == "token":
            if not isinstance(value, str) or not value.strip():
                found.append(
                    ("HEALTH[“token”] is empty or not text.", "Give a long, random text, or leave it out.")
                )
        elif key == "ignore":
            found += _problems_of_ignored(value)
        elif key in parts:
            found += _problems_of_part(key, value)
        else:
            known = [*NAMES, *SITE_NAMES, *sorted(parts)]
            found.append((f"HEALTH has an unknown key “{key}”.", suggestion(key, known, what="keys")))
    return found


def _problems_of_part(part: str, value: object) -> list[tuple[str, str]]:
    if value is False:
        return []
    if not isinstance(value, dict):
        hint = "It must be a dictionary of limits, or False to leave it out."
        return [(f"HEALTH[“{part}”] has the wrong type.", hint)]
    where, found = f"HEALTH[“{part}”]", []
    for key, each in value.items():
        if key in NAMES:
            found += _problems_of_number(where, key, each)
        else:
            found.append((f"{where} has an unknown key “{key}”.", suggestion(key, NAMES, what="keys")))
    return found


def _problems_of_number(where: str, key: str, value: object) -> list[tuple[str, str]]:
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    if value is None or (is_number and 0 <= value <= HIGHEST[key]):  # type: ignore[operator]
        return []
    hint = f"It must be a number from 0 to {HIGHEST[key]}, or None for no limit."
    return [(f"{where}[“{key}”] has an impossible value.", hint)]


def _problems_of_ignored(value: object) -> list[tuple[str, str]]:
    if not isinstance(value, list | tuple) or not all(isinstance(each, str) for each in value):
        hint = "It must be a list of rules as text, such as [“no_schedule”]."
        return [("HEALTH[“ignore”] has the wrong type.", hint)]
    return [
        (f"HEALTH[“ignore”] names an unknown rule “{each}”.", suggestion(each, list(Rule), what="rules"))
        for each in value
        if each.partition(":")[0] not in set(Rule)
    ]
