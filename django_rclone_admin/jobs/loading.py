"""Loads a backup from the remote: compares it with its manifest, decompresses and counts it."""

from __future__ import annotations

from collections.abc import Callable

from ..core.catalog import StoredObject
from ..core.compression import Counter, Decompressor, Meter, Stage
from ..core.transfer import Sink, Source, transfer
from .job import Job


class Loading:
    """Streams one backup into a sink.

    :param backup: provides the expected size and digest; ``None`` for a file without a manifest.
    """

    def __init__(self, backup: StoredObject | None) -> None:
        manifest = backup.manifest if backup else None
        self._size = backup.size if backup else None
        self._expected = Meter(size=self._size, sha256=manifest.sha256 if manifest else None)
        self._raw = Counter()

    def run(self, job: Job, source: Source, choose: Callable[[bytes], Sink]) -> None:
        """Stream it.

        :raises BackupError: the sink has not committed.
        """
        job.control.bytes_total = self._size
        stages: list[Stage] = [self._expected, Decompressor(), self._raw]
        transfer(source, choose, stages=stages, control=job.control)

    def record(self, job: Job) -> None:
        """Record in the run what was read."""
        job.run.size, job.run.raw_size, job.run.sha256 = (
            self._expected.size,
            self._raw.size,
            self._expected.sha256,
        )
