"""A schema on MariaDB that is dumped and restored in this process: no command, no remote, so that many cases are quick."""

import io
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from uuid import uuid4

import pymysql
from django.db import connections

from django_rclone_admin.connectors.base import Contents
from django_rclone_admin.connectors.mysql import MysqlDumpConnector
from django_rclone_admin.core.control import Control
from django_rclone_admin.core.files import FileSource, StreamSink
from django_rclone_admin.core.transfer import transfer
from tests.support import databases
from tests.support.databases import execute
from tests.support.mysql import HISTORY, MariaDBServer

HEAD = b"-- MariaDB dump 10.19  Distrib 10.11.6-MariaDB, for Linux (x86_64)\n--\n-- Host: localhost    Database: "
END = b"\n-- Dump completed on 2026-11-25 12:00:00\n"


class MysqlSite:
    """One schema, with the table of the history in it."""

    def __init__(self, server: MariaDBServer, name: str | None = None) -> None:
        self.server = server
        self.entry = server.create_database(name or f"shop_{uuid4().hex[:12]}")
        self.name: str = self.entry["NAME"]
        self.alias = f"alias_of_{self.name}"
        self.execute(f"CREATE TABLE {HISTORY} (id INT PRIMARY KEY)")

    def execute(self, *statements: str) -> Any:
        """Execute statements, and return the rows of the last one."""
        return execute(self.entry, *statements)

    @contextmanager
    def session(self) -> Iterator[Any]:
        """Open one connection for several statements; gives what executes one."""
        with databases.connection(self.entry) as connection:
            yield connection.execute

    def driver(self, charset: str = "utf8mb4") -> "pymysql.Connection[Any]":
        """Connect to the schema in a character set, with autocommit. The caller closes."""
        login = {"host": self.entry["HOST"], "port": int(self.entry["PORT"])}
        login |= {"user": self.entry["USER"], "password": self.entry["PASSWORD"], "database": self.name}
        return pymysql.connect(**login, charset=charset, autocommit=True)

    def log_in(self, **login: Any) -> None:
        """Have the site use another account."""
        connections[self.alias].close()
        connections[self.alias].settings_dict.update(login)

    def connector(self, **options: Any) -> MysqlDumpConnector:
        """Return a connector of this schema."""
        return MysqlDumpConnector(
            self.alias, connections[self.alias].settings_dict, options, history_tables=(HISTORY,)
        )

    def dump(self, **options: Any) -> tuple[bytes, Contents]:
        """Return the text of a dump, and what it says it holds."""
        connector, file = self.connector(**options), io.BytesIO()
        source = connector.source()
        transfer(source, StreamSink(file))
        return file.getvalue(), connector.contents(source)

    def restore(self, text: bytes, strategy: str, **options: Any) -> Any:
        """Restore a text, and return the sink."""
        connector, control, chosen = self.connector(**options), Control(), []

        def choose(head: bytes) -> Any:
            chosen.append(connector.sink(head, control, strategy))
            return chosen[0]

        transfer(FileSource(io.BytesIO(text)), choose, control=control)
        return chosen[0]

    def text(self) -> str:
        """Return everything that is in the schema."""
        return self.server.text(self.name)

    def dump_of(self, statements: bytes) -> bytes:
        """Return a text that looks like a dump of this schema, and has these statements."""
        return HEAD + self.name.encode() + b"\n" + statements + END


@contextmanager
def open_site(server: MariaDBServer, name: str | None = None) -> Iterator[MysqlSite]:
    """Open a schema that Django has an alias for meanwhile; fail when anything is left on the server but what is kept."""
    site = MysqlSite(server, name)
    completed = connections.configure_settings({"default": {}, site.alias: dict(site.entry)})
    connections.settings[site.alias] = completed[site.alias]
    try:
        yield site
        assert [each for each in server.schemas(f"{site.name}_dra_") if not each.endswith("_kept")] == []
    finally:
        connections[site.alias].close()
        del connections[site.alias], connections.settings[site.alias]
        server.drop_databases(site.name)
