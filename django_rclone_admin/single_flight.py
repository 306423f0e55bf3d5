"""Shares work between concurrent callers: one works, the others wait for its result, across processes with a cache."""

from __future__ import annotations

import threading
import time
from collections import defaultdict
from collections.abc import Callable
from typing import Any, TypeVar

from .site_cache import site_cache

LOOK = 0.05
"""Seconds between two checks for a result of another process."""

T = TypeVar("T")

_found: dict[str, tuple[float, Any]] = {}
"""The start of the last work, by the clock of this process, and its result."""
_guard = threading.Lock()
_locks: dict[str, threading.Lock] = defaultdict(threading.Lock)


def only_one(key: str) -> threading.Lock:
    """Return this process's lock for a key."""
    with _guard:
        return _locks[key]


def once(key: str, find: Callable[[], T | None], work: Callable[[], T], *, seconds: float) -> T:
    """Return a known result, or else the result of ``work``. Of concurrent callers, only one works.

    A caller never gets the result of work that began before its call.

    :param find: returns the known result, or ``None``.
    :param seconds: time limit of the work. Another process that exceeds it is assumed dead.
    """
    asked = time.monotonic()
    with only_one(key):
        began, value = _found.get(key, (float("-inf"), None))
        if began >= asked:
            answer: T = value
            return answer
        flight, end = f"{key}.flight", time.monotonic() + seconds
        while True:
            found = find()
            if found is not None:
                return found
            if site_cache.add(flight, True, seconds) or time.monotonic() > end:
                break
            time.sleep(LOOK)
        try:
            began = time.monotonic()
            found = work()
            _found[key] = (began, found)
            return found
        finally:
            site_cache.delete_many([flight])
