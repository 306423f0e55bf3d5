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


PART_BYTES = 1 << 18
"""How much of a listing is parsed at a time."""
BETWEEN = b"},\n{"
"""Stands between two entries of a listing, and nowhere else: JSON has no line end in a text, and entries no objects."""


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


class ListingReader:
    """Reads the listing that ``rclone lsjson`` prints, a part at a time: a long one would take ten times its memory.

    What is wrong with it is raised at its end, when it is known whether the call failed.
    """

    def __init__(self) -> None:
        self._entries: list[Entry] = []
        self._pieces: list[bytes] = []
        self._size = 0
        self._is_odd = False

    def feed(self, data: bytes) -> None:
        self._pieces.append(data)
        self._size += len(data)
        # rclone writes one entry at a time.
        if self._size > PART_BYTES:
            text = b"".join(self._pieces)
            end = text.rfind(BETWEEN) + 1
            if end:
                self._read(text[:end] + b"]")
                text = b"[" + text[end + 1 :]
            self._pieces, self._size = [text], 0

    def finish(self, done: Completed) -> list[Entry] | None:
        """Return the entries, or ``None`` when the folder does not exist.

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
        done.check()
        self._read(b"".join(self._pieces))
        if self._is_odd:
            raise _odd()
        return self._entries

    def _read(self, text: bytes) -> None:
        try:
            for item in _parse(text, list):
                entry = Entry(item["Path"], item.get("Size", -1), item.get("ModTime") or "")
                self._entries.append(entry)
        except (RemoteError, AttributeError, KeyError, TypeError):
            self._is_odd = True


def answer(done: Completed, kind: type[T]) -> T:
    """Return the JSON that a call of rclone printed.

    :raises RemoteError: the call failed or did not print JSON of this kind.
    """
    return _parse(done.check().output, kind)


def _parse(text: bytes, kind: type[T]) -> T:
    try:
        found = json.loads(text or b"{}")
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
