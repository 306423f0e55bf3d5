"""The mirror of the media files: what rclone does with many files at once."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import Any

from .command import Command
from .control import Control
from .programs import follow
from .rclone import NO_FOLDER, STREAM_FLAGS, Entry, Rclone, answer, at

LOCAL = "djangorcloneadminlocal"
"""The name under which rclone sees the media files of the site, for the same reasons as ``rclone.ALIAS``."""
FLAGS = (
    # A second try would put what the first one copied over the old version in the folder of versions.
    "--retries=1",
    "--use-json-log",
    "--stats=1s",
    "--stats-log-level=NOTICE",
    "--low-level-retries=3",
    "--contimeout=15s",
)
AN_HOUR = 3_600_000_000_000
"""Nanoseconds. A remote whose times are less exact than this keeps none."""
LISTING_SECONDS = 3600
"""How long the listing of all files may take."""
ODD = re.compile("[\n\r\ufffd]")
"""A path with one of these can't be told to rclone by its name: what is not UTF-8 shows as U+FFFD."""
ODD_AT_ONCE = 200
"""How many patterns for them go into one argument list."""


class Mirror:
    """Copies files between a place of the site and the remote.

    :param place: a folder or an rclone path: where the site's media files are.
    :param excludes: patterns of files that are neither copied nor counted.
    """

    def __init__(self, rclone: Rclone, place: str, excludes: Sequence[str] = ()) -> None:
        variable = f"RCLONE_CONFIG_{LOCAL.upper()}"
        local = {f"{variable}_TYPE": "alias", f"{variable}_REMOTE": place}
        self.rclone = replace(
            rclone,
            # The time zone is for the times of the listing: then none of them has to be converted.
            env={**rclone.env, **local, "TZ": "UTC"},
            timeout=LISTING_SECONDS,
        )
        self.filters = [f"--exclude={pattern}" for pattern in excludes]

    def local_files(self, *, everything: bool = False) -> list[Entry] | None:
        """Return the files of the site, or ``None`` when their place does not exist.

        :param everything: the excluded ones too.
        """
        return self.rclone.list(f"{LOCAL}:", recursive=True, filters=[] if everything else self.filters)

    def remote_files(
        self, folder: str, *, everything: bool = False, only: Iterable[str] | None = None, within: str = ""
    ) -> list[Entry]:
        """Return the files below a folder of the remote; one that is not there yet is empty.

        :param everything: the excluded ones too.
        :param only: the paths to look for, whatever is excluded.
        :param within: a pattern of the folders that these are in.
        """
        filters = [] if everything else self.filters
        if only is not None:
            filters = [_pattern(path, within) for path in only]
        return self.rclone.entries(folder, recursive=True, filters=filters)

    def read(self, folder: str, path: str) -> Command:
        """Return the command that writes a file below a folder of the remote to its standard output."""
        if ODD.search(path):
            return self.rclone.command([*STREAM_FLAGS, "cat", _pattern(path)], at(folder))
        return self.rclone.download(f"{folder}/{path}")

    def folders(self, folder: str) -> list[str]:
        """Return the names of the folders in a folder of the remote, which need not be there yet."""
        done = self.rclone.call(["lsjson", "--dirs-only", "--no-mimetype", "--no-modtime"], at(folder))
        return [] if done.status == NO_FOLDER else [each["Path"] for each in answer(done)]

    def keeps_times(self) -> bool:
        """Whether the remote keeps the times of files; without, rclone can compare no more than their sizes."""
        features = answer(self.rclone.call(["backend", "features"], at("")))
        return bool(features.get("Precision", 0) < AN_HOUR)

    def sync(self, folder: str, *, versions: str, control: Control) -> None:
        """Make a folder of the remote equal to the files of the site; what goes from it moves into ``versions``."""
        flags = [*self.filters, f"--backup-dir={at(versions)}"]
        self._carry(["sync", *flags], f"{LOCAL}:", at(folder), None, control)

    def renew(self, folder: str, paths: Iterable[str], *, versions: str, control: Control) -> None:
        """Copy files to a folder of the remote even if they look the same; what is there moves into ``versions``."""
        flags = ["--ignore-times", f"--backup-dir={at(versions)}"]
        self._carry(["copy", *flags], f"{LOCAL}:", at(folder), paths, control)

    def retire(self, folder: str, paths: Iterable[str], *, versions: str, control: Control) -> None:
        """Move files of a folder of the remote into ``versions``, and remove the folders that are empty then."""
        self._carry(["move", "--delete-empty-src-dirs"], at(folder), at(versions), paths, control)

    def fetch(
        self, folder: str, paths: Iterable[str], *, replaced: str | None, always: bool, control: Control
    ) -> None:
        """Copy files from a folder of the remote to the site.

        :param replaced: a local folder that takes what is overwritten.
        :param always: copy also what looks the same.
        """
        flags = [f"--backup-dir={replaced}"] if replaced else []
        self._carry(
            ["copy", *flags, *(["--ignore-times"] if always else [])], at(folder), f"{LOCAL}:", paths, control
        )

    def take_away(self, paths: Iterable[str], *, into: str, control: Control) -> None:
        """Move files of the site into another local folder, and remove the folders that are empty then."""
        self._carry(["move", "--delete-empty-src-dirs"], f"{LOCAL}:", into, paths, control)

    def delete_local(self, paths: Iterable[str], *, control: Control) -> None:
        """Remove files of the site."""
        self._carry(["delete"], f"{LOCAL}:", "", paths, control)

    def remove(self, folder: str, paths: Iterable[str], *, control: Control) -> None:
        """Remove files below a folder of the remote, and the folders that are empty then."""
        self._carry(["delete", "--rmdirs"], at(folder), "", paths, control)

    def _carry(
        self,
        arguments: Sequence[str],
        source: str,
        target: str,
        paths: Iterable[str] | None,
        control: Control,
    ) -> None:
        """Run one of rclone's commands on many files, with its progress on the control.

        :param paths: only these; all of them by default.
        """
        places = [each for each in (source, target) if each]
        if paths is None:
            self._follow(arguments, places, b"", control)
        names = list(paths or ())
        odd = [path for path in names if ODD.search(path)]
        if plain := [path for path in names if not ODD.search(path)]:
            lines = "".join(f"{path}\n" for path in plain).encode()
            self._follow([*arguments, "--files-from-raw=-"], places, lines, control)
        for start in range(0, len(odd), ODD_AT_ONCE):
            some = odd[start : start + ODD_AT_ONCE]
            self._follow([*arguments, *map(_pattern, some)], places, b"", control)

    def _follow(
        self, arguments: Sequence[str], places: Sequence[str], stdin: bytes, control: Control
    ) -> None:
        command = self.rclone.command([*arguments, *FLAGS], *places)
        before, last = control.bytes_done, None

        def on_line(line: str) -> None:
            nonlocal last
            stats = _stats(line)
            moving = [stats.get(key) for key in ("bytes", "checks", "listed", "transfers", "deletes")]
            if stats and moving != last:
                last = moving
                control.touch()
                control.bytes_done = before + int(stats.get("bytes", 0))
                control.bytes_total = before + int(stats.get("totalBytes", 0))
                control.files_done, control.files_total = (
                    int(stats.get(key, 0)) for key in ("transfers", "totalTransfers")
                )

        control.confirm()
        control.has_changed = True
        follow(command, control, on_line, stdin=stdin)


def _pattern(path: str, within: str = "") -> str:
    """Return the flag that chooses one file by a pattern."""
    return f"--include=/{within}" + re.sub(r"([\\\[\]{}*?])", r"\\\1", path)


def _stats(line: str) -> dict[str, Any]:
    """Return the statistics of a line of rclone's log; nothing for any other line."""
    try:
        stats = json.loads(line).get("stats")
    except (ValueError, AttributeError):
        return {}
    return stats if isinstance(stats, dict) else {}
