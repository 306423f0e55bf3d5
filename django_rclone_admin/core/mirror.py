"""The mirror of the media files: rclone calls that copy, compare and remove many files."""

from __future__ import annotations

import json
import re
from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import replace
from typing import Any

from ..exceptions import (
    LocalFileError,
    RemoteError,
    gettext_noop,
)
from .answers import Entry, ListingReader, answer
from .command import Command
from .control import Control
from .file_complaints import FileComplaints
from .programs import follow
from .rclone import CHOSEN, FROM_INPUT, STREAM_FLAGS, Rclone, at

LOCAL = "djangorcloneadminlocal"
"""The name under which rclone sees the site's media files, for the same reasons as ``rclone.ALIAS``."""
FLAGS = (
    # A retry would overwrite the old version in the versions folder with what the first attempt copied.
    "--retries=1",
    "--use-json-log",
    "--stats=1s",
    "--stats-log-level=NOTICE",
    "--low-level-retries=3",
    "--contimeout=15s",
    # Names that differ only in the Unicode form of their accents are different names.
    "--no-unicode-normalization",
)
AN_HOUR = 3_600_000_000_000
"""Nanoseconds. A remote with less precise times counts as keeping none."""
LISTING_SECONDS = 3600
"""How long the listing of all files may take."""
ODD = re.compile("[\n\r\ufffd]")
"""A path with one of these can't be passed to rclone by name: bytes that are not UTF-8 appear as U+FFFD."""
ODD_AT_ONCE = 200
"""How many patterns go into one argument list."""
FEW = 1000
"""Up to this number, files are queried one by one on a remote that has many more."""
FILTERS = re.compile(
    r"(--|RCLONE_)(exclude|include|filter|files[-_]from|(min|max)[-_](size|age|depth))", re.IGNORECASE
)
"""Flags by which rclone skips files, and their environment variables."""


