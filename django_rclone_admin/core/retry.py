"""Retries work that failed because of a temporary problem of the network or the remote, with growing pauses."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

from ..exceptions import (
    BackupError,
    RemoteBusy,
    RemoteDenied,
    RemoteFull,
    RemoteMisconfigured,
    RemoteUnknown,
    RemoteUnreachable,
)
from .control import Control

WAITS = (3.0, 15.0)
"""Seconds before the second and the third attempt, which is the last."""
PASSING = (RemoteUnreachable, RemoteBusy)
"""Errors that may be temporary; after any other error a retry is useless."""
LASTING = (RemoteDenied, RemoteFull, RemoteMisconfigured, RemoteUnknown)
"""Errors that no retry will change."""

Kinds = tuple[type[BackupError], ...]
T = TypeVar("T")


def retry(
    attempt: Callable[[int], T],
    control: Control,
    on_retry: Callable[[BackupError, float], None],
    *,
    on: Kinds = PASSING,
) -> T:
    """Call ``attempt`` until it succeeds, and return its result.

    :param attempt: does all of the work; its argument counts from 0. Bytes that it counted are subtracted if it fails.
    :param control: can also end the pauses.
    :param on_retry: called with the error of the last attempt and the seconds before the next.
    :param on: errors that justify a retry, except those that are permanent.
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
            on_retry(error, seconds)
        control.sleep(seconds)
        control.bytes_done = bytes_before
    return attempt(len(WAITS))
