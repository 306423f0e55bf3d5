"""The catalog: the backups on the remote. The remote is the truth; no database row is read."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from . import check_marks
from .answers import Entry, read_stamp
from .check_marks import AHEAD, CheckMark
from .manifest import MANIFEST_BYTES, Manifest
from .many_manifests import Brief, BriefReading, Facts, FullReading, ManifestReader
from .naming import MANIFEST, PIN, Naming, ParsedName, partial_run
from .states import RESTORABLE, State

if TYPE_CHECKING:  # who only looks at what a catalog gave does not pay for the client
    from .rclone import Rclone


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredObject:
    """One object in a folder of backups."""

    name: str
    path: str
    """Relative to the remote."""
    size: int
    """Bytes."""
    state: State
    database: str = ""
    taken_at: datetime | None = None
    """From the name; aware. ``None`` for an object that is not a backup."""
    number: int = 1
    """Above 1 when other backups already had the same time."""
    pinned: bool = False
    stamp: str = ""
    """The modification time on the remote; see :attr:`modified`."""
    has_manifest: bool = False
    manifest_size: int = 0
    """Size of the manifest in bytes, from the listing."""
    manifest: Manifest | None = field(default=None, repr=False)
    facts: Facts | None = field(default=None, repr=False)
    """Stands for the manifest where so many were read that only this was kept."""
    kind: str = "database"
    checks: tuple[CheckMark, ...] = ()
    """The newest check result of each level, from the names of its check records."""
    records: tuple[tuple[str, CheckMark], ...] = ()
    """All of its check records, by name."""

    def sibling(self, name: str) -> str:
        """Return the path of an object in the same folder."""
        return self.path.removesuffix(self.name) + name

    @property
    def failed_check(self) -> CheckMark | None:
        """The failed check that makes it damaged, or ``None``."""
        return next((each for each in check_marks.failures(self.checks) if each.is_damage), None)

    @property
    def proofs(self) -> tuple[CheckMark, ...]:
        """The passed checks that no later check contradicts, highest level last."""
        return check_marks.proofs(self.checks)

    @property
    def proof(self) -> CheckMark | None:
        """The highest of :attr:`proofs`, or ``None`` when no check has passed."""
        return next(reversed(self.proofs), None)

    @property
    def proven(self) -> str:
        """The level of :attr:`proof`, or an empty string."""
        return str(self.proof.level) if self.proof else ""

    @property
    def proven_at(self) -> datetime | None:
        """The time of :attr:`proof`, or ``None``."""
        return self.proof.at if self.proof else None

    @property
    def failed(self) -> str:
        """The lowest failed level that no later check contradicts, or an empty string."""
        found = check_marks.failures(self.checks)
        return str(found[0].level) if found else ""

    @property
    def modified(self) -> datetime | None:
        """The modification time on the remote, aware; ``None`` where it is unknown."""
        return read_stamp(self.stamp)

    @property
    def known(self) -> Manifest | Facts | None:
        """What was read of the manifest, or ``None``."""
        return self.manifest or self.facts

    @property
    def total_size(self) -> int:
        """Bytes backed up: for a media backup the size of all its files, once its manifest was read."""
        known = self.known
        return self.size if known is None or known.files is None else known.files_size or 0

    @property
    def is_safety(self) -> bool:
        """Whether this is a safety backup, made before a restore."""
        return self.known is not None and self.known.trigger == "safety"

    def is_ahead(self, now: datetime) -> bool:
        """Whether the time in the name is in the future: a clock was wrong, so the real time is unknown."""
        return self.taken_at is not None and self.taken_at - now > AHEAD

    @property
    def order(self) -> tuple[datetime, int, str]:
        """Sorts backups of one database from old to new: by the time in the name, never by the remote's clock."""
        assert self.taken_at is not None
        return (self.taken_at, self.number, self.name)


