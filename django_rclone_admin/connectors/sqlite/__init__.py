"""SQLite and SpatiaLite: how they are dumped and restored."""

from .connector import SqliteBackupConnector, SqliteConnector

__all__ = ["SqliteBackupConnector", "SqliteConnector"]
