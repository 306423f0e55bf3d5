"""Moves local files into and out of open folders, without overwriting files or following links."""

from __future__ import annotations

import contextlib
import errno
import os
import shutil
import stat
from pathlib import Path

from .access import Access

CAN_NOT_LINK = (errno.EXDEV, errno.EPERM, errno.ENOTSUP, errno.EOPNOTSUPP, errno.ENOSYS, errno.EMLINK)
"""Errors of file systems without hard links, or across two file systems."""
NEW = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
OLD = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC

Identity = tuple[int, int, int, int]
"""Identifies a file: device, inode, size, and time in nanoseconds."""


def identity(status: os.stat_result) -> Identity:
    """Return the identity of a file."""
    return status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns


def put(source: Path, folder: int, name: str, put: list[Identity]) -> bool:
    """Move a file to a name in a folder, if the name is free; false when it is taken.

    :param put: receives the identity of the moved file before any other process can see it.
    """
    put.append(identity(source.lstat()))
    try:
        os.link(source, name, dst_dir_fd=folder, follow_symlinks=False)
    except FileExistsError:
        return False
    except OSError as error:
        if error.errno not in CAN_NOT_LINK:
            raise
        try:
            put.append(_copy(source, None, name, folder))
        except FileExistsError:
            return False
    source.unlink()
    return True


def take(name: str, folder: int, place: Path) -> Identity:
    """Move a file out of a folder to a free path where no other user can write.

    :returns: its identity.
    """
    try:
        os.rename(name, place, src_dir_fd=folder)
    except OSError as error:
        if error.errno != errno.EXDEV:
            raise
        before = identity(os.lstat(name, dir_fd=folder))
        _copy(name, folder, place, None)
        if identity(os.lstat(name, dir_fd=folder)) != before:
            place.unlink()
            raise OSError(errno.EBUSY, os.strerror(errno.EBUSY)) from error
        os.unlink(name, dir_fd=folder)
        return before
    return identity(place.lstat())


def _copy(
    source: Path | str, source_folder: int | None, target: Path | str, target_folder: int | None
) -> Identity:
    """Copy a file with its access and its time; remove an incomplete copy.

    :raises FileExistsError: the target exists.
    """
    with os.fdopen(os.open(source, OLD, dir_fd=source_folder), "rb") as reader:
        status = os.fstat(reader.fileno())
        if not stat.S_ISREG(status.st_mode):
            raise OSError(errno.EXDEV, os.strerror(errno.EXDEV))
        access = Access.of(status).with_attributes(reader.fileno())
        with os.fdopen(os.open(target, NEW, 0o600, dir_fd=target_folder), "wb") as writer:
            try:
                shutil.copyfileobj(reader, writer, 1 << 20)
                writer.flush()
                access.give(writer.fileno())
                os.utime(writer.fileno(), ns=(status.st_atime_ns, status.st_mtime_ns))
                return identity(os.fstat(writer.fileno()))
            except BaseException:
                with contextlib.suppress(OSError):
                    os.unlink(target, dir_fd=target_folder)
                raise