class Catalog:
    """Lists a folder of backups.

    :param folder: relative to the remote.
    :param kind: ``database``, or ``media`` for the file lists of media backups.
    """

    def __init__(self, rclone: Rclone, naming: Naming, folder: str, *, kind: str = "database") -> None:
        self.rclone, self.naming, self.folder, self.kind = rclone, naming, folder.strip("/"), kind

    def path(self, name: str) -> str:
        """Return the path of an object, relative to the remote."""
        return f"{self.folder}/{name}" if self.folder else name

    def objects(self, *, manifests: bool = True) -> list[StoredObject]:
        """Return all objects but manifests and pins, newest first, by one or two calls of rclone.

        :param manifests: read every manifest too; without, an object with an unread manifest counts as complete.
        """
        objects = self.arrange(self.rclone.entries(self.folder))
        return self.inspect(objects) if manifests else objects

    def arrange(self, entries: Sequence[Entry]) -> list[StoredObject]:
        """Turn a listing into objects: backups first, newest first, then all others. Reads nothing."""
        sizes = {entry.name: entry.size for entry in entries}
        checks = self._checks(entries)
        records = {name for found in checks.values() for name in found}
        objects = [
            self._object(entry, sizes, checks.get(entry.name, {}))
            for entry in entries
            if not (entry.name.endswith(MANIFEST) and entry.name.removesuffix(MANIFEST) in sizes)
            and not (entry.name.endswith(PIN) and entry.name.removesuffix(PIN) in sizes)
            and entry.name not in records
        ]
        backups = [each for each in objects if each.taken_at]
        others = [each for each in objects if not each.taken_at]
        return sorted(backups, key=lambda each: each.order, reverse=True) + sorted(
            others, key=lambda each: each.name
        )

    def inspect(self, objects: Iterable[StoredObject], *, thin: bool = False) -> list[StoredObject]:
        """Read the manifests of these objects by one call and set the state of each object from its own manifest.

        :param thin: without the lists of long manifests; see :class:`~.many_manifests.FullReading`.
        """
        objects = list(objects)
        found: dict[str, Manifest] = {}
        reading = FullReading(thin=thin)
        self._read(objects, ManifestReader(reading, lambda each: found.update({each.name: each})))
        return [judge(each, found.get(each.name)) if each.has_manifest else each for each in objects]

    def briefs(self, objects: Iterable[StoredObject]) -> dict[str, Brief]:
        """Read the manifests of these objects by one call, and return the brief of each by the name of the backup."""
        found: dict[str, Brief] = {}
        self._read(objects, ManifestReader(BriefReading(), lambda pair: found.update([pair])))
        return found

    def _read(self, objects: Iterable[StoredObject], reader: ManifestReader[Any]) -> None:
        unread = (
            each.name + MANIFEST
            for each in objects
            if each.has_manifest and each.manifest is None and each.manifest_size <= MANIFEST_BYTES
        )
        self.rclone.read_many(self.folder, unread, reader.feed)
        reader.finish()

    def orphans(self, entries: Sequence[Entry]) -> dict[str, CheckMark]:
        """Return the check records whose backup is not in the listing, by name."""
        names = {entry.name for entry in entries}
        return {
            record: mark
            for backup, found in self._checks(entries).items()
            if backup not in names
            for record, mark in found.items()
        }

    def _checks(self, entries: Sequence[Entry]) -> dict[str, dict[str, CheckMark]]:
        """Return the check records in a listing, by backup name and record name."""
        found: dict[str, dict[str, CheckMark]] = {}
        for entry in entries:
            # One pattern per name would dominate the time with a hundred thousand names.
            if check_marks.SEPARATOR in entry.name and (parsed := check_marks.parse(entry.name)):
                backup, mark = parsed
                if self._parse(backup):
                    found.setdefault(backup, {})[entry.name] = mark
        return found

    def _parse(self, name: str) -> ParsedName | None:
        parsed = self.naming.parse(name)
        return None if parsed and self.kind == "media" and parsed.database != "media" else parsed

    def _object(
        self, entry: Entry, sizes: Mapping[str, int], records: Mapping[str, CheckMark]
    ) -> StoredObject:
        name = entry.name
        parsed = self._parse(name)
        if parsed is None:
            return StoredObject(
                name=name,
                path=self.path(name),
                size=entry.size,
                stamp=entry.stamp,
                kind=self.kind,
                state=State.FOREIGN if partial_run(name) is None else State.INCOMPLETE,
            )
        manifest_size = sizes.get(name + MANIFEST)
        whole = State.LEGACY if manifest_size is None else State.COMPLETE
        checks = check_marks.believed(records.values(), datetime.now(UTC)) if records else ()
        is_damaged = entry.size <= 0 or any(each.is_damage for each in check_marks.failures(checks))
        return StoredObject(
            name=name,
            path=self.path(name),
            size=entry.size,
            stamp=entry.stamp,
            kind=self.kind,
            state=State.DAMAGED if is_damaged else whole,
            database=parsed.database,
            taken_at=parsed.taken_at,
            number=parsed.number,
            pinned=name + PIN in sizes,
            has_manifest=manifest_size is not None,
            manifest_size=manifest_size or 0,
            checks=checks,
            records=tuple(records.items()),
        )


def judge(stored: StoredObject, found: Manifest | Brief | None) -> StoredObject:
    """Return the object with what was read of its manifest, and with the state that follows from it."""
    found = found or stored.manifest
    whole = found is not None and found.size == stored.size > 0 and not stored.failed_check
    state = State.COMPLETE if whole else State.DAMAGED
    if isinstance(found, Brief):
        return dataclasses.replace(stored, facts=found.facts, state=state)
    return dataclasses.replace(stored, manifest=found, facts=None, state=state)


def latest(objects: Iterable[StoredObject], database: str) -> StoredObject | None:
    """Return the newest complete backup of a database, else the newest legacy one, else ``None``.

    A newer legacy backup does not win, because it may be incomplete. A safety backup is skipped, because it holds the
    data that the restore replaced. A backup with a time in the future is used only if no other exists.
    """
    now = datetime.now(UTC)
    mine = [each for each in objects if each.database == database and each.state in RESTORABLE]
    complete = [each for each in mine if each.state is State.COMPLETE]
    legacy = [each for each in mine if each.state is State.LEGACY]
    ranked = [[each for each in complete if not each.is_safety], legacy, complete]
    in_time = [[each for each in group if not each.is_ahead(now)] for group in ranked]
    for candidates in (*in_time, *ranked):
        if candidates:
            return max(candidates, key=lambda each: each.order)
    return None
