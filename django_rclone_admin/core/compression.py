"""Compression inside the stream, and the meter that counts and hashes it.

A stage takes bytes and gives bytes. ``finish`` returns the rest, or raises when the input was incomplete.
"""

from __future__ import annotations

import hashlib
import os
import sys
import zlib
from collections.abc import Iterator
from typing import Any, Protocol

from ..exceptions import BackupDamaged, gettext_noop

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd

PIECE = 1 << 20
"""Bytes that a decompressor returns at a time: one stored kilobyte may expand to gigabytes."""

ZSTD, GZIP = "zstd", "gzip"
SUFFIXES = {ZSTD: ".zst", GZIP: ".gz", None: ""}
MAGIC = {ZSTD: b"\x28\xb5\x2f\xfd", GZIP: b"\x1f\x8b"}
DEFAULT_LEVELS = {ZSTD: 1, GZIP: 4}
"""Measured by tests/benchmarks on SQL text, one core, MB/s and ratio. zstd: level 1 295 and 2.8, level 3 200 and 3.0,
level 6 100 and 3.1, level 9 56 and 3.2. On level 1 the dump program is the bottleneck, and a backup is about as small
as pg_dump's own compression makes it. gzip, which uses one core: level 1 124 and 2.4, level 4 74 and 2.7, level 6 32 and
2.9."""
JOB = 2 << 20
"""Bytes that a thread of the compressor takes at a time. By default memory grows with the cores and the level: to 72 MB
on level 3 and 200 MB on level 9, measured; with this value 21 MB and 66 MB."""
HASH_LOG = 15
"""Where level 1 remembers what it has read: a table twice as large as usual. Backups of PostgreSQL get 2.7 % smaller, files
of SQLite 1.3 %, for 2 to 6 % more processor time, measured. A table of twice that size costs a fifth more."""


class Stage(Protocol):
    """One step of a stream."""

    def feed(self, data: bytes) -> Iterator[bytes]: ...

    def finish(self) -> bytes: ...


class Counter:
    """Passes bytes on and counts them."""

    def __init__(self) -> None:
        self.size = 0

    def feed(self, data: bytes) -> Iterator[bytes]:
        self.size += len(data)
        yield data

    def finish(self) -> bytes:
        return b""


class Meter:
    """Passes bytes on, counts and hashes them; ``finish`` compares them with what was expected.

    :param size: expected bytes, or ``None``.
    :param sha256: expected digest, hex, or ``None``.
    """

    def __init__(self, *, size: int | None = None, sha256: str | None = None) -> None:
        self.size = 0
        self._hash = hashlib.sha256()
        self._expected = (size, sha256)

    def feed(self, data: bytes) -> Iterator[bytes]:
        self.size += len(data)
        self._hash.update(data)
        yield data

    def finish(self) -> bytes:
        size, sha256 = self._expected
        if size is not None and size != self.size:
            raise BackupDamaged(
                gettext_noop("The backup should have %(expected)d bytes, but %(found)d arrived."),
                expected=size,
                found=self.size,
            )
        if sha256 and sha256 != self.sha256:
            raise BackupDamaged(
                gettext_noop("The backup's bytes have changed since it was made: its SHA-256 does not match.")
            )
        return b""

    @property
    def sha256(self) -> str:
        return self._hash.hexdigest()


class Limit:
    """Passes bytes on and fails above a number of them: compressed data may expand without limit.

    :param size: bytes.
    """

    def __init__(self, size: int) -> None:
        self._left = size

    def feed(self, data: bytes) -> Iterator[bytes]:
        self._left -= len(data)
        if self._left < 0:
            raise BackupDamaged(gettext_noop("The backup unpacks to more than its manifest says."))
        yield data

    def finish(self) -> bytes:
        return b""


