"""Stores a stream, and reads, pins and removes stored backups. The module :mod:`.publishing` names a backup."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Generator, Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta

from ..exceptions import BackupError, EmptyDump, RemoteError, gettext_noop
from .catalog import Catalog, StoredObject
from .command import Command
from .compression import Compressor, Counter, Meter, Stage
from .control import Control
from .manifest import Manifest
from .naming import MANIFEST, PIN, partial_run
from .programs import run
from .states import State
from .transfer import CommandSource, Sink, Source, transfer

UNKNOWN_PARTIAL_AGE = timedelta(days=1)
"""After this time, an upload in flight of an unknown run counts as abandoned."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Stored:
    """The bytes that arrived at the sink."""

    size: int
    """Bytes that the sink received."""
    raw_size: int
    """Bytes of the dump before compression."""
    sha256: str
    """Digest of the bytes that the sink received, hex."""

    @classmethod
    def of(cls, manifest: Manifest) -> Stored:
        """Return the stored sizes and digest from a manifest."""
        return cls(size=manifest.size, raw_size=manifest.raw_size, sha256=manifest.sha256)


class RefuseEmpty:
    """A stage that fails when no byte passed."""

    def __init__(self, meter: Counter) -> None:
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
    raw, stored = Counter(), Meter()
    compress: list[Stage] = [Compressor(compression, level)] if compression else []
    transfer(source, sink, stages=[raw, RefuseEmpty(raw), *compress, stored], control=control)
    return Stored(size=stored.size, raw_size=raw.size, sha256=stored.sha256)


def remove(catalog: Catalog, backup: StoredObject) -> None:
    """Remove a backup and the objects that belong to it, the dump first: a manifest alone is not a backup."""
    catalog.rclone.delete(backup.path)
    if control := catalog.rclone.control:
        control.has_changed = True
    if backup.has_manifest:
        catalog.rclone.delete(backup.path + MANIFEST)
    if backup.pinned:
        catalog.rclone.delete(backup.path + PIN)
    for record, _mark in backup.records:
        catalog.rclone.delete(backup.sibling(record))


def read(catalog: Catalog, backup: StoredObject) -> Generator[bytes, None, None]:
    """Give the stored bytes of a backup in pieces.

    :raises RemoteError: they can't be read completely.
    """
    return stream(catalog.rclone.download(backup.path))


def stream(command: Command) -> Generator[bytes, None, None]:
    """Give a program's output in pieces, and end the program when the caller stops reading.

    :raises BackupError: it failed.
    """
    source = CommandSource(
        command, bound=False
    )  # a web server may read each part of a response in another thread
    try:
        source.open()
        while chunk := source.read():
            yield chunk
        source.finish()
    finally:
        source.close()


def digest(command: Command, *, seconds: float) -> str:
    """Return the SHA-256 of a program's output, hex.

    :param seconds: time limit.
    :raises Stalled: it takes longer.
    :raises BackupError: it failed.
    """
    hashed = hashlib.sha256()
    run(command, timeout=seconds, take=hashed.update).check()
    return hashed.hexdigest()


def set_pin(catalog: Catalog, backup: StoredObject, *, pinned: bool) -> None:
    """Pin a backup, so that retention keeps it, or unpin it."""
    if pinned:
        catalog.rclone.touch(backup.path + PIN)
    else:
        catalog.rclone.delete(backup.path + PIN)


def sweep(
    catalog: Catalog,
    objects: Iterable[StoredObject],
    is_over: Callable[[str], bool | None],
    now: datetime,
    on_failure: Callable[[BackupError], None],
) -> int:
    """Remove the uploads in flight of finished runs.

    :param is_over: whether a run has ended, by its id; ``None`` if the run is unknown.
    :param on_failure: called with the reason when an upload can't be removed; the others are left for a later sweep.
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
            on_failure(error)
            break
        count += 1
    return count
