"""Validates ``VERIFY_CHECKS``: the site's own requirements for the data in a backup."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

from .impossible_values import BYTES, HOURS
from .suggestions import suggestion

Limits = dict[str, dict[str, Any]]
"""By model, such as ``shop.Order``: ``min_rows``, and ``newest`` as a field and hours."""
OwnCheck = str | Limits
"""The dotted path of a callable, or limits."""

KEYS = ("min_rows", "newest")
DOTTED = re.compile(r"[^\W\d]\w*(\.[^\W\d]\w*)+")
MODEL = re.compile(r"[^\W\d]\w*\.[^\W\d]\w*")


def problems(checks: Mapping[str, list[OwnCheck] | Limits]) -> Iterator[tuple[str, str]]:
    """Give the problems of checks whose types are right, as pairs of a message and a hint."""
    for alias, own in checks.items():
        place = f"VERIFY_CHECKS of “{alias}”"
        for each in [own] if isinstance(own, dict) else own:
            if isinstance(each, dict):
                for label, limits in each.items():
                    yield from _problems_of_limits(place, label, limits)
            elif not DOTTED.fullmatch(each):
                yield (
                    f"{place} has “{each}”, which is not a dotted path.",
                    "Write it like “shop.checks.has_orders”.",
                )


def _problems_of_limits(place: str, label: str, limits: dict[str, Any]) -> Iterator[tuple[str, str]]:
    if not MODEL.fullmatch(label):
        yield f"{place} has “{label}”, which is not a model.", "Write it like “shop.Order”."
    for key, value in limits.items():
        if key not in KEYS:
            hint = suggestion(key, KEYS, what="keys")
            yield f"{place} has an unknown key “{key}” for {label}.", hint
        elif key == "min_rows" and not _is_number(value, int, BYTES):
            yield (
                f"{place} has a “min_rows” for {label} that is not a number of rows.",
                f"Use a whole number from 0 to {BYTES}.",
            )
        elif key == "newest" and not _is_newest(value):
            hint = f'Write the name of a field and hours, at most {HOURS}: ("created_at", 24).'
            yield f"{place} has a “newest” for {label} that is not a field with hours.", hint


def _is_newest(value: object) -> bool:
    if not isinstance(value, list | tuple) or len(value) != 2:
        return False
    field, hours = value
    return isinstance(field, str) and bool(field) and _is_number(hours, int | float, HOURS)


def _is_number(value: object, kind: Any, highest: int) -> bool:
    return isinstance(value, kind) and not isinstance(value, bool) and 0 <= value <= highest