class Mirror:
    """Copies files between a place of the site and the remote.

    :param place: a folder or an rclone path with the site's media files.
    :param excludes: patterns of files that are neither copied nor counted.
    :param is_local: whether the place is a folder of this machine.
    :param ours: prefix of the names of this package's own folders there, which are not media files.
    """

    def __init__(
        self,
        rclone: Rclone,
        place: str,
        excludes: Sequence[str] = (),
        *,
        is_local: bool = False,
        ours: str | None = None,
    ) -> None:
        variable = f"RCLONE_CONFIG_{LOCAL.upper()}"
        local = {f"{variable}_TYPE": "alias", f"{variable}_REMOTE": place}
        self.rclone = replace(
            rclone,
            # TZ=UTC: the times of the listing need no conversion.
            env={**rclone.env, **local, "TZ": "UTC"},
            timeout=LISTING_SECONDS,
        )
        self.is_local = is_local
        self.has_excludes = bool(excludes)
        """Whether only rclone can tell which files of the site are included."""
        self.passes_over = any(FILTERS.match(each) for each in (*rclone.flags, *rclone.env))
        """Whether the configured flags exclude files, so that no explicit list of files can be passed."""
        self._has_looked = False
        self._ours = [f"--exclude=/{_literal(ours)}*/**"] if ours else []
        self._filters = [f"--exclude={pattern}" for pattern in excludes]

    def local_files(self, *, everything: bool = False) -> list[Entry] | None:
        """Return the files of the site, or ``None`` when their place does not exist.

        :param everything: include the excluded files.
        :raises LocalFileError: a part can't be read.
        """
        filters = self._ours if everything else [*self._ours, *self._filters]
        try:
            return self.rclone.list(f"{LOCAL}:", recursive=True, filters=filters)
        except RemoteError as error:
            if not self.is_local:
                raise
            raise LocalFileError(
                gettext_noop("The media files can't be listed: %(reason)s"),
                # rclone's own text, without the claim that the remote failed.
                reason=error.params.get("output", error),
            ) from error

    def remote_files(
        self, folder: str, *, everything: bool = False, only: Iterable[str] | None = None, within: str = ""
    ) -> list[Entry]:
        """Return the files below a folder of the remote; a missing folder is empty.

        :param everything: include the excluded files.
        :param only: the paths to look for, whatever is excluded.
        :param within: a pattern of the folders that these are in.
        """
        filters = [] if everything else self._filters
        if only is not None:
            filters = [_pattern(path, within) for path in only]
        found = self.rclone.list(at(folder), recursive=True, filters=filters)
        if not found:
            self._look_once()
        return found or []

    def read(self, folder: str, path: str) -> Command:
        """Return the command that writes a file below a folder of the remote to its standard output."""
        if ODD.search(path):
            return self.rclone.command([*STREAM_FLAGS, "cat", _pattern(path)], at(folder))
        return self.rclone.download(f"{folder}/{path}")

    def sizes(self, folder: str, paths: Collection[str]) -> dict[str, int]:
        """Return the sizes of some files below a folder of the remote, in bytes; missing files are left out."""
        if len(paths) > FEW or any(map(ODD.search, paths)):
            wanted = set(paths)
            there = self.remote_files(folder, everything=True)
            return {each.name: each.size for each in there if each.name in wanted}
        return self.rclone.sizes(folder, paths)

    def contents(self, folder: str) -> tuple[list[Entry], list[str]]:
        """Return the objects and the subfolder names of a folder of the remote, which may not exist yet."""
        done = self.rclone.call(["lsjson", "--no-mimetype", "--use-server-modtime"], at(folder))
        reader = ListingReader()
        reader.feed(done.output)
        if not reader.finish(done):
            self._look_once()
            return [], []
        found = answer(done, list)
        return (
            [
                Entry(each["Path"], each["Size"], each.get("ModTime") or "")
                for each in found
                if not each["IsDir"]
            ],
            [each["Path"] for each in found if each["IsDir"]],
        )

    def _look_once(self) -> None:
        """Check that a folder that seems to be empty is not merely undecryptable: the passphrase stays the same.

        :raises RemoteDenied: it is.
        """
        if not self._has_looked:
            self.rclone.look()
            self._has_looked = True

    def local_folder(self) -> str | None:
        """Return the local folder that the place resolves to in rclone; ``None`` for any other place."""
        found = answer(self.rclone.call(["backend", "features"], f"{LOCAL}:"), dict)
        return str(found["Root"]) if found.get("Features", {}).get("IsLocal") else None

    def keeps_times(self) -> bool:
        """Whether the remote keeps the times of files; otherwise rclone can compare only sizes."""
        features = answer(self.rclone.call(["backend", "features"], at("")), dict)
        return bool(features.get("Precision", 0) < AN_HOUR)

    def sync(self, folder: str, *, versions: str, control: Control) -> None:
        """Make a folder of the remote equal to the files of the site; removed and replaced files move into
        ``versions``."""
        flags = [*self._ours, *self._filters, f"--backup-dir={at(versions)}"]
        self._carry(["sync", *flags], f"{LOCAL}:", at(folder), None, control)

    def renew(self, folder: str, paths: Iterable[str], *, versions: str, control: Control) -> None:
        """Copy files to a folder of the remote even if they look equal; replaced files move into ``versions``."""
        flags = ["--ignore-times", f"--backup-dir={at(versions)}"]
        self._carry(["copy", *flags], f"{LOCAL}:", at(folder), paths, control)

    def retire(self, folder: str, paths: Iterable[str], *, versions: str, control: Control) -> None:
        """Move files of a folder of the remote into ``versions``, and remove folders that become empty."""
        self._carry(["move", "--delete-empty-src-dirs"], at(folder), at(versions), paths, control)

    def fetch(
        self, folder: str, paths: Iterable[str], *, into: str | None, always: bool, control: Control
    ) -> None:
        """Copy files from a folder of the remote.

        :param into: the local target folder; by default the site's media files.
        :param always: copy also files that look equal.
        """
        flags = ["--ignore-times"] if always else []
        self._carry(["copy", *flags], at(folder), into or f"{LOCAL}:", paths, control)

    def delete_local(self, paths: Iterable[str], *, control: Control) -> None:
        """Remove files of the site."""
        self._carry(["delete"], f"{LOCAL}:", "", paths, control)

    def remove(self, folder: str, paths: Iterable[str], *, control: Control) -> None:
        """Remove files below a folder of the remote, and folders that become empty."""
        self._carry(["delete", "--rmdirs"], at(folder), "", paths, control)

    def _carry(
        self,
        arguments: Sequence[str],
        source: str,
        target: str,
        paths: Iterable[str] | None,
        control: Control,
    ) -> None:
        """Run one rclone command on many files and report its progress to the control.

        :param paths: only these; all of them by default.
        """
        places = [each for each in (source, target) if each]
        if paths is None:
            self._follow(arguments, places, b"", control)
        for flags, stdin in selections(list(paths or ())):
            self._follow([*arguments, *flags], places, stdin or b"", control)

    def _follow(
        self, arguments: Sequence[str], places: Sequence[str], stdin: bytes, control: Control
    ) -> None:
        complaints = FileComplaints(
            source_is_local=self.is_local and places[0] == f"{LOCAL}:",
            into=next((each for each in places[1:] if each.startswith("/")), None),
        )
        command = replace(self.rclone.command([*arguments, *FLAGS], *places), explain=complaints.explain)
        before, last = control.bytes_done, None

        def on_line(line: str) -> None:
            nonlocal last
            entry = _entry(line)
            complaints.hear(entry)
            stats = entry.get("stats")
            if not isinstance(stats, dict):
                return
            moving = [stats.get(key) for key in ("bytes", "checks", "listed", "transfers", "deletes")]
            if moving != last:
                last = moving
                control.touch()
                control.bytes_done = before + int(stats.get("bytes", 0))
                control.bytes_total = before + int(stats.get("totalBytes", 0))
                control.files_done, control.files_total = (
                    int(stats.get(key, 0)) for key in ("transfers", "totalTransfers")
                )

        control.confirm()
        # Files in a private folder have changed nothing yet.
        control.has_changed |= not places[-1].startswith("/")
        follow(command, control, on_line, stdin=stdin)


def selections(paths: Collection[str]) -> Iterator[tuple[list[str], bytes | None]]:
    """Give the flags and the input of each call that is needed to select these files."""
    if plain := [path for path in paths if not ODD.search(path)]:
        yield [*CHOSEN] if len(plain) <= FEW else [FROM_INPUT], _lines(plain)
    odd = [path for path in paths if ODD.search(path)]
    for start in range(0, len(odd), ODD_AT_ONCE):
        yield [_pattern(path) for path in odd[start : start + ODD_AT_ONCE]], None


def _lines(paths: Iterable[str]) -> bytes:
    """Return the input for rclone with :data:`~.rclone.FROM_INPUT`."""
    return "".join(f"{path}\n" for path in paths).encode()


def _pattern(path: str, within: str = "") -> str:
    """Return the flag that selects one file by a pattern."""
    return f"--include=/{within}{_literal(path)}"


def _literal(path: str) -> str:
    """Return the pattern that matches only this path."""
    return re.sub(r"([\\\[\]{}*?])", r"\\\1", path)


def _entry(line: str) -> dict[str, Any]:
    """Return a line of rclone's log as an object; empty for any other line."""
    try:
        entry = json.loads(line)
    except ValueError:
        return {}
    return entry if isinstance(entry, dict) else {}
