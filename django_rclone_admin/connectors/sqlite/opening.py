"""Opens SQLite files: the live one without additions, private copies with the functions and collations of the site.

A CHECK constraint, a generated column or an index may call functions that only Django, or the site itself, adds to its
connections. Without them SQLite can neither check nor rebuild an intact file.
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
"""How long SQLite itself waits for a lock. Then Python retries, and can be stopped in between."""

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
    """Opens private files like the site's database: by its backend, with the receivers of ``connection_created``.

    :param alias: the alias in ``DATABASES``; receivers may read it.
    :param database: its settings, with Django's defaults.
    """

    def __init__(self, alias: str, database: Mapping[str, Any]) -> None:
        self._alias, self._database = alias, database
        self.attached: set[str] = set()
        """The files of other databases that the site attaches to its connections."""

    def __call__(self, path: str) -> sqlite3.Connection:
        """Return a connection in autocommit mode, without attached databases.

        If the backend or a receiver fails, the connection has Django's functions; if these fail too, none.
        """
        for engine, is_announced in ((self._database.get("ENGINE", DJANGO), True), (DJANGO, False)):
            try:
                connection = self._open(engine, path, is_announced=is_announced)
            except Exception as error:  # noqa: BLE001  (the project's code may raise anything)
                logger.debug("A private copy could not be opened by %s: %r", engine, error)
                continue
            self.attached |= _seclude(connection)
            return connection
        return connect_private(path)

    def _open(self, engine: str, path: str, *, is_announced: bool) -> sqlite3.Connection:
        settings = copy.deepcopy(dict(self._database))
        # Values must be read as stored, without Python's conversions.
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
        raise TypeError(f"{type(wrapper.connection)} is not a connection of the standard library")


def is_wal(connection: sqlite3.Connection) -> bool:
    """Whether a database is in WAL mode: then a part of it may be in its log, and others may move that at any time."""
    mode: tuple[str] = connection.execute("PRAGMA journal_mode").fetchone()
    return mode == ("wal",)


def _seclude(connection: sqlite3.Connection) -> set[str]:
    """Revert settings of the site that do not suit a private file; return the files that were attached.

    The file must be complete without a separate log, its rows must be read as stored, and no other database may be
    reachable by what is checked or executed.
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
        # A file that is not a database raises when it is read.
        with contextlib.suppress(sqlite3.DatabaseError):
            connection.execute(f"PRAGMA {pragma}=OFF")
    return attached
