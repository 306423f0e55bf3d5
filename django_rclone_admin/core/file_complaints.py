"""Finds the single files that rclone reports problems with, so that an error names the file and the right side."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from ..exceptions import BackupError, LocalFileError, gettext_noop
from .complaints import explain

ABOUT_FILES = re.compile(r"(Object|Directory|^string)$")
"""rclone's words for things with a path; it also reports problems of whole remotes."""
ABOUT_SOURCE = re.compile(
    r"source (object|file|directory)|failed to open directory|error listing|reading directory"
)
AT_PATH = re.compile(r"\b(\w+) (?:/|[\w.-]+/).*: (?=[^:]+$)")
"""An operation with its path, which is encrypted and meaningless at a crypt remote."""
FEW = 3
"""How many problems are kept; a message has room for the first."""


class FileComplaints:
    """Reads the log of one rclone process, and explains its failure by the files that it names.

    :param source_is_local: whether the files come from this machine.
    :param into: the local target folder, if there is one.
    """

    def __init__(self, *, source_is_local: bool = False, into: str | None = None) -> None:
        self._source_is_local, self._into = source_is_local, into
        self._found: list[tuple[str, str]] = []

    def hear(self, entry: Mapping[str, Any]) -> None:
        """Read one entry of the log."""
        path, about = str(entry.get("object") or ""), str(entry.get("objectType", ""))
        if entry.get("level") == "error" and path and ABOUT_FILES.search(about) and len(self._found) < FEW:
            self._found.append((path, str(entry.get("msg", ""))))

    def explain(self, name: str, status: int, output: str) -> BackupError:
        """Turn the failure into an error."""
        if status < 0 or not self._found:
            return explain(name, status, output)
        path, complaint = self._found[0]
        reason = AT_PATH.sub("", complaint).rpartition("Failed to copy: ")[2]
        values = {"path": repr(path), "reason": reason.rpartition(": ")[2]}
        if "no such file" not in complaint:  # it was removed while it was read: not a problem of the machine
            if self._source_is_local and ABOUT_SOURCE.search(complaint):
                return LocalFileError(
                    gettext_noop("The media file %(path)s can't be read: %(reason)s."), **values
                )
            if self._into and self._into in complaint:
                return LocalFileError(
                    gettext_noop("The media file %(path)s can't be written: %(reason)s."), **values
                )
        return explain(name, status, f"{values['path']}: {reason}")
