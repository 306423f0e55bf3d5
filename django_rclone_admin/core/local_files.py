"""Lists the files below a local folder: faster than rclone, and including what rclone skips."""

from __future__ import annotations

import contextlib
import functools
import os
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path

from .access import Access, Habits
from .file_lists import MediaFile

PICTURES = (
    {code: chr(0x2400 + code) for code in range(1, 32)}
    | {0x7F: "\u2421"}
    | {code: f"\u201b{chr(code)}" for code in (*range(0x2401, 0x2420), 0x2421)}
    | dict.fromkeys(range(0xDC80, 0xDD00), "\ufffd")
)
"""rclone's replacement for characters that a remote name may not contain: a picture character, quoted if it is real."""
STRANGE = re.compile("[\x01-\x1f\x7f\u201b\u2401-\u241f\u2421\udc80-\udcff]")
QUOTE = re.compile("((?<![^/])\u201b\uff0e(?![^/])|\u201b[\u201b\u2400\uff0f])|\u201b")
"""The quote sign. Quote signs in a name on the disk are quoted too."""
TIME = re.compile(r"(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d)(?:\.(\d{1,9}))?(?:Z|\+00:00)")
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


@dataclass(slots=True, kw_only=True)
class LocalFiles:
    """The contents of a folder."""

    files: list[MediaFile] = field(default_factory=list)
    """In the order of their paths, in rclone's spelling."""
    names: dict[str, str] = field(default_factory=dict)
    """The system paths of files whose path rclone spells differently."""
    skipped: list[str] = field(default_factory=list)
    """The system paths of symbolic links, sockets and other special files."""
    closed: dict[str, str] = field(default_factory=dict)
    """The system paths of folders that can't be listed, with the reason."""
    habits: Habits = field(default_factory=Habits)


def scan(root: Path, *, passing_over: str | None = None) -> LocalFiles | None:
    """List the files below a folder without following links; ``None`` when the folder does not exist.

    :param passing_over: the prefix of folder names that are not media files.
    """
    found, folders = LocalFiles(), [""]
    while folders:
        folder = folders.pop()
        try:
            # By its descriptor, so that the system need not follow the whole path of each file.
            with _opened(root / folder) as fd, os.scandir(fd) as entries:
                folders += _read(found, folder, entries)
        except (FileNotFoundError, NotADirectoryError):
            if not folder:
                return None
            continue  # removed since the folder above was read
        except OSError as error:
            found.closed[folder.rstrip("/")] = error.strerror or str(error)
        if not folder and passing_over:
            folders = [each for each in folders if not each.startswith(passing_over)]
    found.files.sort()
    found.habits.complete(root)
    return found


@contextlib.contextmanager
def _opened(folder: Path) -> Iterator[int]:
    fd = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        yield fd
    finally:
        os.close(fd)


def _read(found: LocalFiles, folder: str, entries: Iterator[os.DirEntry[str]]) -> list[str]:
    """Add the files of one folder, and return its subfolders. Called once a folder: there may be a million files."""
    folders, add, access = [], found.files.append, None
    for entry in entries:
        path = folder + entry.name
        if entry.is_dir(follow_symlinks=False):
            folders.append(f"{path}/")
            continue
        if not entry.is_file(follow_symlinks=False):
            found.skipped.append(path)
            continue
        try:
            status = entry.stat(follow_symlinks=False)
        except FileNotFoundError:
            continue
        access = access or Access.of(status)
        if not (path.isascii() and path.isprintable()) and STRANGE.search(path):
            name, path = path, as_rclone(path)
            found.names[path] = name
        add(MediaFile(path, status.st_size, stamp(status.st_mtime_ns)))
    if access:
        found.habits.files[folder.rstrip("/")] = access
    return folders


def as_rclone(path: str) -> str:
    """Return a system path in rclone's spelling."""
    if not STRANGE.search(path):
        return path
    return QUOTE.sub(lambda found: found[1] or "\u201b\u201b", path).translate(PICTURES)


def stamp(nanoseconds: int) -> str:
    """Return a time since 1970 in rclone's format, or an empty string if it is outside of the calendar."""
    try:
        return f"{_second(nanoseconds // 10**9)}.{nanoseconds % 10**9:09d}Z"
    except OverflowError:
        return ""


@functools.lru_cache(maxsize=1024)
def _second(seconds: int) -> str:
    return (EPOCH + timedelta(seconds=seconds)).isoformat()[:19]


def nanoseconds(time: str) -> int | None:
    """Return a UTC time written by :func:`stamp` or rclone as nanoseconds since 1970; ``None`` for any other text."""
    found = TIME.fullmatch(time)
    if not found:
        return None
    try:
        since = datetime.fromisoformat(f"{found[1]}+00:00") - EPOCH
    except ValueError:
        return None
    return since // timedelta(seconds=1) * 10**9 + int((found[2] or "").ljust(9, "0"))
