"""Owner and permissions of local files: kept when a file is replaced, copied from neighbouring files when it is new."""

from __future__ import annotations

import contextlib
import itertools
import os
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

from .file_lists import parents

ATTRIBUTES = ("system.posix_acl_access", "security.selinux")
"""Extended attributes that decide about access besides owner and mode, on Linux."""


class Access(NamedTuple):
    """Owner and permissions of a file or a folder."""

    mode: int
    """The permission bits, without setuid and setgid for files."""
    uid: int = -1
    """``-1``: the owner is not set."""
    gid: int = -1
    attributes: tuple[tuple[str, bytes], ...] = ()

    @classmethod
    def of(cls, status: os.stat_result) -> Access:
        return cls(status.st_mode & 0o7777, status.st_uid, status.st_gid)

    def with_attributes(self, file: Path | int) -> Access:
        """Return the same access with the attributes of ``file``, which may be a link."""
        found = []
        for name in ATTRIBUTES if hasattr(os, "getxattr") else ():
            with contextlib.suppress(OSError):
                is_open = isinstance(file, int)
                found.append((name, os.getxattr(file, name, follow_symlinks=is_open)))
        return self._replace(attributes=tuple(found))

    def give(self, file: Path | int) -> None:
        """Set this access on a file or folder, as far as this process may. No other user may be able to write to its
        path."""
        for owner in (self.uid, self.gid), (-1, self.gid):
            with contextlib.suppress(PermissionError):
                os.chown(file, *owner)
                break
        with contextlib.suppress(PermissionError):  # a file system without modes
            os.chmod(file, self.mode)  # noqa: PTH101 (it may be open)
        for name, value in self.attributes:
            with contextlib.suppress(OSError):
                os.setxattr(file, name, value)


@dataclass(slots=True, kw_only=True)
class Habits:
    """The access of the files and folders below a folder. Keys are system paths of folders below it."""

    files: dict[str, Access] = field(default_factory=dict)
    """An example file for each folder: one in it, or else one further below."""
    folders: dict[str, Access] = field(default_factory=dict)
    """An example subfolder for each folder, one that contains files."""

    def complete(self, root: Path) -> None:
        """Fill in examples for the folders above those that contain files."""
        for folder, access in sorted(self.files.items()):
            for child, above in _steps(folder):
                self.files.setdefault(above, access)
                if above not in self.folders:
                    with contextlib.suppress(OSError):
                        self.folders[above] = Access.of((root / child).lstat())

    def file_in(self, folder: str) -> Access | None:
        """Return the access that a new file in a folder should have, or ``None`` if no file near it gives an
        example."""
        return next((self.files[each] for each in (folder, *_above(folder)) if each in self.files), None)


def _steps(folder: str) -> Iterable[tuple[str, str]]:
    """Give each folder on the way up, with its parent."""
    way = [folder, *_above(folder)]
    return itertools.pairwise(way)


def _above(folder: str) -> list[str]:
    return [*parents(folder), ""] if folder else []


@dataclass(frozen=True, slots=True, kw_only=True)
class Permissions:
    """The permissions that the site configures for new files and folders; ``None``: copy those of neighbouring
    files."""

    file: int | None = None
    folder: int | None = None
    file_otherwise: int = 0o644
    """For a file without a neighbour to copy from."""
