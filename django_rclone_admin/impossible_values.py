"""Finds values of ``DJANGO_RCLONE`` that are impossible although their types are right. Imports neither the settings
nor Django."""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Mapping
from typing import Any

FOLDERS = ("DB_BACKUP_DIR", "MEDIA_BACKUP_DIR", "MEDIA_VERSIONS_DIR")
LOWEST = {"STALL_TIMEOUT": 0, "LISTING_CACHE_SECONDS": 0, "MEDIA_MAX_DELETE_PERCENT": 0}
"""The lowest values of numbers."""
POSITIVE = ("STALE_AFTER", "OPEN_HOURS")
"""Numbers that must be above 0."""
HIGHEST = {"MEDIA_MAX_DELETE_PERCENT": 100}
CONTROL = re.compile(r"[\x00-\x1f\x7f]")


def problems(values: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """Give the impossible values, as pairs of a message and a hint. They never show a value that may be secret."""
    yield from _problems_of_places(values)
    for key, value in values.items():
        if key in POSITIVE and not (math.isfinite(value) and value > 0):
            yield _impossible(key, "It must be a number above 0.")
        elif key in LOWEST and not (
            math.isfinite(value) and LOWEST[key] <= value <= HIGHEST.get(key, math.inf)
        ):
            upper = f" and at most {HIGHEST[key]}" if key in HIGHEST else ""
            yield _impossible(key, f"It must be a number that is at least {LOWEST[key]}{upper}.")
        elif key in FOLDERS and not _is_folder(value):
            yield _impossible(
                key, "It must be a folder below REMOTE, such as “backups/db”, without “.” or “..” as a part."
            )


def _problems_of_places(values: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    if CONTROL.search(values["REMOTE"]):
        yield _impossible("REMOTE", "It must be one line without control characters.")
    if values.get("RCLONE_BINARY") == "":
        yield _impossible("RCLONE_BINARY", "It must be the name or the full path of the program.")
    for name, value in values.get("RCLONE_ENV", {}).items():
        if not name or "=" in name or "\0" in name + value:
            yield _impossible(
                "RCLONE_ENV", f"“{CONTROL.sub('?', name)}” can't be a variable with this value."
            )


def _is_folder(value: str) -> bool:
    parts = value.strip("/").split("/")
    return value == "" or (not CONTROL.search(value) and not {"", ".", ".."} & set(parts))


def _impossible(key: str, hint: str) -> tuple[str, str]:
    return f"DJANGO_RCLONE[“{key}”] has an impossible value.", hint
