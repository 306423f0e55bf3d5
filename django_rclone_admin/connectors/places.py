"""Where opened backups lie: places of their own beside the live data, each with a name that says whose it is."""

from __future__ import annotations

import os
import shutil
import socket
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Protocol

from ..core.control import Control
from ..core.transfer import Sink

MARK = "_dra_open_"
"""In the name of each place, behind the name of the live database. Eight digits of the site follow, and eight of the place."""


class Places(Protocol):
    """Makes, lists and drops the places of one server, or folder; each engine has its own."""

    @property
    def read_only(self) -> tuple[str, ...]:
        """Statements that make a session read-only, whatever has been done to it. Carried out before each query."""

    @property
    def keeps(self) -> bool:
        """Whether :meth:`put_live` keeps the live data on the server, so that undo needs no backup."""

    @property
    def shell_arguments(self) -> tuple[str, ...]:
        """Arguments of the database's own client, so that what is typed there can't write either."""

    @property
    def hint(self) -> str:
        """What to do where :meth:`why_not` has a reason."""

    def why_not(self) -> str:
        """Return why no place can be made here, as a sentence; an empty string when it can."""

    def name(self, site: str, number: str) -> str:
        """Return the name of a place.

        :param site: eight hex digits that tell the places of this site from those of others on the same server.
        :param number: eight hex digits of the place.
        """

    def names(self, site: str) -> list[str]:
        """Return the places of a site beside this live database: exactly those that :meth:`name` could have named."""

    def free(self) -> int | None:
        """Return how many bytes are free where places lie; ``None`` where nobody can tell from here."""

    def sink(self, head: bytes, control: Control, place: str) -> Sink:
        """Return what makes a place and fills it with a dump. Its ``commit`` leaves it whole and read-only.

        :raises WrongFormat: the dump is of another format.
        """

    def settings(self, place: str) -> dict[str, Any]:
        """Return how Django's ``DATABASES`` would describe a place."""

    def rows(self, place: str = "", *, seconds: float | None = None) -> dict[str, int | None]:
        """Count the rows of each table of a place, or of the live database.

        :param seconds: after this time, what is left is not counted, and has ``None``.
        """

    def drop(self, place: str) -> None:
        """Remove a place with all that is in it; one that is gone already is no error."""

    def put_live(self, place: str, kept: str, control: Control) -> list[str]:
        """Put a place where the live data is, all of it or nothing; return the tables that are no more.

        :param kept: the name under which the live data is kept, where the connector keeps any.
        :raises OutcomeUnknown: nobody can tell whether it was done.
        """


def count_rows(cursor: Any, tables: Mapping[str, str], seconds: float | None) -> dict[str, int | None]:
    """Count the rows of tables.

    :param tables: the identifiers, as SQL, by the names that they are known by.
    """
    began = time.monotonic()
    found: dict[str, int | None] = dict.fromkeys(tables)
    for name, identifier in tables.items():
        if seconds is not None and time.monotonic() - began > seconds:
            break
        cursor.execute(f"SELECT COUNT(*) FROM {identifier}")  # noqa: S608 (quoted by the engine)
        found[name] = int(cursor.fetchone()[0])
    return found


def free_space(folder: Path) -> int | None:
    """Return how many bytes are free on the disk of a folder of this machine; ``None`` where that can't be told."""
    try:
        return shutil.disk_usage(folder).free
    except OSError:
        return None


def is_here(host: object) -> bool:
    """Whether the server that ``HOST`` names surely works on this machine."""
    name = str(host or "")
    return (
        not name or name.startswith(os.sep) or name in ("localhost", "127.0.0.1", "::1", socket.gethostname())
    )
