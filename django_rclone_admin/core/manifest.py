"""The manifest: one line of JSON beside a backup, written last, that says what the backup is."""

from __future__ import annotations

import dataclasses
import json
import re
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from ..exceptions import BackupDamaged, gettext_noop

FORMAT = 1
LIMIT = 2**63
"""Bytes: more than any storage holds, and what a database column can hold."""
TYPES: dict[str, type | tuple[type, ...]] = {
    "str": str,
    "str | None": (str, type(None)),
    "int": int,
    "int | None": (int, type(None)),
    "datetime": datetime,
    "list[str]": list,
    "dict[str, list[str]]": dict,
}
"""What each type of a field is in JSON, once its times are read."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Manifest:
    """What is known about one backup. Times are aware, sizes are bytes."""

    name: str
    database: str
    """The alias it was taken from."""
    engine: str
    """The connector's word for the engine, such as ``postgresql``."""
    connector: str
    """The class that dumped it."""
    taken_at: datetime
    """When the dump began: what was written later is not in it."""
    finished_at: datetime
    size: int
    """Stored bytes."""
    raw_size: int
    """Bytes of the dump before compression."""
    sha256: str
    """Digest of the stored bytes, hex."""
    compression: str | None = None
    server_version: str = ""
    tool_version: str = ""
    django_version: str = ""
    package_version: str = ""
    migrations: dict[str, list[str]] = field(default_factory=dict)
    """Per app, the names of the applied migrations that no other applied one depends on."""
    tables: list[str] = field(default_factory=list)
    contents: dict[str, list[str]] = field(default_factory=dict)
    """Names of the other objects in the dump by kind, such as ``views`` and ``triggers``."""
    left_out: dict[str, list[str]] = field(default_factory=dict)
    """Names by kind, of what the options of the site kept out of the dump."""
    warnings: list[str] = field(default_factory=list)
    """English sentences: what would not restore into the place that it came from, and the way out."""
    label: str = ""
    trigger: str = ""
    run: str = ""
    host: str = ""
    files: int | None = None
    """Of a media backup: how many files it has. ``size`` is then that of the stored file list."""
    files_size: int | None = None
    """Of a media backup: bytes of all its files."""
    group: str = ""
    """The same for all backups that were started together, for instance of a database and of the media."""
    format: int = FORMAT

    def to_bytes(self) -> bytes:
        """Return the one line that is stored."""
        values = dataclasses.asdict(self)
        values |= {key: values[key].isoformat() for key in ("taken_at", "finished_at")}
        if self.files is None:
            del values["files"], values["files_size"]
        for key in ("group", "contents", "left_out", "warnings"):
            if not values[key]:
                del values[key]
        return json.dumps({"format": values.pop("format"), **values}, ensure_ascii=False).encode() + b"\n"

    @classmethod
    def from_bytes(cls, line: bytes) -> Manifest:
        """Read a stored line; keys of newer versions of this format are passed over.

        :raises BackupDamaged: it is no manifest, or of a newer format.
        """
        try:
            return cls._from_values(json.loads(line))
        except (ValueError, TypeError, KeyError, AttributeError, RecursionError) as error:
            raise BackupDamaged(gettext_noop("A manifest on the remote can't be read.")) from error

    @classmethod
    def _from_values(cls, values: dict[str, Any]) -> Manifest:
        if values["format"] > FORMAT:
            raise BackupDamaged(
                gettext_noop("A manifest was written by a newer version of this package."),
                hint=gettext_noop("Upgrade django-rclone-admin."),
            )
        known = {item.name: values[item.name] for item in dataclasses.fields(cls) if item.name in values}
        known |= {key: _aware(datetime.fromisoformat(known[key])) for key in ("taken_at", "finished_at")}
        for item in dataclasses.fields(cls):
            if item.name in known and not isinstance(known[item.name], TYPES[str(item.type)]):
                raise TypeError(item.name)
        names = [known.get(key, []) for key in ("tables", "warnings")]
        names += [
            each for key in ("migrations", "contents", "left_out") for each in known.get(key, {}).values()
        ]
        if not all(isinstance(each, list) and all(isinstance(name, str) for name in each) for each in names):
            raise TypeError("names")
        counts = [known[key] for key in ("size", "raw_size")]
        counts += [known.get(key) or 0 for key in ("files", "files_size")]
        if not all(0 <= count < LIMIT for count in counts):
            raise ValueError("size")
        return cls(**known)


def _aware(time: datetime) -> datetime:
    """Return a time with its zone. One without was written on a site without time zones, in its local time."""
    return time if time.tzinfo else time.astimezone(UTC)


def read_lines(data: bytes) -> dict[str, Manifest]:
    """Read many manifests, one a line, by the name of their backup. Lines that are none are passed over."""
    found = {}
    # One that is cut off has no line end: it must not take the next one with it.
    for line in re.split(rb'\n|(?=\{"format": )', data):
        try:
            manifest = Manifest.from_bytes(line)
        except BackupDamaged:
            continue
        found[manifest.name] = manifest
    return found
