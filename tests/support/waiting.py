"""Waits for something to become true, and never longer than a test may take."""

from collections.abc import Callable
from time import monotonic, sleep
from typing import TypeVar

import pytest

T = TypeVar("T")


def wait_for(ready: Callable[[], T], timeout: float = 30) -> T:
    """Ask ``ready`` again and again until its answer counts as true, and return that."""
    deadline = monotonic() + timeout
    while not (answer := ready()):
        if monotonic() > deadline:
            pytest.fail(f"{ready} is not true after {timeout} s")
        sleep(0.01)
    return answer
