"""The abilities of a remote, as rclone reports them."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from email.utils import parsedate_to_datetime
from typing import Any

from ..exceptions import RemoteError
from .answers import answer
from .parts import MIB
from .programs import Completed
from .rclone import Rclone, at

COMPOSED = re.compile(r"union root|combine root")
"""rclone's descriptions of a remote that is composed of others."""
DATE = re.compile(r"^(?:.*\s)?Date: (\w{3}, \d\d \w{3} \d{4} \d\d:\d\d:\d\d GMT)\s*$", re.MULTILINE)
STARTING = re.compile(r'Version \\?"v?([^"\\]+)\\?" starting')
"""The first line of rclone's debug log, also as JSON."""
CHUNK_SIZE = re.compile(r"(?:^|[,_-])chunk[_-]size[= ]['\"]?(\d+(?:\.\d+)?)\s*([kmgt]?)", re.IGNORECASE)
UNITS = {"": 1 << 10, "k": 1 << 10, "m": MIB, "g": 1 << 30, "t": 1 << 40}
"""rclone takes a size without a unit for KiB."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Features:
    """The abilities of the storage itself, without those that rclone emulates."""

    can_rename: bool
    can_copy: bool
    """On the storage itself."""
    can_stream: bool
    """Without it, rclone first spools each upload in the folder for temporary files."""
    tells_space: bool
    hashes: tuple[str, ...]
    is_bucket: bool
    is_encrypted: bool | None
    """Whether rclone encrypts what it stores; ``None`` for a remote composed of others."""


def read_features(rclone: Rclone) -> Features:
    """Ask rclone for the features of the remote.

    :raises RemoteError: the remote can't be reached.
    """
    told = answer(rclone.call(["backend", "features"], at("")), dict)
    has: Mapping[str, Any] = told.get("Features") or {}
    name = str(told.get("String") or "")
    is_encrypted: bool | None = name.startswith("Encrypted drive")
    if not is_encrypted and (has.get("WrapFs") or COMPOSED.match(name)):
        is_encrypted = None
    return Features(
        can_rename=bool(has.get("Move")),
        can_copy=bool(has.get("Copy")),
        can_stream=bool(has.get("PutStream")),
        tells_space=bool(has.get("About")),
        hashes=tuple(told.get("Hashes") or ()),
        is_bucket=bool(has.get("BucketBased")),
        is_encrypted=is_encrypted,
    )


def read_version(rclone: Rclone) -> str:
    """Return rclone's version, such as ``1.75.2``; an empty string where the program prints none. Needs no remote."""
    output = rclone.call(["version"]).check().output.decode(errors="replace")
    found = re.search(r"rclone v?(\S+)", output)
    return found[1] if found else ""


def free_bytes(rclone: Rclone) -> int | None:
    """Return the free bytes on the remote, or ``None`` if the storage does not report them."""
    return _free(rclone.call(["about", "--json"], at("")))


def _free(done: Completed) -> int | None:
    try:
        free = answer(done, dict).get("free")
    except RemoteError:
        return None
    return free if isinstance(free, int) else None


def read_version_and_free(rclone: Rclone) -> tuple[str, int | None]:
    """Return :func:`read_version` and :func:`free_bytes`, by one call: rclone begins its debug log with its version."""
    done = rclone.call(["about", "--json", "-vv"], at(""))
    found = STARTING.search(done.errors)
    return found[1] if found else read_version(rclone), _free(done)


def clock_of(rclone: Rclone) -> datetime | None:
    """Return the time of the remote's clock; ``None`` where it is not given, such as by a storage without HTTP.

    Only the dates of the answers that rclone prints are read.
    """
    done = rclone.call(["lsjson", "--no-mimetype", "--no-modtime", "-vv", "--dump=headers"], at(""))
    found = DATE.findall(done.errors)
    return parsedate_to_datetime(found[-1]) if found else None


def configured_part_size(rclone: Rclone) -> int | None:
    """Return the configured size of an upload part in bytes; ``None`` where the settings do not name one.

    The configuration file is not read: its size gives way to ours, see :mod:`~.parts`.
    """
    defined = {name: value for name, value in rclone.inherited.items() if name.startswith("RCLONE_CONFIG_")}
    env = [f"{name}={value}" for name, value in {**defined, **rclone.env}.items()]
    found = CHUNK_SIZE.findall("\n".join([rclone.remote, " ".join(rclone.flags), *env]))
    return min((int(float(number) * UNITS[unit.lower()]) for number, unit in found), default=None)
