"""Connectors for ``CONNECTORS`` whose process dies or is interrupted at the worst moment: the new data has just become live."""

import os
import signal
import sqlite3
import time

from django_rclone_admin.connectors.postgresql import connector as postgresql
from django_rclone_admin.connectors.postgresql import swap as postgresql_swap
from django_rclone_admin.connectors.postgresql.server import Server
from django_rclone_admin.connectors.sqlite import copying
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


class InterruptedServer(Server):
    """A server whose renaming is done when a second Ctrl-C comes, before anybody can be told."""

    def rename(self, pairs):
        from django_rclone_admin import api  # models need the apps to be ready

        super().rename(pairs)
        raise api.Abandoned


class InterruptedPostgreSQL(postgresql.PgDumpConnector):
    """Is interrupted right after databases were renamed."""

    def __init__(self, *arguments, **details):
        super().__init__(*arguments, **details)
        postgresql_swap.Server = InterruptedServer  # in a process of its own that ends by it


class SQLite(SqliteBackupConnector):
    """Dies right after the commit."""

    def vanished(self, sink):
        os.kill(os.getpid(), signal.SIGKILL)


class InterruptedSQLite(SqliteBackupConnector):
    """Gets the signals in ``SIGNALS`` at the moment when the restored data becomes live."""

    def __init__(self, *arguments, **details):
        super().__init__(*arguments, **details)
        look = copying._Patience.look

        def told(patience, status, remaining=0, total=0):
            look(patience, status, remaining, total)
            if status == sqlite3.SQLITE_DONE:
                for number in map(int, os.environ["SIGNALS"].split(",")):
                    before = signal.getsignal(number)
                    os.kill(os.getpid(), number)
                    # The next one is only heard when this one is: not before the handler has changed, or never.
                    deadline = time.monotonic() + 0.5
                    while signal.getsignal(number) is before and time.monotonic() < deadline:
                        time.sleep(0.01)

        copying._Patience.look = told  # in a process of its own, which does nothing else
