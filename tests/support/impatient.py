"""Connectors for ``CONNECTORS`` that wait for a lock of somebody else for a second, and not for half a minute."""

from typing import Any

from django_rclone_admin.connectors.postgresql import connector as postgresql
from django_rclone_admin.connectors.postgresql import in_place
from django_rclone_admin.connectors.sqlite import copying
from django_rclone_admin.connectors.sqlite.connector import SqliteBackupConnector

SECONDS = 1


class PostgreSQL(postgresql.PgDumpConnector):
    """Waits in a restore in place."""

    def __init__(self, *arguments: Any, **details: Any) -> None:
        super().__init__(*arguments, **details)
        in_place.LOCK_SECONDS = SECONDS  # in a process of its own, which does nothing else


class SQLite(SqliteBackupConnector):
    """Waits for readers."""

    def __init__(self, *arguments: Any, **details: Any) -> None:
        super().__init__(*arguments, **details)
        copying.BUSY_SECONDS = SECONDS  # in a process of its own, which does nothing else
