"""A sink for a stored file list: parses its lines as they arrive."""

from __future__ import annotations

from ..exceptions import BackupDamaged
from .file_lists import LONGEST, UNREADABLE, MediaFile, parse

LONGEST_LINE = 16 * LONGEST
"""Bytes."""


class ListSink:
    """Parses the lines of a stored list as they arrive."""

    def __init__(self) -> None:
        self.files: list[MediaFile] = []
        self._rest = b""

    def open(self) -> None:
        pass

    def write(self, data: bytes) -> None:
        *lines, self._rest = (self._rest + data).split(b"\n")
        if len(self._rest) > LONGEST_LINE:
            raise BackupDamaged(UNREADABLE)
        self.files += parse(lines)

    def commit(self) -> None:
        self.files += parse([self._rest])

    def abort(self) -> None:
        pass

    def close(self) -> None:
        pass
