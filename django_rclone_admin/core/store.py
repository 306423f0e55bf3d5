"""Puts a stream on the remote as a backup, and takes backups off it.

The steps of publishing: upload under a name that is never a backup; check the size; look that the final name is free;
rename; check the size again; write the manifest last. Whatever fails, no misleading object is left behind.
"""

from __future__ import annotations

import contextlib
import dataclasses
from collections.abc import Callable, Generator, Iterable, Iterator
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from ..exceptions import BackupError, EmptyDump, RemoteError, gettext_noop
from .catalog import Catalog, State, StoredObject
from .command import Command
from .compression import SUFFIXES, Compressor, Meter, Stage
from .control import Control
from .manifest import Manifest
from .naming import MANIFEST, PIN, partial, partial_run
from .rclone import NameTaken, Rclone
from .transfer import CommandSink, CommandSource, Sink, Source, transfer

UNKNOWN_PARTIAL_AGE = timedelta(days=1)
"""After this time an upload in flight of a run that we know nothing of is taken for dead."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Stored:
    """What arrived at the sink."""

    size: int
    """Bytes that the sink received."""
    raw_size: int
    """Bytes of the dump before compression."""
    sha256: str
    """Digest of the bytes that the sink received, hex."""


class RefuseEmpty:
    """A stage that fails when nothing came through."""

    def __init__(self, meter: Meter) -> None:
        self._meter = meter

    def feed(self, data: bytes) -> Iterator[bytes]:
        yield data

    def finish(self) -> bytes:
        if self._meter.size == 0:
            raise EmptyDump(gettext_noop("The dump is empty."))
        return b""


def pour(
    source: Source, sink: Sink, *, compression: str | None, level: int | None, control: Control
) -> Stored:
    """Stream a dump into a sink, compressing on the way.

    :raises EmptyDump: the source succeeded without a byte.
    """
    raw, stored = Meter(), Meter()
    compress: list[Stage] = [Compressor(compression, level)] if compression else []
    transfer(source, sink, stages=[raw, RefuseEmpty(raw), *compress, stored], control=control)
    return Stored(size=stored.size, raw_size=raw.size, sha256=stored.sha256)


@dataclass(frozen=True, slots=True, kw_only=True)
class Upload:
    """One backup on its way to the remote."""

    catalog: Catalog
    database: str
    taken_at: datetime
    extension: str
    """Of the dump, without compression."""
    compression: str | None
    level: int | None
    run: str
    """Makes the name of the upload in flight unique."""
    left: list[str] = field(default_factory=list)
    """Paths that attempts before this one could not remove; this one does when it has succeeded, or adds its own."""

    def send(self, source: Source, control: Control) -> tuple[str, Stored]:
        """Upload and rename; the manifest is the caller's, by :meth:`seal`.

        :returns: the name, and what was stored.
        """
        rclone, temporary = self.catalog.rclone, self.catalog.path(partial(self._name(1), self.run))
        written = [temporary]
        with self._removing(written):
            sink = CommandSink(rclone.upload(temporary), control=control)
            stored = pour(source, sink, compression=self.compression, level=self.level, control=control)
            _check_size(rclone, temporary, stored.size)
            name = self._publish(temporary, written)
            _check_size(rclone, self.catalog.path(name), stored.size)
        return name, stored

    def seal(self, manifest: Manifest) -> None:
        """Write the manifest: from now on the backup is listed as complete."""
        path = self.catalog.path(manifest.name)
        with self._removing([path, path + MANIFEST]):  # without a manifest it would look like a backup of old
            self.catalog.rclone.write(path + MANIFEST, manifest.to_bytes())
        self._remove(set(self.left) - {path, path + MANIFEST})

    def _publish(self, temporary: str, written: list[str]) -> str:
        """Give the upload a free name, and return that."""
        for attempts_left in (2, 1, 0):
            name = self._free_name()
            written.append(self.catalog.path(name))  # a rename that fails may have been done all the same
            try:
                self.catalog.rclone.move(temporary, written[-1])
                break
            except NameTaken:
                # Somebody was quicker between our look and our rename: what is there is not ours.
                written.pop()
                if not attempts_left:
                    raise
        return name

    @contextlib.contextmanager
    def _removing(self, paths: list[str]) -> Iterator[None]:
        """When the block fails, try to remove what it may have written; what stays is swept by a later run."""
        try:
            yield
        except BaseException:
            self._remove(paths)
            raise

    def _remove(self, paths: Iterable[str]) -> None:
        """Remove objects, and remember those that can't be removed now."""
        # The work may have been stopped; this must run all the same, and soon end.
        patient = dataclasses.replace(self.catalog.rclone, control=None, timeout=20)
        for path in paths:
            try:
                patient.delete(path)
            except BackupError:
                self.left.append(path)
                if control := self.catalog.rclone.control:
                    control.has_changed = True

    def _name(self, number: int) -> str:
        extension = self.extension + SUFFIXES[self.compression]
        return self.catalog.naming.render(
            database=self.database, taken_at=self.taken_at, extension=extension, number=number
        )

    def _free_name(self) -> str:
        """Return a name after all others of its time: one that was removed may not come back, it would sort as older."""
        naming, first = self.catalog.naming, self._name(1)
        mine = naming.parse(first)
        assert mine is not None
        others = map(naming.parse, (entry.name for entry in self.catalog.rclone.entries(self.catalog.folder)))
        taken = [
            each.number
            for each in others
            if each and (each.database, each.taken_at) == (mine.database, mine.taken_at)
        ]
        return self._name(max(taken) + 1) if taken else first


