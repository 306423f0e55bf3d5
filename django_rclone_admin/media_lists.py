"""Finds media backups in the backup list, and reads their file lists."""

from __future__ import annotations

import contextlib
import io
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta

from .core import file_lists
from .core.catalog import Catalog, StoredObject, judge, latest
from .core.compression import Decompressor, Limit, Meter, Stage
from .core.file_lists import MediaFile
from .core.files import FileSource, StreamSink
from .core.list_sink import ListSink
from .core.manifest import BEGINNING, MANIFEST_BYTES, Manifest
from .core.mirror import LISTING_SECONDS
from .core.naming import MANIFEST, MEDIA
from .core.rclone import CHOSEN, at
from .core.states import State
from .core.transfer import Sink, transfer
from .exceptions import BackupDamaged, BackupNotFound, gettext_noop

FIRST, LAST = datetime(1970, 1, 1, tzinfo=UTC), datetime(9000, 1, 1, tzinfo=UTC)
"""Limits for the clocks of runs. The times of later runs must follow those of all earlier ones."""
LIST_LIMIT = 1 << 30
"""The limit for an uncompressed file list in bytes: about ten million files."""
RATIO = 1000
"""The largest expected compression ratio of a file list; a long one reaches about 20."""


@dataclass(frozen=True, slots=True, kw_only=True)
class FoundMedia:
    """A media backup in the backup list. A stored file list never changes, so it is read once."""

    backup: StoredObject
    """With its manifest."""
    stored: bytes | None = field(default=None, repr=False)
    """Its stored list, if that was read."""
    files: list[MediaFile] | None = field(default=None, repr=False)
    """Its files, if the list was unpacked."""

    def fetched(self, catalog: Catalog) -> FoundMedia:
        """Return the same with its stored list.

        :raises RemoteError: it can't be read.
        """
        if self.stored is not None:
            return self
        flags = [f"--count={self.backup.size + 1}"]  # so that it always ends
        done = catalog.rclone.call(["cat", *flags], at(self.backup.path), timeout=LISTING_SECONDS)
        return replace(self, stored=done.check().output)

    def read(self, catalog: Catalog) -> list[MediaFile]:
        """Return its files.

        :raises BackupDamaged: the bytes of the list have changed, or exceed the limit for a list.
        """
        if self.files is not None:
            return self.files
        sink = ListSink()
        self._unpack(catalog, sink)
        return sink.files

    def read_lines(self, catalog: Catalog) -> list[bytes]:
        """Return the non-empty lines of its list, unparsed; see :meth:`read`."""
        buffer = io.BytesIO()
        self._unpack(catalog, StreamSink(buffer))
        return [line for line in buffer.getvalue().splitlines(keepends=True) if line != b"\n"]

    def _unpack(self, catalog: Catalog, sink: Sink) -> None:
        manifest, size = self.backup.manifest, self.backup.size
        expected = manifest.raw_size if manifest else LIST_LIMIT
        limit = min(expected, LIST_LIMIT, size * RATIO)
        if expected > limit:
            raise BackupDamaged(file_lists.UNREADABLE)
        stages: list[Stage] = [
            Meter(size=size, sha256=manifest.sha256 if manifest else None),
            Decompressor(),
            Limit(limit),
        ]
        # Read completely before unpacking, with a limit: so it can be stopped, and always ends.
        stored = self.fetched(catalog).stored or b""
        transfer(FileSource(io.BytesIO(stored)), sink, stages=stages)


