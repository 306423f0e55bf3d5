"""Connectors for ``CONNECTORS`` whose process dies by SIGKILL at the worst moment: the new data has just become live."""

import os
import signal

from django_rclone_admin.connectors.postgresql import connector as postgresql
from django_rclone_admin.connectors.postgresql import swap as postgresql_swap
from django_rclone_admin.connectors.postgresql.server import Server
from django_rclone_admin.connectors.sqlite.connector import SqliteBackupConnector


class DyingServer(Server):
    """A server whose renaming is the last thing that we see."""

    def rename(self, pairs):
        super().rename(pairs)
        os.kill(os.getpid(), signal.SIGKILL)


class PostgreSQL(postgresql.PgDumpConnector):
    """Dies right after databases were renamed."""

    def __init__(self, *arguments, **details):
        super().__init__(*arguments, **details)
        postgresql_swap.Server = DyingServer  # in a process of its own that ends by it


class SQLite(SqliteBackupConnector):
    """Dies right after the commit."""

    def vanished(self, sink):
        os.kill(os.getpid(), signal.SIGKILL)
