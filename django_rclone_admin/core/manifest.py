"""The manifest: one line of JSON beside a backup, written last, that says what the backup is.

Whoever may write to the remote can write one. So nothing in it is believed before it was checked, none of its text
reaches a page or a terminal as it is, and a huge one is not read.
"""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import MAXYEAR, MINYEAR, UTC, datetime
from typing import Any

from ..exceptions import BackupDamaged, gettext_noop
from .printable import printable

FORMAT = 1
MANIFEST_BYTES = 16 << 20
"""The longest manifest that is read: one with 100,000 tables, as a site with a schema for each tenant may have, has 10 MB."""
SMALL_BYTES = 64 << 10
"""A manifest up to this length is kept whole wherever many are; one of 500 tables."""
BEGINNING = b'{"format": '
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
    "dict[str, int]": dict,
    "bool": bool,
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
    rows: dict[str, int] = field(default_factory=dict)
    """How many rows the dump has, by table, as far as that could be counted without slowing it down."""
    rows_exact: bool = False
    """Whether ``rows`` were counted in the dump itself."""
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
    trusted: int | None = None
    """Of a media backup: how many in a row, with this one, took the list before them for what is in the mirror. 0: this
    one compared every file. ``None``: its file list may have names as the remote writes them, and not as the site does."""
    group: str = ""
    """The same for all backups that were started together, for instance of a database and of the media."""
    format: int = FORMAT

    def to_bytes(self) -> bytes:
        """Return the one line that is stored."""
        values = _clean(dataclasses.asdict(self))
        values |= {key: values[key].isoformat() for key in ("taken_at", "finished_at")}
        if self.files is None:
            del values["files"], values["files_size"]
        if self.trusted is None:
            del values["trusted"]
        if not self.rows:
            del values["rows"], values["rows_exact"]
        for key in ("group", "contents", "left_out", "warnings"):
            if not values[key]:
                del values[key]
        return json.dumps({"format": values.pop("format"), **values}, ensure_ascii=False).encode() + b"\n"

    @classmethod
    def from_bytes(cls, line: bytes, shared: dict[object, Any] | None = None) -> Manifest:
        """Read a stored line; keys of newer versions of this format are passed over.

        :param shared: what manifests read before have said; what this one says, too, is in memory once.
        :raises BackupDamaged: it is no manifest, or of a newer format.
        """
        try:
            text = line.decode().strip()
            values = json.loads(text)
            # What is neither in the text nor escaped in it is not in the values.
            is_plain = text.isprintable() and "\\" not in text
            return cls(**_share(_check(values if is_plain else _clean(values)), shared))
        except (ValueError, TypeError, KeyError, AttributeError, OverflowError, RecursionError) as error:
            raise BackupDamaged(gettext_noop("A manifest on the remote can't be read.")) from error


FIELDS = {item.name: TYPES[str(item.type)] for item in dataclasses.fields(Manifest)}
LISTS = {
    "migrations": dict,
    "tables": list,
    "rows": dict,
    "contents": dict,
    "left_out": dict,
    "warnings": list,
}
"""The fields that may be long, and what makes them empty."""
COUNTS = ("size", "raw_size", "files", "files_size", "trusted")
OWN = {"name", "taken_at", "finished_at", "sha256", "run", *COUNTS}
"""The fields that are different in each manifest."""


def _check(values: dict[str, Any]) -> dict[str, Any]:
    """Return the fields of a manifest, if each is of its type and in its range. Any error of Python's says that not."""
    if values["format"] > FORMAT:
        raise BackupDamaged(
            gettext_noop("A manifest was written by a newer version of this package."),
            hint=gettext_noop("Upgrade django-rclone-admin."),
        )
    known: dict[str, Any] = {}
    for name, kind in FIELDS.items():
        if name in values:
            value = values[name]
            if kind is datetime:
                value = _aware(datetime.fromisoformat(value))
            if not isinstance(value, kind) or (isinstance(value, bool) and kind is not bool):
                raise TypeError(name)
            known[name] = value
    for key in LISTS.keys() - {"rows"}:
        _check_names(known.get(key))
    if not all(type(count) is int and 0 <= count < LIMIT for count in known.get("rows", {}).values()):
        raise ValueError("rows")
    if not all(0 <= (known.get(key) or 0) < LIMIT for key in COUNTS):
        raise ValueError("size")
    return known


def _check_names(found: dict[str, Any] | list[Any] | None) -> None:
    for names in found.values() if isinstance(found, dict) else (found or [],):
        if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
            raise TypeError("names")


def _share(known: dict[str, Any], shared: dict[object, Any] | None) -> dict[str, Any]:
    """Take the objects that are equal in many manifests from those of the others."""
    if shared is not None:
        for name, value in known.items():
            if name not in OWN:
                key = repr(value) if name in LISTS else value
                known[name] = shared.setdefault(key, value)
    return known


def _aware(time: datetime) -> datetime:
    """Return a time with its zone. One without was written on a site without time zones, in its local time."""
    time = time if time.tzinfo else time.astimezone(UTC)
    if not MINYEAR < time.year < MAXYEAR:  # no time zone may turn it into one outside of the calendar
        raise ValueError("time")
    return time


def _clean(value: Any) -> Any:
    """Return JSON with all of its text printable."""
    if isinstance(value, str):
        return printable(value)
    if isinstance(value, list):
        return [_clean(each) for each in value]
    if isinstance(value, dict):
        return {_clean(key): _clean(each) for key, each in value.items()}
    return value


class ThinManifest(Manifest):
    """A manifest without its lists: a thousand long ones can be kept in memory so."""

    __slots__ = ()

    @classmethod
    def of(cls, manifest: Manifest) -> ThinManifest:
        """Return the manifest without its lists."""
        values = {name: getattr(manifest, name) for name in FIELDS}
        return cls(**values | {name: kind() for name, kind in LISTS.items()})


class ManifestReader:
    """Reads many manifests, one a line, from bytes as they come. It never keeps more than one that is long.

    Lines that are none are passed over.

    :param take: called with each manifest.
    :param thin: give the long ones as :class:`ThinManifest`.
    """

    def __init__(self, take: Callable[[Manifest], None], *, thin: bool = False) -> None:
        self._take, self._thin = take, thin
        self._rest = b""
        self._shared: dict[object, Any] = {}

    def feed(self, data: bytes) -> None:
        *lines, self._rest = (self._rest + data).split(b"\n")
        for line in lines:
            self._read(line)
        # One line end in as many bytes is what a manifest has; this is none.
        if len(self._rest) > MANIFEST_BYTES:
            self._rest = b""

    def finish(self) -> None:
        self._read(self._rest)

    def _read(self, line: bytes) -> None:
        # One that is cut off has no line end: it must not take the next one with it.
        first, *others = line.split(BEGINNING)
        for part in (first, *(BEGINNING + each for each in others)):
            if not part:
                continue
            try:
                is_long = len(part) > SMALL_BYTES
                manifest = Manifest.from_bytes(part, None if is_long else self._shared)
            except BackupDamaged:
                continue
            if self._thin and is_long:
                manifest = ThinManifest.of(manifest)
            self._take(manifest)
