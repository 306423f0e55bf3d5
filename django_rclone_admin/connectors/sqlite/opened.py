"""Files of opened backups: in the folder of the live file, read-only."""

from __future__ import annotations

import contextlib
import re
import sqlite3
import threading
from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Any
from urllib.parse import quote as quoted
from urllib.parse import unquote, urlsplit

from ...core.control import Control
from ...core.files import FileSource
from ...core.transfer import Sink, transfer
from ...exceptions import ProgramFailed, gettext_noop
from ..places import MARK, count_rows, free_space
from .background import Background
from .checking import check
from .copying import Copier
from .examiner import Examiner
from .opening import Opener, connect, quote
from .schema import tables
from .staged import Staged
from .streams import explained

COMPANIONS = ("", "-journal", "-wal", "-shm")
"""Suffixes of the files that SQLite may create next to a database."""
PAUSE = 0.05
"""Seconds between two interruptions of what began just after the first."""


class Places:
    """See :class:`~django_rclone_admin.connectors.places.Places`.

    :param connector: the :class:`~django_rclone_admin.connectors.sqlite.SqliteBackupConnector` of the live file.
    :param open_copy: opens a file, with the functions that its constraints and indexes need.
    """

    read_only = ("PRAGMA query_only = ON",)
    keeps = False
    shell_arguments = ("-readonly",)
    hint = gettext_noop("Nothing was changed.")

    def __init__(self, connector: Any, open_copy: Opener) -> None:
        self._connector, self._open_copy = connector, open_copy
        name = connector.path()
        self._live = Path(unquote(urlsplit(name).path) if name.startswith("file:") else name).absolute()

    def why_not(self) -> str:
        return ""

    def name(self, site: str, number: str) -> str:
        return str(self._live.with_name(f"{self._live.name}{MARK}{site}{number}"))

    def names(self, site: str) -> list[str]:
        start = re.escape(Path(self.name(site, "")).name)
        pattern = re.compile(rf"({start}[0-9a-f]{{8}})({'|'.join(COMPANIONS)})")
        found = [each for each in self._live.parent.iterdir() if each.is_file() and not each.is_symlink()]
        return sorted(
            {str(each.with_name(match[1])) for each in found if (match := pattern.fullmatch(each.name))}
        )

    def free(self) -> int | None:
        return free_space(self._live.parent)

    def sink(self, head: bytes, control: Control, place: str) -> Sink:
        is_text, history = self._connector.is_text(head), self._connector.history_tables
        return Placed(Path(place), control, self._open_copy, is_text=is_text, history=history)

    def settings(self, place: str) -> dict[str, Any]:
        live = self._connector.live
        # The site's init command may write, and an IMMEDIATE transaction needs write access.
        refused = ("init_command", "transaction_mode", "isolation_level")
        options = {key: value for key, value in live.get("OPTIONS", {}).items() if key not in refused}
        return {**live, "NAME": f"file:{quoted(place)}?mode=ro", "OPTIONS": options}

    def rows(self, place: str = "", *, seconds: float | None = None) -> dict[str, int | None]:
        name = f"file:{quoted(place)}?mode=ro" if place else self._connector.path()
        reading = explained(gettext_noop("The SQLite database could not be read: %(reason)s."))
        with reading, contextlib.closing(connect(name)) as connection, limited(connection, seconds):
            found = {each: quote(each) for each in tables(connection, without=self._connector.history_tables)}
            return count_rows(connection.cursor(), found, seconds, failures=sqlite3.Error)

    def drop(self, place: str) -> None:
        for end in COMPANIONS:
            Path(place + end).unlink(missing_ok=True)

    def put_live(self, place: str, kept: str, control: Control) -> list[str]:
        sinks: list[Sink] = []

        def choose(head: bytes) -> Sink:
            sinks.append(self._connector.sink(head, control, "swap"))
            return sinks[0]

        transfer(FileSource(Path(place)), choose, control=control)
        return list(self._connector.vanished(sinks[0]))


class Placed:
    """Writes a dump into a new file, checks it, and makes it read-only. ``close`` removes an incomplete file."""

    def __init__(
        self, file: Path, control: Control, open_copy: Opener, *, is_text: bool, history: Sequence[str]
    ) -> None:
        self._file, self._control, self._open_copy = file, control, open_copy
        self._is_text, self._history = is_text, history
        self._copier = Copier()
        self._staged = Staged(self._copier, open_copy, is_text=is_text)
        self._is_mine = self._is_whole = self._is_examined = False

    def examiner(self) -> Examiner:
        """See :class:`~django_rclone_admin.connectors.examiners.Sharing`: the examiner writes and checks the file."""
        self._is_examined = True
        return Examiner(
            self._control,
            self._open_copy,
            is_text=self._is_text,
            history=self._history,
            create=self._create,
        )

    def open(self) -> None:
        if not self._is_examined:
            self._staged.open(self._create())

    def _create(self) -> Path:
        try:
            self._file.touch(mode=0o600, exist_ok=False)
        except OSError as error:
            raise ProgramFailed(
                gettext_noop("No file can be created in the folder of the live database: %(reason)s."),
                hint=gettext_noop(
                    "Nothing was changed. The account of the site needs to write to that folder."
                ),
                reason=error.strerror,
            ) from error
        self._is_mine = True
        return self._file

    def write(self, data: bytes) -> None:
        if not self._is_examined:
            self._staged.write(data)

    def commit(self) -> None:
        damaged = gettext_noop("The backup holds a damaged SQLite database.")
        doing = gettext_noop("The SQLite database could not be opened: %(reason)s.")
        with explained(doing), self._whole() as connection:
            if not self._is_examined:
                Background(partial(check, connection, damaged), self.abort).wait(self._control.touch)
            connection.execute("PRAGMA journal_mode=DELETE")  # WAL would write a second file
        self._file.chmod(0o400)
        self._is_whole = True

    def _whole(self) -> contextlib.AbstractContextManager[sqlite3.Connection]:
        if self._is_examined:
            return self._copier.watched(self._open_copy(str(self._file)))
        return self._staged.whole()

    def abort(self) -> None:
        self._copier.abort()

    def close(self) -> None:
        self._staged.close()
        if self._is_mine and not self._is_whole:
            for end in COMPANIONS:
                Path(f"{self._file}{end}").unlink(missing_ok=True)


@contextlib.contextmanager
def limited(connection: sqlite3.Connection, seconds: float | None) -> Iterator[None]:
    """Interrupt what the connection does when the time is up, such as a wait for a lock."""
    if seconds is None:
        yield
        return
    connection.execute(f"PRAGMA busy_timeout = {max(1, int(seconds * 1000))}")
    done = threading.Event()

    def interrupt() -> None:
        # A count is one step for SQLite, so its progress handler would never be called.
        wait = seconds
        while not done.wait(wait):
            connection.interrupt()
            wait = PAUSE

    clock = threading.Thread(target=interrupt)
    clock.start()
    try:
        yield
    finally:
        done.set()
        clock.join()
