"""A small database of this process's site whose backups are opened, on a real server; the history is in another one."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from django.db import connections

from django_rclone_admin import api
from django_rclone_admin.jobs import aliases
from django_rclone_admin.models import OpenedBackup
from tests.support import backups, databases
from tests.support.mysql import MariaDBServer
from tests.support.postgresql import PostgreSQLServer
from tests.support.remotes import Remote

ALIAS = "books"
SCHEMA = (
    "CREATE TABLE author (id integer PRIMARY KEY, name varchar(100) NOT NULL)",
    "CREATE TABLE book (id integer PRIMARY KEY, author_id integer NOT NULL REFERENCES author (id), title varchar(90))",
    "INSERT INTO author VALUES (1, 'Ada'), (2, 'Bob')",
    "INSERT INTO book VALUES (1, 1, 'one; ''two'''), (2, 1, 'x'), (3, 2, 'y')",
    "CREATE VIEW titles AS SELECT title FROM book",
)
WRITERS = {
    "postgresql": (
        """
        CREATE FUNCTION writes() RETURNS integer LANGUAGE plpgsql
            AS $$ BEGIN INSERT INTO author VALUES (99, 'x'); RETURN 1; END $$
        """,
        """
        CREATE FUNCTION escapes() RETURNS text LANGUAGE sql
            AS $$ SELECT set_config('default_transaction_read_only', 'off', false) $$
        """,
        "CREATE SEQUENCE numbers",
    ),
    "mysql": (
        "CREATE FUNCTION writes() RETURNS INT MODIFIES SQL DATA BEGIN INSERT INTO author VALUES (99, 'x'); RETURN 1; END",
        "CREATE EVENT later ON SCHEDULE EVERY 1 YEAR DO DELETE FROM author",
        "CREATE SEQUENCE numbers",
    ),
    "sqlite3": (),
}
"""What else there is, by the last word of ``ENGINE``: functions that write, and their like."""


@dataclass(frozen=True, kw_only=True)
class Books:
    """The database: its alias is ``books``."""

    entry: dict[str, Any]
    server: PostgreSQLServer | MariaDBServer | None

    @property
    def engine(self) -> str:
        return databases.engine(self.entry)

    def have_backup(self, remote: Remote, shared: Path) -> str:
        """Have a backup of the database as it was filled, with its run in the history, and return its path.

        All tests with the same engine have copies of one.
        """
        return backups.have_backup(
            remote, shared, f"books-{self.engine}", lambda: api.backup_database(ALIAS)
        ).path

    def execute(self, statement: str) -> list[tuple[Any, ...]]:
        """Execute one statement on the live database."""
        return databases.execute(self.entry, statement)

    def rows(self) -> databases.Rows:
        """Return every row of the live database."""
        return databases.rows(self.entry)

    def beside(self) -> list[str]:
        """Return the names of all that lies beside the live database."""
        name = self.entry["NAME"]
        if isinstance(self.server, MariaDBServer):
            found = self.server.schemas(name)
        elif isinstance(self.server, PostgreSQLServer):
            query = f"SELECT datname FROM pg_database WHERE starts_with(datname, '{name}')"
            found = [each for (each,) in self.execute(query)]
        else:
            found = [str(each) for each in Path(name).parent.glob(f"{Path(name).name}*")]
        return sorted({*found} - {name})

    def make(self, name: str) -> None:
        """Make something that is called like this, beside the live database."""
        if isinstance(self.server, MariaDBServer):
            self.server.administer(f"CREATE DATABASE `{name}`")
        elif isinstance(self.server, PostgreSQLServer):
            self.server.create_database(name)
        else:
            Path(name).write_bytes(b"")


@contextmanager
def books(entry: dict[str, Any], server: PostgreSQLServer | MariaDBServer | None) -> Iterator[Books]:
    """Fill a new database, and give Django an alias for it meanwhile."""
    if server is None:
        Path(entry["NAME"]).touch()
    site = Books(entry=entry, server=server)
    databases.execute(entry, *SCHEMA, *WRITERS[site.engine])
    before = connections.settings
    connections.settings = {
        **before,
        ALIAS: connections.configure_settings({"default": {}, ALIAS: dict(entry)})[ALIAS],
    }
    try:
        yield site
    finally:
        for each in OpenedBackup.objects.all():
            aliases.unregister(each.alias)
        for alias in set(connections) - set(before):
            connections[alias].close()
            del connections[alias]  # or the next test that uses this alias gets this test's connection
        connections.settings = before
        if server is not None:
            server.drop_databases(entry["NAME"])
