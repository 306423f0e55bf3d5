"""Finds values of ``DJANGO_RCLONE`` that are impossible although their types are right. Imports neither the settings
nor Django."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

from .core.command import can_be_given, is_variable
from .core.printable import printable

FOLDERS = ("DB_BACKUP_DIR", "MEDIA_BACKUP_DIR", "MEDIA_VERSIONS_DIR")
LOWEST = {"STALL_TIMEOUT": 0, "LISTING_CACHE_SECONDS": 0, "MEDIA_MAX_DELETE_PERCENT": 0}
"""The lowest values of numbers."""
POSITIVE = ("STALE_AFTER", "OPEN_HOURS")
"""Numbers that must be above 0."""
DAYS = 36500
HOURS, SECONDS = DAYS * 24, DAYS * 24 * 3600
"""The longest time in a setting, a hundred years: a far longer one can't be added to a date."""
BYTES = 2**63 - 1
"""The largest size, which is that of rclone, and the largest number of rows."""
HIGHEST = {
    "MEDIA_MAX_DELETE_PERCENT": 100,
    "STALE_AFTER": SECONDS,
    "STALL_TIMEOUT": SECONDS,
    "LISTING_CACHE_SECONDS": SECONDS,
    "OPEN_HOURS": HOURS,
}
"""The highest values of all these numbers. A comparison also refuses NaN, and knows integers that are no float."""
GIVEN = (
    "REMOTE",
    "RCLONE_BINARY",
    "RCLONE_CONFIG",
    "RCLONE_FLAGS",
    "MEDIA_SOURCE",
    "MEDIA_EXCLUDE",
    *FOLDERS,
)
"""Text, and lists of text, that programs are given."""
UNFIT = "No program can be given it: it has a NUL character, or one that the system can't encode."
CONTROL = re.compile(r"[\x00-\x1f\x7f]")


def problems(values: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """Give the impossible values, as pairs of a message and a hint. They never show a value that may be secret."""
    for key, value in values.items():
        if key in GIVEN and not all(map(can_be_given, [value] if isinstance(value, str) else value or ())):
            yield _impossible(key, UNFIT)
        elif key in POSITIVE and not 0 < value <= HIGHEST[key]:
            yield _impossible(key, f"It must be a number above 0 and at most {HIGHEST[key]}.")
        elif key in LOWEST and not LOWEST[key] <= value <= HIGHEST[key]:
            yield _impossible(
                key, f"It must be a number that is at least {LOWEST[key]} and at most {HIGHEST[key]}."
            )
        elif key == "REMOTE" and CONTROL.search(value):
            yield _impossible(key, "It must be one line without control characters.")
        elif key == "RCLONE_BINARY" and value == "":
            yield _impossible(key, "It must be the name or the full path of the program.")
        elif key in FOLDERS and not _is_folder(value):
            yield _impossible(
                key, "It must be a folder below REMOTE, such as “backups/db”, without “.” or “..” as a part."
            )
    for name, value in values.get("RCLONE_ENV", {}).items():
        if not is_variable(name, value):
            yield _impossible("RCLONE_ENV", f"“{printable(name)}” can't be a variable with this value.")


def _is_folder(value: str) -> bool:
    parts = value.strip("/").split("/")
    return value == "" or (not CONTROL.search(value) and not {"", ".", ".."} & set(parts))


def _impossible(key: str, hint: str) -> tuple[str, str]:
    return f"DJANGO_RCLONE[“{key}”] has an impossible value.", hint