class Compressor:
    """Compresses with zstd, in threads where there are several cores, or with gzip."""

    def __init__(self, algorithm: str, level: int | None = None) -> None:
        level = DEFAULT_LEVELS[algorithm] if level is None else level
        self._compressor: Any
        if algorithm == ZSTD:
            parameter = zstd.CompressionParameter
            cores = os.cpu_count() or 1
            # One thread a core, although the dump program and rclone also need time: all three wait for each other.
            workers = min(4, cores if cores > 1 else 0, parameter.nb_workers.bounds()[1])
            options: dict[int, int] = {
                parameter.compression_level: level,
                parameter.checksum_flag: 1,
                parameter.nb_workers: workers,
            }
            if workers:
                options[parameter.job_size] = JOB
            if level == 1:
                options[parameter.hash_log] = HASH_LOG
            self._compressor = zstd.ZstdCompressor(options=options)
        else:
            self._compressor = zlib.compressobj(level, zlib.DEFLATED, zlib.MAX_WBITS | 16)

    def feed(self, data: bytes) -> Iterator[bytes]:
        yield self._compressor.compress(data)

    def finish(self) -> bytes:
        rest: bytes = self._compressor.flush()
        return rest


class Decompressor:
    """Undoes the compression that the first bytes show; passes uncompressed data on."""

    def __init__(self) -> None:
        self._head: bytes | None = b""
        self._decoder: _Zstd | _Gzip | None = None

    def feed(self, data: bytes) -> Iterator[bytes]:
        if self._head is not None:
            self._head += data
            if len(self._head) < 4:
                return
            data = self._choose()
        yield from self._decoder.feed(data) if self._decoder else (data,)

    def finish(self) -> bytes:
        # Data shorter than a format's magic number that begins like it is the remains of a truncated file.
        is_stump = bool(self._head) and any(magic.startswith(self._head or b"") for magic in MAGIC.values())
        rest = b"".join(self._pass_short_head()) if self._head is not None else b""
        if is_stump or (self._decoder and not self._decoder.complete):
            raise BackupDamaged(gettext_noop("The backup is cut off: its compressed data has no end."))
        return rest

    def _choose(self) -> bytes:
        head, self._head = self._head or b"", None
        if head.startswith(MAGIC[ZSTD]):
            self._decoder = _Zstd()
        elif head.startswith(MAGIC[GZIP]):
            self._decoder = _Gzip()
        return head

    def _pass_short_head(self) -> Iterator[bytes]:
        data = self._choose()
        yield from self._decoder.feed(data) if self._decoder else (data,)


class _Zstd:
    def __init__(self) -> None:
        self._decoder = zstd.ZstdDecompressor()

    @property
    def complete(self) -> bool:
        return self._decoder.eof

    def feed(self, data: bytes) -> Iterator[bytes]:
        while data:
            if self._decoder.eof:  # another frame follows
                self._decoder = zstd.ZstdDecompressor()
            try:
                yield self._decoder.decompress(data, PIECE)
                while not self._decoder.needs_input and not self._decoder.eof:
                    yield self._decoder.decompress(b"", PIECE)
            except zstd.ZstdError as error:
                raise BackupDamaged(gettext_noop("The backup's compressed data is damaged.")) from error
            data = self._decoder.unused_data if self._decoder.eof else b""


class _Gzip:
    def __init__(self) -> None:
        self._decoder = zlib.decompressobj(zlib.MAX_WBITS | 16)

    @property
    def complete(self) -> bool:
        return self._decoder.eof

    def feed(self, data: bytes) -> Iterator[bytes]:
        piece = b""
        while data or len(piece) == PIECE:  # a full piece: more may wait inside
            if self._decoder.eof:  # another member follows
                self._decoder = zlib.decompressobj(zlib.MAX_WBITS | 16)
            try:
                piece = self._decoder.decompress(data, PIECE)
            except zlib.error as error:
                raise BackupDamaged(gettext_noop("The backup's compressed data is damaged.")) from error
            data = self._decoder.unused_data if self._decoder.eof else self._decoder.unconsumed_tail
            yield piece
            if self._decoder.eof and not data:
                return
