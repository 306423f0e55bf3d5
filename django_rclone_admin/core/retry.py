"""Tries again what a passing trouble of the network or the remote has spoilt: a few times, with growing pauses."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

from ..exceptions import BackupError, RemoteBusy, RemoteDenied, RemoteFull, RemoteUnknown, RemoteUnreachable
from .control import Control

WAITS = (3.0, 15.0)
"""Seconds before the second and the third attempt, which is the last."""
PASSING = (RemoteUnreachable, RemoteBusy)
"""What may be over soon; after any other error a pause is of no use."""
LASTING = (RemoteDenied, RemoteFull, RemoteUnknown)
"""What no attempt will change."""

Kinds = tuple[type[BackupError], ...]
T = TypeVar("T")


def retry(
    attempt: Callable[[int], T],
    control: Control,
    tell: Callable[[BackupError, float], None],
    *,
    on: Kinds = PASSING,
) -> T:
    """Do something until it succeeds, and return its result.

    :param attempt: does all of it; its argument counts from 0. What it has counted of bytes is taken back if it fails.
    :param control: can end the pauses, too.
    :param tell: is told why the last attempt failed, and how many seconds are left before the next.
    :param on: errors after which it is worth trying again, but for those that last.
    :raises BackupError: that of the last attempt.
    """
    bytes_before = control.bytes_done
    for number, pause in enumerate(WAITS):
        try:
            return attempt(number)
        except on as error:
            if isinstance(error, LASTING):
                raise
            control.check()
            seconds = pause if isinstance(error, PASSING) else 0
            tell(error, seconds)
        control.sleep(seconds)
        control.bytes_done = bytes_before
    return attempt(len(WAITS))
