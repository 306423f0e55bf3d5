"""One of many callers works, the others wait for what it finds: in this process, and among those that share a cache."""

from __future__ import annotations

import threading
import time
from collections import defaultdict
from collections.abc import Callable
from typing import Any, TypeVar

from .site_cache import site_cache

LOOK = 0.05
"""Seconds between looks whether another process has found it."""

T = TypeVar("T")

_found: dict[str, tuple[float, Any]] = {}
"""When the last work began, by the clock of this process, and what it found."""
_guard = threading.Lock()
_locks: dict[str, threading.Lock] = defaultdict(threading.Lock)


def only_one(key: str) -> threading.Lock:
    """Return the lock of this process for a piece of work."""
    with _guard:
        return _locks[key]


def once(key: str, find: Callable[[], T | None], work: Callable[[], T], *, seconds: float) -> T:
    """Return what is known, or else what the work finds. However many ask at once, one of them works.

    Nobody gets what was found by work that began before the question.

    :param find: returns what is known, or ``None``.
    :param seconds: how long the work takes at most. Another process that has not ended it by then has died.
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
