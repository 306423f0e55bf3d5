"""Media backups: a mirror of the files, the versions that runs replaced, and the file list of each run.

Every run keeps what it replaces or removes in its own folder. So the bytes of a file at the time of a file list are in
the folder of the first later run that changed it, or else in the mirror. A run that died half-way also leaves a folder
but no list; the rule still holds.
"""

from __future__ import annotations

import itertools
import json
import re
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import MAXYEAR, UTC, datetime
from json.encoder import encode_basestring as quote
from typing import Any, NamedTuple

from ..exceptions import (
    BackupDamaged,
    BackupNotFound,
    RemoteError,
    RestoreRefused,
    UsageError,
    gettext_noop,
)
from .answers import Entry, read_stamp
from .manifest import LIMIT

LEFTOVER = re.compile(r"\.[0-9a-z]{8}\.partial$", re.IGNORECASE)
"""rclone's name for a file during the copy. A file of that name afterwards was left by a run that died."""
OUTSIDE = re.compile(r"(^|/)\.{0,2}(/|$)")
"""A path with a part that is empty, “.” or “..”: it leads out of its folder or has a second name."""
CONTROL = re.compile("[\x00-\x1f\x7f\ud800-\udfff]")
"""Characters that no path and no time of a list contains: control characters, and surrogates."""
LONGEST = 4096
"""The longest path in characters; no system and no storage takes more."""
AT_ONCE = 10_000
"""How many lines of a list are read together."""
UNREADABLE = gettext_noop("The file list of the media backup can't be read.")

TIME = re.compile(r"^(.{0,19})(?:\.(\d+))?")
"""The seconds and the fraction of a time; any other text is in the first group."""


class MediaFile(NamedTuple):
    """One file of a list. Its path is in rclone's spelling: a picture character stands for each forbidden character."""

    path: str
    size: int
    """Bytes."""
    time: str
    """The modification time, ISO 8601 in UTC; empty where the remote does not keep it."""

    @property
    def modified(self) -> datetime | None:
        """:attr:`time` as an aware datetime; ``None`` where it is not one that every calendar can show."""
        when = read_stamp(self.time)
        return when if when and when.tzinfo and 1 < when.year < MAXYEAR else None

    def to_line(self) -> bytes:
        """Return the line of JSON that is stored."""
        # Three times as fast as json.dumps, and there may be a million files.
        path, size, time = self
        return f'{{"path": {quote(path)}, "size": {size}, "time": {quote(time)}}}\n'.encode()


@dataclass(frozen=True, slots=True, kw_only=True)
class Difference:
    """The paths that would change."""

    added: list[str]
    changed: list[str]
    removed: list[str]
    kept_size: int = 0
    """Bytes of the changed files whose size stayed the same."""

    @property
    def is_empty(self) -> bool:
        return not (self.added or self.changed or self.removed)


def from_entries(entries: Iterable[Entry]) -> list[MediaFile]:
    """Turn a listing into a file list, in the order of the paths."""
    return sorted(MediaFile(each.name, each.size, _in_utc(each)) for each in entries)


def _in_utc(entry: Entry) -> str:
    if entry.stamp.endswith("Z"):
        return entry.stamp
    return entry.modified.astimezone(UTC).isoformat() if entry.modified else ""


def with_times(files: Iterable[MediaFile], known: Iterable[MediaFile]) -> list[MediaFile]:
    """Return files with their known times; files without a known time get none.

    The times of a listing are those of the source, and at many remotes those of the upload.
    """
    times = {each.path: each.time for each in known}
    return [MediaFile(each.path, each.size, times.get(each.path, "")) for each in files]


