"""Repeats a look at the remote, because some storages show a change late."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

from .control import Control

WAITS = (0.2, 0.5, 1.0, 2.0, 3.0, 4.0)
"""Seconds between the attempts. Storages that are late show a change after one or two."""

T = TypeVar("T")


def look_until(look: Callable[[], T], is_right: Callable[[T], bool], control: Control | None) -> T:
    """Call ``look`` until its result is right or the attempts are used up; return the last result.

    :param control: can end the wait.
    """
    control = control or Control()
    for wait in WAITS:
        seen = look()
        if is_right(seen):
            return seen
        control.sleep(wait)
    return look()
