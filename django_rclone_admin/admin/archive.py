"""Sends several files as one ZIP archive, which is written while the files arrive from the remote."""

from __future__ import annotations

import contextlib
import io
from collections.abc import Generator, Iterable, Iterator
from zipfile import ZIP_STORED, ZipFile, ZipInfo

from django.utils import timezone

from .. import api

FIRST_YEAR = 1980
"""The earliest time in a ZIP archive."""


class _Taken(io.RawIOBase):
    """Buffers written bytes until they are read."""

    def __init__(self) -> None:
        self._parts: list[bytes] = []

    def writable(self) -> bool:
        return True

    def write(self, data: object) -> int:
        part = bytes(data)  # type: ignore[call-overload]
        self._parts.append(part)
        return len(part)

    def take(self) -> bytes:
        found = b"".join(self._parts)
        self._parts.clear()
        return found


def zipped(files: Iterable[tuple[api.MediaFile, Iterator[bytes]]]) -> Generator[bytes, None, None]:
    """Give the bytes of an archive of files. They are stored uncompressed, because most media files are compressed."""
    taken = _Taken()
    with ZipFile(taken, "w", ZIP_STORED) as archive:
        for file, chunks in files:
            info = ZipInfo(file.path, _time(file))
            info.external_attr = 0o644 << 16
            with contextlib.closing(chunks), archive.open(info, "w", force_zip64=True) as entry:  # type: ignore[type-var]
                for chunk in chunks:
                    entry.write(chunk)
                    yield taken.take()
    yield taken.take()


def _time(file: api.MediaFile) -> tuple[int, int, int, int, int, int]:
    modified = file.modified and timezone.localtime(file.modified)
    if modified is None or modified.year < FIRST_YEAR:
        return (FIRST_YEAR, 1, 1, 0, 0, 0)
    return (modified.year, modified.month, modified.day, modified.hour, modified.minute, modified.second)
