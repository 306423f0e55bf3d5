"""The manifest: one line of JSON that describes a backup, stored next to it and written last.

Anyone who can write to the remote can write one. So every field is checked before it is used, its text is made
printable before it reaches a page or a terminal, and a huge manifest is not read.
"""

from __future__ import annotations

import dataclasses
import json
from dataclasses import dataclass, field
from datetime import MAXYEAR, MINYEAR, UTC, datetime
from typing import Any

from ..exceptions import BackupDamaged, gettext_noop
from .printable import printable

FORMAT = 1
MANIFEST_BYTES = 16 << 20
"""The longest manifest that is read: one with 100,000 tables, as a site with a schema for each tenant may have, has 10
MB."""
BEGINNING = b'{"format": '
LIMIT = 2**63
"""Bytes: more than any storage holds, and the largest value of a database column."""
DATETIME = (datetime,)
TYPES: dict[str, tuple[type, ...]] = {
    "str": (str,),
    "str | None": (str, type(None)),
    "int": (int,),
    "int | None": (int, type(None)),
    "datetime": DATETIME,
    "list[str]": (list,),
    "dict[str, list[str]]": (dict,),
    "dict[str, int]": (dict,),
    "bool": (bool,),
}
"""The JSON types of each field type, after its times are parsed."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Manifest:
    """The description of one backup. Times are aware, sizes are bytes."""

    name: str
    database: str
    """The alias of the dumped database."""
    engine: str
    """The connector's name of the engine, such as ``postgresql``."""
    connector: str
    """The class that dumped it."""
    taken_at: datetime
    """When the dump began; later changes are not in it."""
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
    """The applied leaf migrations of each app."""
    tables: list[str] = field(default_factory=list)
    rows: dict[str, int] = field(default_factory=dict)
    """Rows of each table, where they could be counted without slowing the dump down."""
    rows_exact: bool = False
    """Whether ``rows`` were counted in the dump itself."""
    contents: dict[str, list[str]] = field(default_factory=dict)
    """Names of the other objects in the dump by kind, such as ``views`` and ``triggers``."""
    left_out: dict[str, list[str]] = field(default_factory=dict)
    """Names by kind of the objects that the options of the site exclude."""
    warnings: list[str] = field(default_factory=list)
    """English sentences: what can't be restored into the source database, and the remedy."""
    label: str = ""
    trigger: str = ""
    run: str = ""
    host: str = ""
    files: int | None = None
    """Number of files of a media backup, whose ``size`` is that of the stored file list."""
    files_size: int | None = None
    """Bytes of all files of a media backup."""
    trusted: int | None = None
    """Number of consecutive media backups, up to this one, that relied on the previous file list instead of comparing
    every file. 0: this one compared every file. ``None``: its file list may use the remote's spelling of names, not
    the site's."""
    group: str = ""
    """Shared by all backups that were started together, for instance of a database and the media files."""
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
        """Read a stored line; see :func:`parse`.

        :param shared: values of manifests that were read before; equal values share their memory.
        """
        return cls(**_share(parse(line), shared))


def parse(line: bytes) -> dict[str, Any]:
    """Return the checked fields of a stored line; unknown keys, from newer versions of this format, are ignored.

    :raises BackupDamaged: it is not a manifest, or of a newer format.
    """
    try:
        text = line.decode().strip()
        values = json.loads(text)
        # Characters that are absent from the text and its escapes are absent from the values.
        is_plain = text.isprintable() and "\\" not in text
        return _check(values if is_plain else _clean(values))
    except (ValueError, TypeError, KeyError, AttributeError, OverflowError, RecursionError) as error:
        raise BackupDamaged(gettext_noop("A manifest on the remote can't be read.")) from error


FIELDS = {item.name: TYPES[str(item.type)] for item in dataclasses.fields(Manifest)}
DEFAULTS = {
    item.name: item.default
    for item in dataclasses.fields(Manifest)
    if item.default is not dataclasses.MISSING
}
LISTS = {
    "migrations": dict,
    "tables": list,
    "rows": dict,
    "contents": dict,
    "left_out": dict,
    "warnings": list,
}
"""The fields that may be long, with their empty value."""
REQUIRED = FIELDS.keys() - DEFAULTS.keys() - LISTS.keys()
NAMES = tuple(name for name in LISTS if name != "rows")
"""The lists of names, or their dictionaries by kind."""
COUNTS = ("size", "raw_size", "files", "files_size", "trusted")
OWN = {"name", "taken_at", "finished_at", "sha256", "run", *COUNTS}
"""The fields that differ in every manifest."""


def _check(values: dict[str, Any]) -> dict[str, Any]:
    """Return the fields of a manifest after checking their types and ranges. Raises any Python error if one is
    wrong."""
    if values["format"] > FORMAT:
        raise BackupDamaged(
            gettext_noop("A manifest was written by a newer version of this package."),
            hint=gettext_noop("Upgrade django-rclone-admin."),
        )
    known: dict[str, Any] = {}
    for name, value in values.items():
        types = FIELDS.get(name)
        if types is DATETIME:
            known[name] = _aware(datetime.fromisoformat(value))
        # JSON's types are exact, so a bool is no int here.
        elif types and type(value) not in types:
            raise TypeError(name)
        elif types:
            known[name] = value
    if not known.keys() >= REQUIRED:
        raise KeyError
    for key in NAMES:
        if found := known.get(key):
            _check_names(found)
    _check_counts(known)
    return known


def _check_counts(known: dict[str, Any]) -> None:
    for count in known.get("rows", {}).values():
        if type(count) is not int or not 0 <= count < LIMIT:
            raise ValueError("rows")
    for key in COUNTS:
        if not 0 <= (known.get(key) or 0) < LIMIT:
            raise ValueError(key)


def _check_names(found: dict[str, Any] | list[Any]) -> None:
    for names in found.values() if isinstance(found, dict) else (found,):
        if not isinstance(names, list) or not {*map(type, names)} <= {str}:
            raise TypeError("names")


def _share(known: dict[str, Any], shared: dict[object, Any] | None) -> dict[str, Any]:
    """Replace values that are equal in many manifests by the shared object."""
    if shared is not None:
        for name, value in known.items():
            if name not in OWN:
                # The type belongs to it: True is equal to 1, and a label may be the text of a list.
                key = (type(value), repr(value) if name in LISTS else value)
                known[name] = shared.setdefault(key, value)
    return known


def _aware(time: datetime) -> datetime:
    """Return a time with its zone. A time without one was written by a site without time zones, in local time."""
    time = time if time.tzinfo else time.astimezone(UTC)
    if not MINYEAR < time.year < MAXYEAR:  # no time zone may move it out of the calendar
        raise ValueError("time")
    return time


def _clean(value: Any) -> Any:
    """Return JSON with all of its text made printable."""
    if isinstance(value, str):
        return printable(value)
    if isinstance(value, list):
        return [_clean(each) for each in value]
    if isinstance(value, dict):
        return {_clean(key): _clean(each) for key, each in value.items()}
    return value
