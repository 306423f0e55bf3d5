"""SQLite, without its command-line program."""

from __future__ import annotations

import contextlib
import functools
import shutil
import sqlite3
import tempfile
from collections.abc import Collection, Iterable
from pathlib import Path
from typing import ClassVar

from django.db import connections

from ...core.control import Control
from ...core.findings import Finding
from ...core.transfer import Sink, Source
from ...exceptions import RestoreRefused, UsageError, WrongFormat, gettext_noop
from ..base import Connector, Contents, Facts
from ..options import OPTIONS
from . import examination, integrity
from .copying import Copier
from .examiner import Examiner
from .opened import Places
from .opening import SiteOpener, connect
from .schema import count_rows, tables
from .streams import MAGIC, Loader, Snapshot, SqlText, explained

ATTACHED = "The database file %(file)s, which the site attaches to its connections, is not in this backup."


class SqliteBackupConnector(Connector):
    """Stores a consistent, checked copy of the file."""

    engine = "sqlite"
    vendor_name = "SQLite"
    extension = "sqlite3"
    unreachable_hint = gettext_noop(
        "Check NAME in DATABASES, and that the account of the site may read and write the file and its folder."
    )
    strategies = ("in_place", "swap")
    known_options = OPTIONS | {"FULL_CHECK"}
    stream: ClassVar[type[Snapshot]] = Snapshot
    """The source class of dumps."""

    def path(self) -> str:
        """Return the live file's name or URI.

        :raises UsageError: the database lives in memory.
        """
        name = str(self.live["NAME"])
        if name == ":memory:" or "mode=memory" in name or not name:
            raise UsageError(
                gettext_noop("The database %(database)s lives in memory, so there is no file to back up."),
                hint=gettext_noop(
                    "Give it a file in DATABASES, or leave it out of the setting DATABASES of DJANGO_RCLONE."
                ),
                database=self.alias,
            )
        return name

    def source(self) -> Source:
        if not self.exists():
            raise UsageError(
                gettext_noop("The database %(database)s has no tables yet, or its file does not exist."),
                hint=gettext_noop("Check NAME in DATABASES, or run “manage.py migrate” first."),
                database=self.alias,
            )
        return self.stream(
            self.path(),
            history=self.history_tables,
            leave_out=self.list_option("EXCLUDE_TABLES"),
            open_copy=self._open_copy,
            is_full=self._is_full,
        )

    def contents(self, source: Source) -> Contents:
        assert isinstance(source, Snapshot)
        return Contents(
            objects=source.objects,
            rows=source.rows,
            left_out={"rows": source.emptied} if source.emptied else {},
            warnings=[ATTACHED % {"file": file} for file in sorted(self._open_copy.attached)],
        )

    def check_room(self, size: int) -> None:
        free = shutil.disk_usage(tempfile.gettempdir()).free
        if free < size:
            raise RestoreRefused(
                gettext_noop(
                    "The restore needs %(size)d bytes for a private copy, but only %(free)d are free."
                ),
                hint=gettext_noop("Nothing was changed. Free some space, or point TMPDIR to a larger disk."),
                size=size,
                free=free,
            )

    def examine_rights(self, strategy: str | None) -> Finding:
        return examination.rights(self.path())

    def examine_contents(self, strategy: str | None) -> Finding:
        return examination.contents(self.path(), self._open_copy)

    def copy_size(self) -> int:
        return examination.size(self.path())

    def places(self) -> Places:
        return Places(self, self._open_copy)

    def is_text(self, head: bytes) -> bool:
        """Whether a dump is SQL text rather than a database file, by its first bytes.

        :raises WrongFormat: it is neither.
        """
        is_text = not head.startswith(MAGIC)
        if is_text and not _looks_like_sql(head):
            raise WrongFormat(gettext_noop("The backup is neither a SQLite database nor its SQL text."))
        return is_text

    def examiner(self, head: bytes, control: Control, tables: Collection[str]) -> Examiner:
        return Examiner(control, self._open_copy, is_text=self.is_text(head), history=self.history_tables)

    def count_rows(self, using: str) -> dict[str, int]:
        connection = connections[using]
        connection.ensure_connection()
        found = count_rows(connection.connection, without=self.history_tables)
        return {name: count or 0 for name, count in found.items()}

    def broken(self, using: str) -> list[str]:
        with connections[using].cursor() as cursor:
            return integrity.broken(cursor)

    def behind(self, using: str, columns: Iterable[tuple[str, str]]) -> list[str]:
        with connections[using].cursor() as cursor:
            return integrity.behind(cursor, columns)

    def sink(self, head: bytes, control: Control, strategy: str) -> Sink:
        return Loader(
            self.path(),
            control,
            keep=self.history_tables,
            is_text=self.is_text(head),
            open_copy=self._open_copy,
            is_full=self._is_full,
        )

    def vanished(self, sink: Sink) -> list[str]:
        assert isinstance(sink, Loader)
        return [each for each in sink.vanished if each not in self.history_tables]

    def facts(self) -> Facts:
        version = sqlite3.sqlite_version
        path = self.path()
        if not path.startswith("file:") and not Path(path).exists():
            return Facts(server_version=version, tool_version=version)
        reading = explained(gettext_noop("The SQLite database could not be read: %(reason)s."))
        with reading, contextlib.closing(connect(path)) as connection, Copier().reading(connection):
            found = tables(connection, without=self.history_tables)
        return Facts(server_version=version, tool_version=version, tables=found)

    @functools.cached_property
    def _open_copy(self) -> SiteOpener:
        return SiteOpener(self.alias, self.live)

    @property
    def _is_full(self) -> bool:
        value = self.options.get("FULL_CHECK", False)
        if not isinstance(value, bool):
            raise UsageError(
                gettext_noop("%(key)s in CONNECTOR_OPTIONS of %(database)s must be True or False."),
                hint=gettext_noop("Write it without quotes."),
                key="FULL_CHECK",
                database=self.alias,
            )
        return value


class SqliteConnector(SqliteBackupConnector):
    """Stores SQL text, as django-rclone does."""

    stream = SqlText


def _looks_like_sql(head: bytes) -> bool:
    text = head.lstrip().upper()
    return text.startswith((b"PRAGMA ", b"BEGIN", b"CREATE ", b"--"))