def parse(lines: Iterable[bytes]) -> Iterator[MediaFile]:
    """Read the lines of a stored list; empty lines are skipped.

    :raises BackupDamaged: a line can't be read, or its path leads out of the media folder.
    """
    rest = filter(None, lines)
    # Batches take a third of the time of single lines, and do not need the memory of the whole list.
    while batch := b",".join(itertools.islice(rest, AT_ONCE)):
        try:
            found = [_from_values(values) for values in json.loads(f"[{batch.decode()}]")]
        except (ValueError, KeyError, TypeError, OverflowError, RecursionError) as error:
            raise BackupDamaged(UNREADABLE) from error
        # In valid JSON, control characters stand only after a backslash, except DEL.
        may_control = b"\\" in batch or b"\x7f" in batch
        for file in found:
            if OUTSIDE.search(file.path):
                raise BackupDamaged(
                    gettext_noop("The file list names a path outside of the media folder: %(path)s"),
                    path=repr(file.path[:LONGEST]),
                )
            if may_control and CONTROL.search(file.path + file.time):
                raise BackupDamaged(UNREADABLE)
            if len(file.path) > LONGEST or not 0 <= file.size < LIMIT:
                raise BackupDamaged(UNREADABLE)
        yield from found


def _from_values(values: Mapping[str, Any]) -> MediaFile:
    return MediaFile(str(values["path"]), int(values["size"]), str(values["time"]))


def compare(old: Collection[MediaFile], new: Collection[MediaFile]) -> Difference:
    """Return the difference between ``old`` and ``new``."""
    # Most files are equal in every field; only the others are compared in detail.
    same = set(old).intersection(new)
    before, after = ({each.path: each for each in files if each not in same} for files in (old, new))
    both = before.keys() & after.keys()
    kept = {path for path in both if before[path].size == after[path].size}
    touched = {path for path in kept if not is_same_time(after[path].time, before[path].time)}
    added, removed = after.keys() - both, before.keys() - both
    return Difference(
        # A path that is listed twice still exists.
        added=sorted(added - {each.path for each in old} if added else ()),
        changed=sorted((both - kept) | touched),
        removed=sorted(removed - {each.path for each in new} if removed else ()),
        kept_size=sum(after[path].size for path in touched),
    )


def to_lines(files: Iterable[MediaFile]) -> list[bytes]:
    """Return files as the lines of JSON that are stored."""
    return [*map(MediaFile.to_line, files)]


def compare_lines(old: Iterable[bytes], new: Collection[bytes], files: Iterable[MediaFile]) -> Difference:
    """Return the difference between the lines of two lists; only lines that differ are parsed.

    :param files: those of the new list.
    :raises BackupDamaged: a line can't be read.
    """
    gone = set(old)
    come = [line for line in new if line not in gone]
    gone.difference_update(new)
    found = compare([*parse(gone)], [*parse(come)])
    # A path that is listed twice still exists.
    there = {each.path for each in files} if found.removed else ()
    return replace(found, removed=[path for path in found.removed if path not in there])


def is_same_time(one: str, other: str) -> bool:
    """Return whether two times are equal in their common precision: many remotes keep whole seconds, file systems
    more."""
    if one == other:
        return True
    (seconds, digits), (other_seconds, other_digits) = (TIME.findall(each)[0] for each in (one, other))
    exact = min(len(digits), len(other_digits))
    return (seconds, digits[:exact]) == (other_seconds, other_digits[:exact])


def check_source(source: Sequence[MediaFile], mirror: Sequence[MediaFile], most_percent: int) -> None:
    """Refuse a media backup that would remove more files than configured.

    :param most_percent: of the files in the mirror, how many may be removed.
    :raises UsageError: the source is empty while the mirror is not, or too many files would be removed.
    """
    names = {each.path for each in mirror if not LEFTOVER.search(each.path)}
    removed = len(names - {each.path for each in source})
    check_counts(len(source), len(names) if source else len(mirror), removed, most_percent)


def check_counts(source: int, mirror: int, removed: int, most_percent: int) -> None:
    """Check the same by numbers: files in the source, files in the mirror, and files to remove."""
    if mirror and not source:
        raise UsageError(
            gettext_noop("There are no media files, but the backup has %(count)d: nothing was changed."),
            hint=gettext_noop(
                "Check MEDIA_ROOT or MEDIA_SOURCE. If all files are really gone, put one there and set "
                "MEDIA_MAX_DELETE_PERCENT to 100 for one run."
            ),
            count=mirror,
        )
    if removed * 100 > mirror * most_percent:
        raise UsageError(
            gettext_noop(
                "The backup would remove %(removed)d of %(count)d files, more than %(percent)d percent."
            ),
            hint=gettext_noop(
                "Nothing was changed. If this is meant, set MEDIA_MAX_DELETE_PERCENT to 100 for one run."
            ),
            removed=removed,
            count=mirror,
            percent=most_percent,
        )


