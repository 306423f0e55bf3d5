"""Every connector keeps what a connector must keep."""

import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any, ClassVar

import pytest
from django.db import connections

from django_rclone_admin.connectors.mysql.connector import MysqlDumpConnector
from django_rclone_admin.connectors.postgresql.connector import PgDumpConnector
from django_rclone_admin.connectors.postgresql.postgis import PgDumpGisConnector
from django_rclone_admin.connectors.sqlite.connector import SqliteBackupConnector, SqliteConnector
from django_rclone_admin.testing import ConnectorConformance, Subject
from tests.support import databases, programs
from tests.support.postgresql import PostgreSQLServer
from tests.support.servers import missing
from tests.support.tables import HISTORY

ALIAS = "conformance"

SCHEMA = (
    "CREATE TABLE author (id integer PRIMARY KEY, name varchar(100) NOT NULL UNIQUE)",
    """
    CREATE TABLE book (
        id integer PRIMARY KEY, author_id integer NOT NULL, title text, price decimal(8, 2),
        FOREIGN KEY (author_id) REFERENCES author (id))
    """,
    "CREATE INDEX book_price ON book (price)",
    "CREATE VIEW cheap AS SELECT * FROM book WHERE price < 10",
    f"CREATE TABLE {HISTORY} (id integer PRIMARY KEY, heartbeat_at varchar(40), finished_at varchar(40))",
    f"INSERT INTO {HISTORY} (id) VALUES (1)",
)
AUTHORS, BOOKS = 20, 1000
CHANGES = (
    "DELETE FROM book WHERE id % 7 = 0",
    "UPDATE book SET price = price + 1, title = NULL",
    "DROP VIEW cheap",
    "CREATE TABLE newer (author_id integer, FOREIGN KEY (author_id) REFERENCES author (id))",
    "INSERT INTO newer VALUES (1)",
    "DROP TABLE book",
)


@pytest.fixture
def alias(django_db_blocker: Any) -> Iterator[Callable[[dict[str, Any]], dict[str, Any]]]:
    """Give Django a database of its own for one test; returns its complete settings."""

    def add(entry: dict[str, Any]) -> dict[str, Any]:
        databases = connections.configure_settings({"default": {}, ALIAS: dict(entry)})
        connections.settings[ALIAS] = databases[ALIAS]
        return databases[ALIAS]

    with django_db_blocker.unblock():
        yield add
        connections[ALIAS].close()
        del connections[ALIAS], connections.settings[ALIAS]


def fill(entry: dict[str, Any]) -> None:
    authors = ", ".join(f"({n}, 'O''Hara {n} äöü 🐘')" for n in range(AUTHORS))
    books = ", ".join(f"({n}, {n % AUTHORS}, 'line {n}\n;\ttab', {n}.25)" for n in range(BOOKS))
    databases.execute(
        entry, *SCHEMA, f"INSERT INTO author VALUES {authors}", f"INSERT INTO book VALUES {books}"
    )


def subject_of(connector: Any, entry: dict[str, Any], **values: Any) -> Subject:
    return Subject(
        connector=connector,
        rows=lambda: databases.rows(entry),
        change=lambda: databases.execute(entry, *CHANGES),
        history=lambda: databases.execute(entry, f"SELECT * FROM {HISTORY} ORDER BY id"),
        write_history=lambda: databases.execute(entry, f"INSERT INTO {HISTORY} (id) VALUES (2)"),
        **values,
    )


class TestSqliteBackup(ConnectorConformance):
    connector = SqliteBackupConnector

    @pytest.fixture
    def subject(self, alias, tmp_path: Path) -> Subject:
        entry = {"ENGINE": "django.db.backends.sqlite3", "NAME": str(tmp_path / "db.sqlite3")}
        with closing(sqlite3.connect(entry["NAME"])) as new:
            new.execute("VACUUM")
        fill(entry)
        return subject_of(self.connector(ALIAS, alias(entry), history_tables=(HISTORY,)), entry)


class TestSqliteText(TestSqliteBackup):
    connector = SqliteConnector


@pytest.fixture(scope="class")
def template(request, postgresql_server) -> Iterator[str]:
    """Name of a filled PostgreSQL database, which each test of the class gets a copy of."""
    entry = postgresql_server.create_database()
    request.cls.prepare(postgresql_server, entry["NAME"])
    fill(entry)
    yield entry["NAME"]
    postgresql_server.drop_databases(entry["NAME"])


class TestPgDump(ConnectorConformance):
    strategy = "in_place"
    connector = PgDumpConnector
    options: ClassVar[dict[str, str]] = {}

    @staticmethod
    def prepare(server: PostgreSQLServer, database: str) -> None:
        """Do what must be done in the new database before it is filled."""

    @pytest.fixture
    def subject(self, alias, postgresql_server, template: str, tmp_path: Path) -> Iterator[Subject]:
        entry = postgresql_server.create_database(template=template)
        settings = alias(entry)
        real = postgresql_server.bin_dir
        broken = programs.cut_output(
            tmp_path / "bin", "pg_dump", real / "pg_dump", after=10_000, status=1, when="format"
        )
        make = [
            self.connector(
                ALIAS, settings, {"BIN_DIR": str(folder), **self.options}, history_tables=(HISTORY,)
            )
            for folder in (real, broken.parent)
        ]
        yield subject_of(make[0], entry, strategy=self.strategy, failing=make[1])
        connections[ALIAS].close()
        postgresql_server.drop_databases(entry["NAME"])


class TestPgDumpSwap(TestPgDump):
    strategy = "swap"


class TestPgDumpGis(TestPgDump):
    connector = PgDumpGisConnector
    options = {"ADMIN_USER": PostgreSQLServer.superuser, "ADMIN_PASSWORD": PostgreSQLServer.password}

    @staticmethod
    def prepare(server: PostgreSQLServer, database: str) -> None:
        with closing(server.superuser_connection(database)) as admin:
            if not admin.execute("SELECT 1 FROM pg_available_extensions WHERE name = 'postgis'").fetchone():
                missing("PostGIS is not installed")
            admin.execute("CREATE EXTENSION postgis")


@pytest.mark.soak
class TestPgDumpGisSwap(TestPgDumpGis):
    strategy = "swap"


class TestMysqlDump(ConnectorConformance):
    @pytest.fixture
    def subject(self, alias, mysql_server, tmp_path: Path) -> Iterator[Subject]:
        entry = mysql_server.create_database()
        fill(entry)
        settings = alias(entry)
        broken = programs.cut_output(
            tmp_path / "bin",
            "mariadb-dump",
            mysql_server.bin_dir / "mariadb-dump",
            after=10_000,
            status=1,
            when="single-transaction",
        )
        make = [
            MysqlDumpConnector(ALIAS, settings, options, history_tables=(HISTORY,))
            for options in ({}, {"BIN_DIR": str(broken.parent)})
        ]
        yield subject_of(make[0], entry, strategy=MysqlDumpConnector.strategies[0], failing=make[1])
        connections[ALIAS].close()
        mysql_server.drop_databases(entry["NAME"])
