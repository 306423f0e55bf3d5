"""Patience with storages that show a change late: one look proves nothing."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

from .control import Control

WAITS = (0.2, 0.5, 1.0, 2.0, 3.0, 4.0)
"""Seconds between the looks. Storages that are late at all show a change after one or two."""

T = TypeVar("T")


def look_until(look: Callable[[], T], is_right: Callable[[T], bool], control: Control | None) -> T:
    """Look again and again until what is seen is right, or was wrong for too long; return what was seen last.

    :param control: can end the waiting.
    """
    control = control or Control()
    for wait in WAITS:
        seen = look()
        if is_right(seen):
            return seen
        control.sleep(wait)
    return look()