def obstacles(old: Iterable[MediaFile], new: Iterable[MediaFile]) -> list[str]:
    """Return the paths that must be removed before ``new`` can replace ``old``.

    These are files where a folder is needed, and files in a folder where a file is needed.
    """
    before, after = ({each.path for each in files} for files in (old, new))
    added, removed = after - before, before - after
    needed = {parent for path in added for parent in parents(path)}
    return sorted(path for path in removed if path in needed or not added.isdisjoint(parents(path)))


def parents(path: str) -> Iterator[str]:
    """Give the folders above a path, the nearest first."""
    while "/" in path:
        path = path.rpartition("/")[0]
        yield path


def locate(
    files: Iterable[MediaFile], later: Sequence[tuple[str, Mapping[str, int]]], mirror: Mapping[str, int]
) -> dict[str | None, list[str]]:
    """Find the folder on the remote that holds the bytes of each file of a list.

    :param later: the version folders of all later runs, oldest first, as (name, size by path).
    :param mirror: size by path.
    :returns: paths by version folder; under ``None`` those in the mirror.
    :raises BackupDamaged: files are missing or have another size.
    """
    found: dict[str | None, list[str]] = {}
    lost = []
    for file in files:
        place, size = next(
            ((name, paths[file.path]) for name, paths in later if file.path in paths),
            (None, mirror.get(file.path)),
        )
        if size == file.size:
            found.setdefault(place, []).append(file.path)
        else:
            lost.append(file.path)
    if lost:
        raise BackupDamaged(
            gettext_noop(
                "Files of this media backup that are missing on the remote: %(count)d, among them %(path)s."
            ),
            hint=gettext_noop("Nothing was changed. Choose another media backup from “listbackups --media”."),
            count=len(lost),
            path=repr(lost[0]),
        )
    return found


def did_not_arrive(template: str, paths: Sequence[str]) -> RemoteError:
    """Return the error for files that are missing at their target after a copy.

    :param template: marked for translation, with ``%(count)d`` and ``%(path)s``.
    """
    return RemoteError(
        template,
        hint=gettext_noop(
            "Check whether another program changes the remote or the media files, and try again."
        ),
        count=len(paths),
        path=repr(paths[0]),
    )


def choose(files: Iterable[MediaFile], paths: Collection[str]) -> list[MediaFile]:
    """Return the files of a list with these paths; a trailing slash means a folder with all its files.

    :raises BackupNotFound: the list lacks some of them.
    """
    wanted, folders = set(paths), tuple(each for each in paths if each.endswith("/"))
    found = [each for each in files if each.path in wanted or each.path.startswith(folders)]
    there = {each.path for each in found}
    there.update(each for each in folders if any(path.startswith(each) for path in there))
    if missing := wanted - there:
        raise not_in_list(min(missing))
    return found


def not_in_list(path: str) -> BackupNotFound:
    """Return the error for a file that a list lacks."""
    return BackupNotFound(
        gettext_noop("The media backup has no file %(path)s."),
        hint=gettext_noop("Look at the list of its files."),
        path=repr(path),
    )


def check_restore(files: Sequence[MediaFile]) -> None:
    """Refuse to restore an empty list.

    :raises RestoreRefused: the list is empty.
    """
    if not files:
        raise RestoreRefused(
            gettext_noop("The media backup is empty, so there is nothing to restore."),
            hint=gettext_noop("Nothing was changed. Check MEDIA_BACKUP_DIR and the remote."),
        )


def by_folder(entries: Iterable[Entry]) -> dict[str, dict[str, int]]:
    """Group the objects below the versions folder by the run that stored them: size by path by folder."""
    folders: dict[str, dict[str, int]] = {}
    for each in entries:
        folder, slash, path = each.name.partition("/")
        if slash:
            folders.setdefault(folder, {})[path] = each.size
    return folders
