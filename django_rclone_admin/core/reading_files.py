"""Reads many files of the remote completely, to find those that can't be read."""

from __future__ import annotations

from collections.abc import Mapping

from ..exceptions import (
    BackupError,
    RemoteBusy,
    RemoteDenied,
    RemoteError,
    RemoteMisconfigured,
    RemoteUndecryptable,
    RemoteUnknown,
    RemoteUnreachable,
    gettext_noop,
)
from .control import Control
from .mirror import selections
from .rclone import Rclone, at

FOR_ALL = (RemoteUnreachable, RemoteBusy, RemoteDenied, RemoteMisconfigured, RemoteUnknown)
"""Errors of the remote as a whole, not of a single file."""
READING_SECONDS = 7 * 24 * 3600
"""Time limit for reading many files; a stalled transfer is stopped earlier."""


def unreadable(
    rclone: Rclone, folder: str, sizes: Mapping[str, int], *, control: Control
) -> dict[str, BackupError]:
    """Read files below a folder of the remote; return those that can't be read or have another length.

    :param sizes: bytes by path.
    :raises RemoteError: the remote does not answer, or refuses every file.
    """
    error = _read_all(rclone, folder, sizes, control)
    if error is None or len(sizes) == 1:
        return {path: error for path in sizes if error}
    names, middle = list(sizes), len(sizes) // 2
    found: dict[str, BackupError] = {}
    for half in (names[:middle], names[middle:]):
        found |= unreadable(rclone, folder, {name: sizes[name] for name in half}, control=control)
    return found


def _read_all(rclone: Rclone, folder: str, sizes: Mapping[str, int], control: Control) -> BackupError | None:
    """Read files and return an error if any of them had a problem."""
    count = 0

    def take(data: bytes) -> None:
        nonlocal count
        count += len(data)
        control.advance(len(data))

    for flags, stdin in selections(sizes):
        with control.watch():
            done = rclone.call(["cat", *flags], at(folder), stdin=stdin, timeout=READING_SECONDS, take=take)
        if done.status:
            error = done.failure()
            if isinstance(error, FOR_ALL) and not isinstance(error, RemoteUndecryptable):
                raise error
            return error
    if count == sum(sizes.values()):
        return None
    return RemoteError(
        gettext_noop("the remote gave %(found)d bytes instead of %(expected)d"),
        found=count,
        expected=sum(sizes.values()),
    )
