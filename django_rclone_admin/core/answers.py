"""Interprets what rclone answers: exit codes, and JSON, which is checked before it is used."""

from __future__ import annotations

import json
import re
from datetime import datetime
from typing import TYPE_CHECKING, NamedTuple, TypeVar

from ..exceptions import RemoteDenied, RemoteError, gettext_noop

if TYPE_CHECKING:
    from .programs import Completed

T = TypeVar("T")

NO_FOLDER, NO_FILE, NOTHING_DONE = 3, 4, 9
"""rclone's exit codes for a missing folder or object, where 3 from a listing means an empty listing, and for an object
that was not copied or moved. Every other code is an error."""

UNDECRYPTABLE = re.compile(r"Skipping undecryptable (dir|file) name")
"""crypt's message, with exit code 0, about names that its passphrase does not decrypt."""


class Entry(NamedTuple):
    """One object of a listing. A tuple whose times are parsed only on demand, because a listing may have a million."""

    name: str
    size: int
    """Bytes."""
    stamp: str
    """The modification time on the remote, ISO 8601 with up to nine digits of fraction; or empty."""

    @property
    def modified(self) -> datetime | None:
        """The modification time on the remote, aware; ``None`` where it is unknown. Never used to order backups."""
        return read_stamp(self.stamp)


def read_stamp(stamp: str) -> datetime | None:
    """Return a time that rclone wrote, or ``None`` for any other text."""
    try:
        # Python 3.11 reads six digits of a second's fraction.
        return datetime.fromisoformat(re.sub(r"(\.\d{6})\d+", r"\1", stamp))
    except ValueError:
        return None


def listed(done: Completed) -> list[Entry] | None:
    """Return the entries of a listing, or ``None`` when the folder does not exist.

    :raises RemoteDenied: the configured passphrase does not decrypt some names.
    :raises RemoteError: the call failed or did not print a listing.
    """
    # crypt with a wrong passphrase lists nothing and exits 0: this empty list must not be trusted.
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

    :raises RemoteError: the call failed or did not print JSON of this kind.
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
        gettext_noop("rclone printed an unexpected answer."),
        hint=gettext_noop(
            "Check that the program in RCLONE_BINARY is rclone itself and prints nothing of its own."
        ),
    )
