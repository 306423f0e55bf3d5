"""Records of checks: one JSON object each, stored next to the backup and in a chain that outlives it.

Each record in the chain contains the SHA-256 of the previous one, so a changed or removed record breaks the chain. Two
checks that end at the same moment may name the same previous record.
"""

from __future__ import annotations

import contextlib
import dataclasses
import hashlib
import json
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from ..exceptions import BackupDamaged, BackupError, RemoteError, gettext_noop
from .answers import Entry
from .catalog import StoredObject
from .check_marks import AHEAD, FOLDER, STAMP, CheckMark, Level, Outcome, read_stamp
from .manifest import BEGINNING
from .printable import printable
from .rclone import Rclone
from .rclone import at as in_remote

FORMAT = 1
KEPT = timedelta(days=400)
"""How long the chain keeps a record."""
RECORD_BYTES = 16 << 20
"""The longest record that is read; one of 100,000 tables is about as long as the manifest."""
_written: dict[str, str] = {}
"""The SHA-256 of the records that this process has added to the chain last, by path. Their names contain their run."""
_CHAINED = re.compile(r"[0-9]{4}/([0-9]{8}T[0-9]{6}Z)-[0-9a-f-]{36}-(checksum|structure|restore|site)\.json")


@dataclass(frozen=True, slots=True, kw_only=True)
class Record:
    """The result of one check. Times are aware, sizes are bytes."""

    backup: str
    """Name of the backup."""
    database: str
    level: Level
    outcome: Outcome
    reason: str = ""
    """In English: the failure, the reason why it was not checked, or what was skipped."""
    started_at: datetime
    finished_at: datetime
    age_seconds: float | None = None
    """The age of the backup: the data written in that time would have been lost."""
    sha256: str = ""
    """Of the stored bytes, as read."""
    size: int = 0
    tables: dict[str, dict[str, int | None]] = field(default_factory=dict)
    """By table: the rows ``expected`` by the manifest, and those ``found``; ``None`` where unknown."""
    versions: dict[str, str] = field(default_factory=dict)
    """By name, such as ``django`` and ``server``."""
    host: str = ""
    requested_by: str = ""
    run: str = ""
    previous: str = ""
    """SHA-256 of the previous record in the chain; empty for the first."""
    format: int = FORMAT

    @property
    def seconds(self) -> float:
        """Duration of the check: at the level ``restore``, the measured time to recover."""
        return round((self.finished_at - self.started_at).total_seconds(), 3)

    @property
    def mark(self) -> CheckMark:
        """The result in the form that the record's name contains."""
        return CheckMark(level=self.level, outcome=self.outcome, at=self.finished_at.replace(microsecond=0))

    def as_dict(self) -> dict[str, Any]:
        """Return the JSON object."""
        found = dataclasses.asdict(self) | {"seconds": self.seconds}
        found |= {key: found[key].isoformat() for key in ("started_at", "finished_at")}
        return {"format": found.pop("format"), **found}

    def to_bytes(self) -> bytes:
        """Return the one line that is stored."""
        return json.dumps(self.as_dict(), ensure_ascii=False).encode() + b"\n"

    @classmethod
    def from_bytes(cls, data: bytes) -> Record:
        """Read a stored record and make its text printable, because anyone may have written it.

        :raises BackupDamaged: it is not a record.
        """
        try:
            return cls(**_values(json.loads(data)))
        except (ValueError, TypeError, KeyError, AttributeError, OverflowError, RecursionError) as error:
            raise BackupDamaged(gettext_noop("A check record on the remote can't be read.")) from error


def _values(values: dict[str, Any]) -> dict[str, Any]:
    """Return the fields of a record after checking their types. Raises any Python error if one is wrong."""
    if values["format"] != FORMAT:
        raise ValueError("format")
    texts = ("backup", "database", "reason", "sha256", "host", "requested_by", "run", "previous")
    known: dict[str, Any] = {key: _text(values[key]) for key in texts}
    known |= {"level": Level(values["level"]), "outcome": Outcome(values["outcome"])}
    for key in ("started_at", "finished_at"):
        known[key] = datetime.fromisoformat(values[key])
        if known[key].tzinfo is None:
            raise ValueError(key)
    known["age_seconds"] = None if values["age_seconds"] is None else float(values["age_seconds"])
    known["size"] = _count(values["size"])
    known["tables"] = {
        _text(name): {key: _count(rows[key], or_none=True) for key in ("expected", "found")}
        for name, rows in values["tables"].items()
    }
    known["versions"] = {_text(name): _text(version) for name, version in values["versions"].items()}
    return known