def find_media(
    catalog: Catalog,
    name: str | None,
    listed: Sequence[StoredObject] | None = None,
    *,
    with_list: bool = False,
) -> FoundMedia | None:
    """Return the media backup of this name or path, or the latest one; ``None`` for a remote without any list.

    :param catalog: of the media backups.
    :param listed: its objects, if they were just listed.
    :param with_list: read the file list by the same call as the manifest.
    :raises BackupNotFound: no media backup has that name.
    """
    if listed is None:
        listed = catalog.objects(manifests=False)
    if name is None:
        return find_newest(catalog, listed, with_list=with_list)[1]
    for each in _whole(listed):
        if name in (each.name, each.path, each.name.split(".")[0]):
            found = _read(catalog, each, with_list=with_list)
            if is_usable(found.backup):
                return found
    raise BackupNotFound(
        gettext_noop("There is no media backup “%(name)s” on the remote."),
        hint=gettext_noop("“manage.py listbackups --media” lists the media backups."),
        name=name,
    )


def find_newest(
    catalog: Catalog, listed: Sequence[StoredObject], *, with_list: bool
) -> tuple[list[StoredObject], FoundMedia | None]:
    """Find the latest media backup.

    Usually that is the newest name, and only its manifest is read. All are read where that one is not usable, or where
    others may have been taken later.

    :param with_list: read the file list by the same call as the manifest.
    :returns: the objects, with each manifest that was read; and the backup, or ``None`` where none is usable.
    """
    newest = latest(_whole(listed), MEDIA)
    if newest and all(each is newest or _is_earlier(each, newest) for each in listed if each.has_manifest):
        found = _read(catalog, newest, with_list=with_list)
        if is_usable(found.backup):
            return [found.backup if each is newest else each for each in listed], found
    objects = catalog.inspect(listed)
    last = latest([each for each in objects if is_usable(each)], MEDIA)
    return objects, FoundMedia(backup=last) if last else None


def _whole(listed: Sequence[StoredObject]) -> list[StoredObject]:
    """Return the objects that have a manifest, which may not be read yet."""
    return [each for each in listed if each.state is State.COMPLETE]


def _is_earlier(backup: StoredObject, other: StoredObject) -> bool:
    """Whether the name of a backup has an earlier second than that of another one."""
    return bool(backup.taken_at and other.taken_at and backup.taken_at < other.taken_at)


def _read(catalog: Catalog, backup: StoredObject, *, with_list: bool) -> FoundMedia:
    """Read the manifest of a media backup, and by the same call its list."""
    if with_list and 0 < backup.manifest_size <= MANIFEST_BYTES:
        flags = [f"--count={max(backup.size, backup.manifest_size) + 1}", *CHOSEN]  # so that it always ends
        names = f"{backup.name}\n{backup.name}{MANIFEST}\n".encode()
        done = catalog.rclone.call(["cat", *flags], at(catalog.folder), stdin=names, timeout=LISTING_SECONDS)
        both = done.check().output
        # rclone gives the two in any order.
        first = backup.manifest_size if both.startswith(BEGINNING) else backup.size
        parts = both[:first], both[first:]
        line, stored = parts if both.startswith(BEGINNING) else parts[::-1]
        with contextlib.suppress(BackupDamaged):
            manifest = Manifest.from_bytes(line)
            if manifest.name == backup.name:
                return FoundMedia(backup=judge(backup, manifest), stored=stored)
    return FoundMedia(backup=catalog.inspect([backup])[0])


def read_list(catalog: Catalog, backup: StoredObject) -> list[MediaFile]:
    """Read the file list of a media backup; see :meth:`FoundMedia.read`."""
    return FoundMedia(backup=backup).read(catalog)


def is_usable(backup: StoredObject) -> bool:
    """Whether a media backup tells its files and its time: without a manifest, it is unknown which versions are
    later."""
    return backup.state is State.COMPLETE and get_time(backup) is not None


def get_time(backup: StoredObject) -> datetime | None:
    """Return the time of a media backup by its manifest; ``None`` where its name differs."""
    time = backup.manifest.taken_at if backup.manifest else None
    if time is None or backup.taken_at is None or not FIRST < time < LAST:
        return None
    return time if timedelta() <= time - backup.taken_at < timedelta(seconds=1) else None
