"""Waits for something to become true, and judges how long something took: both with patience on a busy machine."""

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from time import monotonic, sleep
from typing import TypeVar

import pytest

T = TypeVar("T")


def patience() -> float:
    """Return by what to multiply the seconds that something may take on a quiet machine.

    That is ``TEST_PATIENCE`` where it is set, and else what the load says now. At least 2: the load is a mean of the
    last minute.
    """
    if given := os.environ.get("TEST_PATIENCE"):
        return float(given)
    return max(2.0, 1.5 * os.getloadavg()[0] / (os.cpu_count() or 1))


def wait_for(ready: Callable[[], T], timeout: float = 30) -> T:
    """Ask ``ready`` again and again until its answer counts as true, and return that."""
    started = asked = monotonic()
    while not (answer := ready()):
        if monotonic() - started > timeout * patience():
            pytest.fail(f"{ready} is not true after {monotonic() - started:.0f} s")
        # A question that costs much is asked less often, and so is one that has been asked for long.
        sleep(max(0.01, monotonic() - asked, min(0.1, (monotonic() - started) / 20)))
        asked = monotonic()
    return answer


def let_pass(seconds: float) -> None:
    """Wait for what time alone brings, such as a heartbeat that is stale."""
    sleep(seconds)


@contextmanager
def ends_within(seconds: float) -> Iterator[None]:
    """Fail when the block takes longer than it may on a quiet machine, with patience."""
    started = monotonic()
    yield
    took = monotonic() - started
    assert took < seconds * patience(), f"took {took:.1f} s"
