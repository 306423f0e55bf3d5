"""A trial of a remote: writes, reads back, renames and removes a small object."""

from __future__ import annotations

import contextlib
import re
import secrets
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from enum import StrEnum

from ..exceptions import BackupError, RemoteError, gettext_noop
from .rclone import Rclone

PREFIX = ".django-rclone-admin-probe-"
OURS = re.compile(re.escape(PREFIX) + r"(\d{14})-[0-9a-f]{8}(-renamed)?")
STAMP = "%Y%m%d%H%M%S"
LEFT_AFTER = timedelta(hours=1)
"""A probe of this age was left by a process that was killed."""


class Step(StrEnum):
    """The steps, in this order."""

    WRITE = "write"
    READ = "read"
    RENAME = "rename"
    REMOVE = "remove"


def probe(rclone: Rclone, folder: str) -> dict[Step, BackupError | None]:
    """Try the steps in a folder of the remote; return the steps that were tried, each with its error or ``None``.

    A step that depends on a failed step is skipped. The probe is removed, unless the removal fails.
    """
    name = f"{PREFIX}{datetime.now(UTC).strftime(STAMP)}-{secrets.token_hex(4)}"
    path = "/".join(filter(None, (folder, name)))
    content = secrets.token_hex(32).encode()
    found: dict[Step, BackupError | None] = {}
    try:
        with _noting(found, Step.WRITE):
            rclone.write(path, content)
        if found[Step.WRITE] is None:
            with _noting(found, Step.READ):
                _read_back(rclone, folder, name, content)
            with _noting(found, Step.RENAME):
                rclone.move(path, f"{path}-renamed")
    finally:
        with _noting(found, Step.REMOVE):
            _remove(rclone, folder, path)
        if found.get(Step.WRITE):
            del found[Step.REMOVE]
    return found


@contextlib.contextmanager
def _noting(found: dict[Step, BackupError | None], step: Step) -> Iterator[None]:
    found[step] = None
    try:
        yield
    except BackupError as error:
        found[step] = error


def _read_back(rclone: Rclone, folder: str, name: str, content: bytes) -> None:
    read: list[bytes] = []
    rclone.read_many(folder, [name], read.append)
    if b"".join(read) != content:
        raise RemoteError(gettext_noop("The remote returned other data than was written to it."))


def _remove(rclone: Rclone, folder: str, path: str) -> None:
    """Remove a probe under both of its names, and old probes."""
    own = {path.rpartition("/")[2], f"{path.rpartition('/')[2]}-renamed"}
    for name in sorted(own):
        rclone.delete("/".join(filter(None, (folder, name))))
    there = {each.name for each in rclone.list_folder(folder) or []}
    for name in there - own:
        if (left := OURS.fullmatch(name)) and _age(left[1]) > LEFT_AFTER:
            rclone.delete("/".join(filter(None, (folder, name))))
    if there & own:
        raise RemoteError(gettext_noop("The remote did not remove %(name)s."), name=path)


def _age(stamp: str) -> timedelta:
    return datetime.now(UTC) - datetime.strptime(stamp, STAMP).replace(tzinfo=UTC)
