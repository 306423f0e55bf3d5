"""The interface for the places of opened backups, on the server or in the folder of the live data."""

from __future__ import annotations

import os
import shutil
import socket
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Protocol

from django.db import DatabaseError

from ..core.control import Control
from ..core.transfer import Sink

MARK = "_dra_open_"
"""Follows the live database in the name of each place. Then come eight digits of the site, and eight of the place."""


class Places(Protocol):
    """Creates, lists and drops places on one server or in one folder; each engine implements it."""

    @property
    def read_only(self) -> tuple[str, ...]:
        """Statements that make a session read-only, whatever its state. Executed before each query."""

    @property
    def keeps(self) -> bool:
        """Whether :meth:`put_live` keeps the live data on the server, so that undo needs no backup."""

    @property
    def shell_arguments(self) -> tuple[str, ...]:
        """Arguments that make the database's own client read-only."""

    @property
    def hint(self) -> str:
        """The hint for a reason that :meth:`why_not` returns."""

    def why_not(self) -> str:
        """Return why no place can be created, as a sentence; an empty string when it can."""

    def name(self, site: str, number: str) -> str:
        """Return the name of a place.

        :param site: eight hex digits that distinguish the places of this site from others on the same server.
        :param number: eight hex digits of the place.
        """

    def names(self, site: str) -> list[str]:
        """Return the places of a site that belong to this live database: exactly the names that :meth:`name` can
        return."""

    def free(self) -> int | None:
        """Return the free bytes where places are stored; ``None`` where that can't be determined."""

    def sink(self, head: bytes, control: Control, place: str) -> Sink:
        """Return a sink that creates a place and fills it with a dump. Its ``commit`` leaves it complete and read-only.

        :raises WrongFormat: the dump is in another format.
        """

    def settings(self, place: str) -> dict[str, Any]:
        """Return the ``DATABASES`` entry of a place."""

    def rows(self, place: str = "", *, seconds: float | None = None) -> dict[str, int | None]:
        """Count the rows of each table of a place, or of the live database.

        :param seconds: time limit; tables that are not counted by then have ``None``.
        """

    def drop(self, place: str) -> None:
        """Drop a place with its data; a missing place is not an error."""

    def put_live(self, place: str, kept: str, control: Control) -> list[str]:
        """Replace the live data with a place, all-or-nothing; return the dropped tables.

        :param kept: the name for the replaced live data, where the connector keeps it.
        :raises OutcomeUnknown: it is unknown whether the data was replaced.
        """


def count_rows(
    cursor: Any,
    tables: Mapping[str, str],
    seconds: float | None,
    *,
    limit: Callable[[float], None] = lambda _seconds: None,
    failures: type[Exception] = DatabaseError,
) -> dict[str, int | None]:
    """Count the rows of tables.

    :param tables: SQL identifiers by table name.
    :param limit: makes the server end statements, and waits for locks, after this many seconds.
    :param failures: the errors that it raises then.
    """
    began = time.monotonic()
    found: dict[str, int | None] = dict.fromkeys(tables)
    for name, identifier in tables.items():
        if seconds is not None:
            left = began + seconds - time.monotonic()
            if left <= 0:
                break
            limit(left)
        try:
            cursor.execute(f"SELECT COUNT(*) FROM {identifier}")  # noqa: S608 (quoted by the engine)
            found[name] = int(cursor.fetchone()[0])
        except failures:
            if seconds is None:
                raise
    return found


def free_space(folder: Path) -> int | None:
    """Return the free bytes on the disk of a local folder; ``None`` where that can't be determined."""
    try:
        return shutil.disk_usage(folder).free
    except OSError:
        return None


def is_here(host: object) -> bool:
    """Whether the server in ``HOST`` certainly runs on this machine."""
    name = str(host or "")
    return (
        not name or name.startswith(os.sep) or name in ("localhost", "127.0.0.1", "::1", socket.gethostname())
    )
