"""The connectors of SQLite and SpatiaLite."""

from .connector import SqliteBackupConnector, SqliteConnector

__all__ = ["SqliteBackupConnector", "SqliteConnector"]
