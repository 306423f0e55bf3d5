"""Private temporary folders."""

from __future__ import annotations

import contextlib
import fcntl
import os
import re
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

from ..exceptions import NoPrivateFolder, gettext_noop

PREFIX = "django-rclone-admin-"
OURS = re.compile(rf"{PREFIX}[a-z0-9_]{{8}}")

_locks: dict[Path, int] = {}
"""The descriptors of our folders. The lock on each ends with this process, and all containers that share the folder for
temporary files see it; a process number would mean nothing there."""


def private_folder() -> Path:
    """Create a folder that only this account can read, and remove those that killed processes left behind.

    The caller removes it with :func:`remove_folder`.

    :raises NoPrivateFolder: the system can't create one.
    """
    with explained():
        _sweep(Path(tempfile.gettempdir()))
        return _create()


@contextlib.contextmanager
def explained() -> Iterator[None]:
    """Turn a system error about a private folder, or a file in it, into an error with a hint."""
    try:
        yield
    except OSError as error:
        raise NoPrivateFolder(
            gettext_noop("A private temporary folder can't be used: %(reason)s."), reason=error.strerror
        ) from error


def _create() -> Path:
    while True:
        folder = Path(tempfile.mkdtemp(prefix=PREFIX))
        try:
            descriptor = os.open(folder, os.O_RDONLY)
        except FileNotFoundError:  # another process removed it already
            continue
        _locks[folder] = descriptor
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:  # another process is about to remove it
            remove_folder(folder)
            continue
        except OSError:  # a file system without locks: no process gets one, so none sweeps
            pass
        if folder.exists():
            return folder
        remove_folder(folder)


def remove_folder(folder: Path) -> None:
    """Remove a private folder with its contents."""
    shutil.rmtree(folder, ignore_errors=True)
    if (descriptor := _locks.pop(folder, None)) is not None:
        os.close(descriptor)


def _sweep(base: Path) -> None:
    for left in base.glob(f"{PREFIX}*"):
        with contextlib.suppress(OSError):  # another process sweeps, too; or the folder is not ours
            if not OURS.fullmatch(left.name) or left.stat(follow_symlinks=False).st_uid != os.getuid():
                continue
            descriptor = os.open(left, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
                shutil.rmtree(left)
            finally:
                os.close(descriptor)
