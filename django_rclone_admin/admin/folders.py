"""The files of a media backup as a person browses them: folder by folder, searched, sorted."""

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
"""What the list can be ordered by; with a minus before it, backwards."""
PICTURES = {
    ".avif": "image/avif",
    ".gif": "image/gif",
    ".jpeg": "image/jpeg",
    ".jpg": "image/jpeg",
    ".png": "image/png",
    ".webp": "image/webp",
}
"""What is shown as a small picture, by its extension. Not SVG: that is a page, which may run scripts."""
PICTURE_SIZE = 2 << 20
"""Bytes of the largest file that is shown so: all of them have to come."""


@dataclass(slots=True, kw_only=True)
class Row:
    """A file, or a folder with all that is in it."""

    path: str
    """A folder's ends with a slash."""
    name: str
    """The path, without the folder that is looked at."""
    size: int
    """Bytes."""
    time: str
    """When it was modified; of a folder, its newest file."""
    modified: datetime | None
    files: int | None = None
    """How many files are in a folder; ``None`` for a file."""

    @property
    def is_picture(self) -> bool:
        """Whether it can be shown as a small picture."""
        return self.files is None and bool(picture_type(self.path)) and self.size <= PICTURE_SIZE


def picture_type(path: str) -> str:
    """Return the content type of a picture; empty for what is none, or none that is harmless."""
    return PICTURES.get(PurePosixPath(path).suffix.lower(), "")


def look_into(files: Iterable[api.MediaFile], folder: str) -> list[Row]:
    """Return what is in a folder: folders with the sums of what is in them, then files."""
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
    """Return all files whose paths have the words of a search in them."""
    words = query.casefold().split()
    return [_row(each, each.path) for each in files if all(word in each.path.casefold() for word in words)]


def arrange(rows: list[Row], order: str) -> list[Row]:
    """Sort rows; folders stay before files."""
    if key := ORDERS.get(order.removeprefix("-")):
        rows.sort(key=key, reverse=order.startswith("-"))
        rows.sort(key=lambda row: row.files is None)
    return rows


def way(folder: str) -> Sequence[tuple[str, str]]:
    """Return the folders that lead to one, from the top, as (path, name)."""
    found, path = [("", str(_("All files")))], ""
    for name in folder.split("/")[:-1]:
        path += f"{name}/"
        found.append((path, name))
    return found


def _row(file: api.MediaFile, name: str) -> Row:
    return Row(path=file.path, name=name, size=file.size, time=file.time, modified=file.modified)