def remove(catalog: Catalog, backup: StoredObject) -> None:
    """Take a backup with its manifest and its pin off the remote, the object first: a manifest alone is no backup."""
    catalog.rclone.delete(backup.path)
    if control := catalog.rclone.control:
        control.has_changed = True
    if backup.has_manifest:
        catalog.rclone.delete(backup.path + MANIFEST)
    if backup.pinned:
        catalog.rclone.delete(backup.path + PIN)


def read(catalog: Catalog, backup: StoredObject) -> Generator[bytes, None, None]:
    """Give the stored bytes of a backup as they come.

    :raises RemoteError: they can't be read to their end.
    """
    return stream(catalog.rclone.download(backup.path))


def stream(command: Command) -> Generator[bytes, None, None]:
    """Give what a program writes as it comes, and end the program when nobody wants more.

    :raises BackupError: it failed.
    """
    source = CommandSource(
        command, bound=False
    )  # a web server may give each part of an answer to another thread
    try:
        source.open()
        while chunk := source.read():
            yield chunk
        source.finish()
    finally:
        source.close()


def set_pin(catalog: Catalog, backup: StoredObject, *, pinned: bool) -> None:
    """Pin a backup, so that the retention keeps it, or unpin it."""
    if pinned:
        catalog.rclone.touch(backup.path + PIN)
    else:
        catalog.rclone.delete(backup.path + PIN)


def sweep(
    catalog: Catalog,
    objects: Iterable[StoredObject],
    is_over: Callable[[str], bool | None],
    now: datetime,
    tell: Callable[[BackupError], None],
) -> int:
    """Remove the uploads in flight of runs that are over.

    :param is_over: whether a run has ended, by its id; ``None`` when nothing is known of it.
    :param tell: is told why one could not be removed; the others are then left for a later sweep.
    :returns: how many were removed.
    """
    count = 0
    for each in objects:
        if each.state is not State.INCOMPLETE:
            continue
        over = is_over(partial_run(each.name) or "")
        if over is None:
            over = each.modified is not None and now - each.modified > UNKNOWN_PARTIAL_AGE
        if not over:
            continue
        try:
            catalog.rclone.delete(each.path)
        except RemoteError as error:
            tell(error)
            break
        count += 1
    return count


def _check_size(rclone: Rclone, path: str, expected: int) -> None:
    found = rclone.size(path)
    if found != expected:
        raise RemoteError(
            gettext_noop("The remote has %(found)s bytes of the backup instead of %(expected)d."),
            hint=gettext_noop("Nothing was kept. Check the remote's free space and try again."),
            found=0 if found is None else found,
            expected=expected,
        )
