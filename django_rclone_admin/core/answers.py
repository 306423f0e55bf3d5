"""What rclone answers: exit codes, and JSON that is not believed before it was looked at."""

from __future__ import annotations

import json
import re
from datetime import datetime
from typing import NamedTuple, TypeVar

from ..exceptions import RemoteDenied, RemoteError, gettext_noop
from .programs import Completed

T = TypeVar("T")

NO_FOLDER, NO_FILE, NOTHING_DONE = 3, 4, 9
"""rclone's exit codes for what is not there; 3 from a listing is an empty listing, everything else is an error. And for
an object that was not copied or moved."""

UNDECRYPTABLE = re.compile(r"Skipping undecryptable (dir|file) name")
"""What crypt says, with exit code 0, of what it has no password for."""


class Entry(NamedTuple):
    """One object of a listing. A tuple, and nothing worked out before it is asked for: there may be a million."""

    name: str
    size: int
    """Bytes."""
    stamp: str
    """When the remote says it changed, ISO 8601 with up to nine digits of a second's fraction; or nothing."""

    @property
    def modified(self) -> datetime | None:
        """When the remote says it changed, aware; ``None`` where it says nothing. Never used to order backups."""
        return read_stamp(self.stamp)


def read_stamp(stamp: str) -> datetime | None:
    """Return the time that rclone wrote, or ``None`` when it is none."""
    try:
        # Python 3.11 reads six digits of a second's fraction.
        return datetime.fromisoformat(re.sub(r"(\.\d{6})\d+", r"\1", stamp))
    except ValueError:
        return None


def listed(done: Completed) -> list[Entry] | None:
    """Return what a listing has, or ``None`` when there is no such folder.

    :raises RemoteDenied: names are there that the configured password can't decrypt.
    :raises RemoteError: it failed, or printed something else.
    """
    # crypt with a wrong password lists nothing and exits 0: an empty list that must not be believed.
    if UNDECRYPTABLE.search(done.errors):
        raise RemoteDenied(
            gettext_noop("The remote has names that can't be decrypted with the configured password."),
            hint=gettext_noop("Check the passwords of the crypt remote in the rclone configuration."),
        )
    if done.status == NO_FOLDER:
        return None
    try:
        return [
            Entry(item["Path"], item.get("Size", -1), item.get("ModTime") or "")
            for item in answer(done, list)
        ]
    except (AttributeError, KeyError, TypeError):
        raise _odd() from None


def answer(done: Completed, kind: type[T]) -> T:
    """Return the JSON that a call of rclone printed.

    :raises RemoteError: it failed, or printed something else.
    """
    try:
        found = json.loads(done.check().output or b"{}")
    except ValueError:
        raise _odd() from None
    if not isinstance(found, kind):
        raise _odd()
    return found


def _odd() -> RemoteError:
    return RemoteError(
        gettext_noop("rclone printed something else than the answer that was asked for."),
        hint=gettext_noop(
            "Check that the program in RCLONE_BINARY is rclone itself and prints nothing of its own."
        ),
    )
