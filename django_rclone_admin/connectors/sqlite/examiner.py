"""Reads a dump into a private file, checks the file, and counts the rows of each table."""

from __future__ import annotations

import contextlib
import sqlite3
from collections.abc import Callable, Sequence
from pathlib import Path

from ...core.control import Control
from ...core.temporary import private_folder, remove_folder
from ...exceptions import BackupDamaged, ProgramFailed, gettext_noop
from .background import Background
from .checking import check, is_damage
from .copying import Copier
from .opening import Opener
from .schema import count_rows
from .staged import Staged

DAMAGED = gettext_noop("The backup holds a damaged SQLite database.")


class Examiner:
    """Fills a private file like a restore, and checks it.

    :param open_copy: opens the file, with the functions that its constraints and indexes need.
    :param history: this package's own tables, which are not reported.
    :param create: creates the file, which then stays; by default it is in a private folder, and removed.
    """

    def __init__(
        self,
        control: Control,
        open_copy: Opener,
        *,
        is_text: bool,
        history: Sequence[str] = (),
        create: Callable[[], Path] | None = None,
    ) -> None:
        self._control, self._copier, self._history = control, Copier(), history
        self._create = create or self._private_file
        self._staged = Staged(self._copier, open_copy, is_text=is_text)
        self._opened = contextlib.ExitStack()
        self.rows: dict[str, int | None] = {}

    def open(self) -> None:
        file = self._create()
        self._opened.callback(self._staged.close)
        self._staged.open(file)

    def write(self, data: bytes) -> None:
        self._staged.write(data)

    def commit(self) -> None:
        try:
            with self._staged.whole() as connection:
                Background(lambda: self._examine(connection), self.abort).wait(self._control.touch)
        except sqlite3.Error as error:
            if is_damage(error):
                raise BackupDamaged(
                    DAMAGED, hint=gettext_noop("SQLite says: %(answer)s"), answer=error
                ) from error
            raise ProgramFailed(
                gettext_noop("The private copy of the SQLite database could not be checked: %(reason)s."),
                hint=gettext_noop("Check the folder for temporary files and its free space."),
                reason=error,
            ) from error

    def _examine(self, connection: sqlite3.Connection) -> None:
        check(connection, DAMAGED, is_full=True)
        self.rows = count_rows(connection, without=self._history)

    def _private_file(self) -> Path:
        folder = private_folder()
        self._opened.callback(remove_folder, folder)
        return folder / "examined.sqlite3"

    def abort(self) -> None:
        self._copier.abort()

    def close(self) -> None:
        self._opened.close()
