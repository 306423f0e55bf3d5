"""Reads many manifests from one stream, and keeps of each no more than is needed of so many."""

from __future__ import annotations

import operator
from collections.abc import Callable
from typing import Any, Generic, NamedTuple, TypeVar

from ..exceptions import BackupDamaged
from .manifest import BEGINNING, DEFAULTS, FIELDS, LISTS, MANIFEST_BYTES, Manifest, parse

T = TypeVar("T")

SMALL_BYTES = 64 << 10
"""Up to this length, about 500 tables, a manifest is kept complete where many are loaded."""


class ThinManifest(Manifest):
    """A manifest without its lists, so that a thousand long ones fit into memory."""

    __slots__ = ()

    @classmethod
    def of(cls, manifest: Manifest) -> ThinManifest:
        """Return the manifest without its lists."""
        values = {name: getattr(manifest, name) for name in FIELDS}
        return cls(**values | {name: kind() for name, kind in LISTS.items()})


class Facts(NamedTuple):
    """The short fields of a manifest that are equal in many others, which then share one of these."""

    engine: str
    connector: str
    compression: str | None
    server_version: str
    tool_version: str
    django_version: str
    package_version: str
    label: str
    trigger: str
    host: str
    group: str
    files: int | None
    files_size: int | None


class Brief(NamedTuple):
    """What is kept of each manifest where a hundred thousand are read, for a search."""

    size: int
    facts: Facts


class FullReading:
    """Reads manifests. Equal values of the short ones share their memory.

    :param thin: the long ones without their lists.
    """

    def __init__(self, *, thin: bool = False) -> None:
        self._thin = thin
        self._shared: dict[object, Any] = {}

    def __call__(self, line: bytes) -> Manifest:
        if len(line) <= SMALL_BYTES:
            return Manifest.from_bytes(line, self._shared)
        manifest = Manifest.from_bytes(line)
        return ThinManifest.of(manifest) if self._thin else manifest


class BriefReading:
    """Reads names and briefs. Equal facts share their memory."""

    def __init__(self) -> None:
        self._shared: dict[Facts, Facts] = {}
        self._pick = operator.itemgetter(*Facts._fields)

    def __call__(self, line: bytes) -> tuple[str, Brief]:
        values = parse(line)
        facts = Facts._make(self._pick({**DEFAULTS, **values}))
        return values["name"], Brief(values["size"], self._shared.setdefault(facts, facts))


class ManifestReader(Generic[T]):
    """Reads many manifests, one a line, from a stream of bytes. It never keeps more than one long manifest.

    Lines that are not manifests are skipped.

    :param read: reads one line, and raises BackupDamaged if it is not a manifest.
    :param take: called with what was read.
    """

    def __init__(self, read: Callable[[bytes], T], take: Callable[[T], object]) -> None:
        self._parse, self._take = read, take
        self._rest = b""

    def feed(self, data: bytes) -> None:
        *lines, self._rest = (self._rest + data).split(b"\n")
        for line in lines:
            self._read(line)
        # A manifest ends within this many bytes; this line is not one.
        if len(self._rest) > MANIFEST_BYTES:
            self._rest = b""

    def finish(self) -> None:
        self._read(self._rest)

    def _read(self, line: bytes) -> None:
        # A truncated line lacks its line end: it must not consume the next manifest.
        first, *others = line.split(BEGINNING)
        for part in (first, *(BEGINNING + each for each in others)):
            if not part:
                continue
            try:
                found = self._parse(part)
            except BackupDamaged:
                continue
            self._take(found)
