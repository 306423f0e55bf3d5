"""Opens SQLite files: the live one plainly, and private copies with the functions and collations of the site.

A CHECK constraint, a generated column or an index may call functions that only Django, or the site itself, adds to its
connections. Without them SQLite can neither check nor rebuild the file, although nothing is wrong with it.
"""

from __future__ import annotations

import contextlib
import copy
import logging
import sqlite3
from collections.abc import Callable, Mapping
from typing import Any

from django.db.backends.base.base import BaseDatabaseWrapper
from django.db.utils import DEFAULT_DB_ALIAS, ConnectionHandler

logger = logging.getLogger("django_rclone_admin")

BUSY_MILLISECONDS = 200
"""How long SQLite itself waits for a lock. Python then tries again, and in between it can be stopped."""

DJANGO = "django.db.backends.sqlite3"

Opener = Callable[[str], sqlite3.Connection]


def quote(name: str) -> str:
    """Quote an identifier."""
    return '"' + name.replace('"', '""') + '"'


def connect(path: str) -> sqlite3.Connection:
    """Open a database by file name or ``file:`` URI, in autocommit mode."""
    connection = sqlite3.connect(
        path,
        uri=path.startswith("file:"),
        timeout=BUSY_MILLISECONDS / 1000,
        isolation_level=None,
        check_same_thread=False,
    )
    connection.execute("PRAGMA foreign_keys=OFF")
    return connection


def connect_private(path: str) -> sqlite3.Connection:
    """Open a private file, which need not survive a crash."""
    connection = connect(path)
    _seclude(connection)
    return connection


class SiteOpener:
    """Opens private files as the site opens its database: by its backend, with the receivers of ``connection_created``.

    :param alias: the alias in ``DATABASES``; receivers may look at it.
    :param database: its settings, as Django completed them.
    """

    def __init__(self, alias: str, database: Mapping[str, Any]) -> None:
        self._alias, self._database = alias, database
        self.attached: set[str] = set()
        """The files of other databases that the site attaches to its connections."""

    def __call__(self, path: str) -> sqlite3.Connection:
        """Return the connection, in autocommit mode and with no other database in reach.

        Where the backend or a receiver fails, the connection has the functions of Django; failing that, none.
        """
        for engine, is_announced in ((self._database.get("ENGINE", DJANGO), True), (DJANGO, False)):
            try:
                connection = self._open(engine, path, is_announced=is_announced)
            except Exception as error:  # noqa: BLE001  (whatever the project's code raises)
                logger.debug("A private copy could not be opened by %s: %r", engine, error)
                continue
            self.attached |= _seclude(connection)
            return connection
        return connect_private(path)

    def _open(self, engine: str, path: str, *, is_announced: bool) -> sqlite3.Connection:
        settings = copy.deepcopy(dict(self._database))
        # What is read must be what is stored, not what Python makes of it.
        options = {**settings.get("OPTIONS", {}), "detect_types": 0}
        settings |= {"ENGINE": engine, "NAME": path, "OPTIONS": options}
        wrapper: BaseDatabaseWrapper = ConnectionHandler(
            {DEFAULT_DB_ALIAS: {}, self._alias: settings}
        ).create_connection(self._alias)
        try:
            if is_announced:
                wrapper.connect()
            else:
                wrapper.connection = wrapper.get_new_connection(wrapper.get_connection_params())
        except BaseException:
            if wrapper.connection is not None:
                wrapper.connection.close()
            raise
        if isinstance(wrapper.connection, sqlite3.Connection):
            return wrapper.connection
        wrapper.connection.close()
        raise TypeError(f"{type(wrapper.connection)} is no connection of the standard library")


def _seclude(connection: sqlite3.Connection) -> set[str]:
    """Undo what the site may have set that does not suit a private file; return the files that it had attached.

    The file must be complete by itself, without a log beside it, its rows must be read as they are stored, and what is
    checked or executed must reach no other database.
    """
    if connection.in_transaction:
        connection.rollback()
    connection.isolation_level, connection.row_factory, connection.text_factory = None, None, str
    connection.set_authorizer(None)
    attached = set()
    for _number, name, file in connection.execute("PRAGMA database_list").fetchall():
        if name not in ("main", "temp"):
            connection.execute(f"DETACH {quote(name)}")
            attached |= {file} - {""}
    for pragma in "foreign_keys", "query_only", "journal_mode", "synchronous":
        # A file that is no database says so when it is read.
        with contextlib.suppress(sqlite3.DatabaseError):
            connection.execute(f"PRAGMA {pragma}=OFF")
    return attached
