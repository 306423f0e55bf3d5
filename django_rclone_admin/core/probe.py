"""A trial of a remote: writes, reads back, renames and removes a small object."""

from __future__ import annotations

import contextlib
import re
import secrets
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from enum import StrEnum

from ..exceptions import BackupError, RemoteError, gettext_noop
from .patience import look_until
from .rclone import Rclone

PREFIX, RENAMED = ".django-rclone-admin-probe-", "-renamed"
OURS = re.compile(rf"{re.escape(PREFIX)}(\d{{14}})-[0-9a-f]{{8}}({RENAMED})?")
STAMP = "%Y%m%d%H%M%S"
LEFT_AFTER = timedelta(hours=1)
"""A probe of this age was left by a process that was killed."""


class NotStored(RemoteError):
    """rclone reported that the probe was written, but not all of it is there."""


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
    path = _path(folder, name)
    content = secrets.token_hex(32).encode()
    found: dict[Step, BackupError | None] = {}
    try:
        with _noting(found, Step.WRITE):
            rclone.put(path, content)
        if found[Step.WRITE] is None:
            with _noting(found, Step.READ):
                _read_back(rclone, folder, name, content)
        if isinstance(found.get(Step.READ), NotStored):
            found[Step.WRITE] = found[Step.READ]
        if found[Step.WRITE] is None:
            with _noting(found, Step.RENAME):
                rclone.move(path, f"{path}{RENAMED}")
    finally:
        is_renamed = Step.RENAME in found and found[Step.RENAME] is None
        with _noting(found, Step.REMOVE):
            _remove(rclone, folder, name, is_renamed=is_renamed)
    return {Step.WRITE: found[Step.WRITE]} if found[Step.WRITE] else found


@contextlib.contextmanager
def _noting(found: dict[Step, BackupError | None], step: Step) -> Iterator[None]:
    found[step] = None
    try:
        yield
    except BackupError as error:
        found[step] = error


def _read_back(rclone: Rclone, folder: str, name: str, content: bytes) -> None:
    """Compare what the remote returns with what was written; a storage may show a new object late.

    :raises NotStored: the remote has less of it, or nothing.
    :raises RemoteError: it can't be read, or other data is returned.
    """

    def read() -> bytes:
        pieces: list[bytes] = []
        rclone.read_many(folder, [name], pieces.append)
        return b"".join(pieces)

    found = look_until(read, lambda data: len(data) >= len(content), rclone.control)
    if len(found) < len(content):
        raise NotStored(gettext_noop("The remote did not keep all of %(name)s."), name=name)
    if found != content:
        raise RemoteError(gettext_noop("The remote returned other data than was written to it."))


def _remove(rclone: Rclone, folder: str, name: str, *, is_renamed: bool) -> None:
    """Remove a probe, and old probes.

    :param is_renamed: whether it certainly has its second name; otherwise it may have either.
    """
    own = [name, f"{name}{RENAMED}"]
    for each in own[is_renamed:]:
        rclone.delete(_path(folder, each))
    there = {each.name for each in rclone.list_folder(folder) or []}
    for each in there.difference(own):
        if (left := OURS.fullmatch(each)) and _age(left[1]) > LEFT_AFTER:
            rclone.delete(_path(folder, each))
    if there.intersection(own):
        raise RemoteError(gettext_noop("The remote did not remove %(name)s."), name=_path(folder, name))


def _path(folder: str, name: str) -> str:
    return f"{folder}/{name}" if folder else name


def _age(stamp: str) -> timedelta:
    return datetime.now(UTC) - datetime.strptime(stamp, STAMP).replace(tzinfo=UTC)
