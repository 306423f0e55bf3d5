"""Arranges the files of a media backup for browsing: by folder, searched, sorted."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import PurePosixPath
from typing import Any

from django.utils.translation import gettext as _

from .. import api

ORDERS: dict[str, Callable[[Row], Any]] = {
    "path": lambda row: row.path,
    "size": lambda row: row.size,
    "time": lambda row: row.time,
}
"""The possible orderings of the list; a leading minus reverses one."""
PICTURES = {
    ".avif": "image/avif",
    ".gif": "image/gif",
    ".jpeg": "image/jpeg",
    ".jpg": "image/jpeg",
    ".png": "image/png",
    ".webp": "image/webp",
}
"""Files that are shown as thumbnails, by extension. Not SVG, which may contain scripts."""
PICTURE_SIZE = 2 << 20
"""The largest file that is shown as a thumbnail, because the whole file is downloaded."""


@dataclass(slots=True, kw_only=True)
class Row:
    """A file, or a folder with its contents."""

    path: str
    """The path; that of a folder ends with a slash."""
    name: str
    """The path relative to the current folder."""
    size: int
    """Bytes."""
    time: str
    """The modification time; for a folder, that of its newest file."""
    modified: datetime | None
    files: int | None = None
    """The number of files in a folder; ``None`` for a file."""

    @property
    def is_picture(self) -> bool:
        """Whether it can be shown as a thumbnail."""
        return self.files is None and bool(picture_type(self.path)) and self.size <= PICTURE_SIZE


def picture_type(path: str) -> str:
    """Return the content type of a picture; empty for other files and for unsafe pictures."""
    return PICTURES.get(PurePosixPath(path).suffix.lower(), "")


def look_into(files: Iterable[api.MediaFile], folder: str) -> list[Row]:
    """Return the contents of a folder: subfolders with their totals, then files."""
    rows: dict[str, Row] = {}
    start = len(folder)
    for each in files:
        if not each.path.startswith(folder):
            continue
        name, slash, _rest = each.path[start:].partition("/")
        if not slash:
            rows[each.path] = _row(each, name)
            continue
        path = f"{folder}{name}/"
        row = rows.get(path)
        if row is None:
            rows[path] = Row(
                path=path, name=f"{name}/", size=each.size, time=each.time, modified=None, files=1
            )
            continue
        row.files, row.size = (row.files or 0) + 1, row.size + each.size
        row.time = max(row.time, each.time)
    return sorted(rows.values(), key=lambda row: row.files is None)


def search(files: Iterable[api.MediaFile], query: str) -> list[Row]:
    """Return all files whose paths contain the words of a search."""
    words = query.casefold().split()
    return [_row(each, each.path) for each in files if all(word in each.path.casefold() for word in words)]


def arrange(rows: list[Row], order: str) -> list[Row]:
    """Sort rows; folders stay before files."""
    if key := ORDERS.get(order.removeprefix("-")):
        rows.sort(key=key, reverse=order.startswith("-"))
        rows.sort(key=lambda row: row.files is None)
    return rows


def way(folder: str) -> Sequence[tuple[str, str]]:
    """Return the parent folders of a folder, from the top, as (path, name)."""
    found, path = [("", str(_("All files")))], ""
    for name in folder.split("/")[:-1]:
        path += f"{name}/"
        found.append((path, name))
    return found


def _row(file: api.MediaFile, name: str) -> Row:
    return Row(path=file.path, name=name, size=file.size, time=file.time, modified=file.modified)