def _text(value: Any) -> str:
    if not isinstance(value, str):
        raise TypeError("text")
    return printable(value)


def _count(value: Any, *, or_none: bool = False) -> int | None:
    if (value is None and or_none) or (type(value) is int and 0 <= value < 2**63):
        return value
    raise TypeError("count")


def read_beside(rclone: Rclone, backup: StoredObject) -> list[Record]:
    """Return the records stored next to a backup, newest first, by one call. Unreadable records are left out."""
    if not backup.records:
        return []
    found = bytearray()

    def take(data: bytes) -> None:
        found.extend(data[: RECORD_BYTES - len(found)])

    rclone.read_many(backup.sibling("").rstrip("/"), [name for name, _mark in backup.records], take)
    records = []
    # A truncated record lacks its line end: it must not consume the next one.
    for line in bytes(found).split(BEGINNING)[1:]:
        with contextlib.suppress(BackupDamaged):
            records.append(Record.from_bytes(BEGINNING + line))
    mine = [each for each in records if each.backup == backup.name]
    return sorted(mine, key=lambda each: each.finished_at, reverse=True)


def store(
    rclone: Rclone, backup: StoredObject, records: Sequence[Record], on_failure: Callable[[BackupError], None]
) -> list[Record]:
    """Add records to the chain, store them next to the backup, and remove those that newer records replace.

    The records in the chain come first, and one look at the remote afterwards verifies that all have arrived.

    :param on_failure: called with the reason when a record can't be removed; the others are left for a later check.
    :returns: the records as stored, each with the digest of the previous one.
    """
    chained, stored, unneeded = _chain(rclone, records)
    beside = {backup.sibling(each.mark.name(backup.name)): each.to_bytes() for each in stored}
    rclone.write(chained | beside)
    _written.clear()
    _written.update({path: hashlib.sha256(data).hexdigest() for path, data in chained.items()})
    for name, mark in backup.records:
        if any(record.mark.replaces(mark) for record in stored):
            unneeded.append(backup.sibling(name))
    try:
        for path in unneeded:
            rclone.delete(path)
    except RemoteError as error:
        on_failure(error)
    return stored


def _chain(rclone: Rclone, records: Sequence[Record]) -> tuple[dict[str, bytes], list[Record], list[str]]:
    """Append records to the chain.

    :returns: the objects to store in it, by path; the records; and the paths of records that have expired.
    """
    now = max(record.finished_at for record in records)
    # The backup was just read, so a missing folder is not a folder that a wrong passphrase hides.
    entries = _chained(rclone.list(in_remote(FOLDER), recursive=True) or [])
    before = [entry for entry, at in entries if at - now <= AHEAD]
    previous = _digest(rclone, before[-1]) if before else ""
    objects, stored = {}, []
    for record in records:
        stored.append(dataclasses.replace(record, previous=previous))
        data = stored[-1].to_bytes()
        stamp = record.mark.at.strftime(STAMP)
        path = f"{FOLDER}/{stamp[:4]}/{stamp}-{record.run}-{record.level}.json"
        objects[path] = data
        previous = hashlib.sha256(data).hexdigest()
    return objects, stored, [f"{FOLDER}/{entry.name}" for entry, at in entries if now - at > KEPT]


def _chained(entries: Sequence[Entry]) -> list[tuple[Entry, datetime]]:
    """Return the records of the chain with their times, oldest first. Unknown files are skipped."""
    found = []
    for entry in entries:
        name = _CHAINED.fullmatch(entry.name)
        at = read_stamp(name[1]) if name else None
        if name and at and entry.name.startswith(f"{at.year:04}/"):
            # Two records of one run may have the same second: the lower level comes first.
            found.append((at, entry.name.rpartition("-")[0], Level(name[2]).rank, entry))
    return [(entry, at) for at, _run, _rank, entry in sorted(found)]


def _digest(rclone: Rclone, entry: Entry) -> str:
    """Return the SHA-256 of a record of the chain; an object too large to be a record is not read."""
    path = f"{FOLDER}/{entry.name}"
    if own := _written.get(path):
        return own
    if not 0 < entry.size <= RECORD_BYTES:
        return ""
    done = rclone.call(["cat", f"--count={entry.size + 1}"], in_remote(path))
    return hashlib.sha256(done.check().output).hexdigest()
