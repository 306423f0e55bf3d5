"""What constraints, columns and indexes call is there when a copy is checked, and what is not there is no damage."""

import sqlite3
from contextlib import closing
from pathlib import Path

import pytest
from django.db import connections
from django.db.backends.signals import connection_created

from django_rclone_admin.connectors.sqlite import SqliteBackupConnector, SqliteConnector
from django_rclone_admin.connectors.sqlite.checking import check
from django_rclone_admin.connectors.sqlite.opening import connect_private
from django_rclone_admin.core.control import Control
from django_rclone_admin.core.files import FileSink, FileSource
from django_rclone_admin.core.transfer import transfer
from django_rclone_admin.exceptions import BackupDamaged, RestoreRefused, WrongFormat
from tests.support.sqlite import execute, query

FORMATS = pytest.mark.parametrize("connector_class", [SqliteBackupConnector, SqliteConnector])

DJANGO = {
    "check": ["CREATE TABLE t (a text CHECK (a REGEXP '^[A-Z]'))", "INSERT INTO t VALUES ('Abc')"],
    "stored column": ["CREATE TABLE t (a, b text GENERATED ALWAYS AS (md5(a)) STORED)", "INSERT INTO t VALUES ('x')"],
    "virtual column": ["CREATE TABLE t (a, b text NOT NULL AS (sha256(a)) VIRTUAL)", "INSERT INTO t VALUES ('x')"],
    "index": ["CREATE TABLE t (a)", "CREATE INDEX i ON t (reverse(a), lpad(a, 5, 'x'))", "INSERT INTO t VALUES ('abc')"],
    "partial index": ["CREATE TABLE t (a)", "CREATE INDEX i ON t (a) WHERE regexp('^x', a)", "INSERT INTO t VALUES ('xa')"],
    "unique index": [
        "CREATE TABLE t (a)",
        "CREATE UNIQUE INDEX i ON t (django_date_trunc('month', a, NULL, NULL))", "INSERT INTO t VALUES ('2026-11-22')",
    ],
    "trigger and view": [
        "CREATE TABLE t (a, b)", "CREATE VIEW v AS SELECT md5(a) AS a, stddev_pop(b) AS b FROM t GROUP BY a",
        "CREATE TRIGGER r AFTER INSERT ON t BEGIN UPDATE t SET b = md5(new.a) WHERE a = new.a; END", "INSERT INTO t (a) VALUES ('x')",
    ],
    "without rowid": [
        "CREATE TABLE t (a text NOT NULL CHECK (sign(length(a)) = 1), b AS (repeat(a, 2)), PRIMARY KEY (a)) WITHOUT ROWID",
        "INSERT INTO t VALUES ('x')",
    ],
}  # fmt: skip

SITE = {
    "function": ["CREATE TABLE t (a, b NOT NULL AS (shout(a)) STORED, CHECK (shout(a) <> ''))", "INSERT INTO t VALUES ('x')"],
    "index": ["CREATE TABLE t (a)", "CREATE UNIQUE INDEX i ON t (shout(a))", "INSERT INTO t VALUES ('x'), ('y')"],
    "collation": ["CREATE TABLE t (a text COLLATE backwards UNIQUE)", "INSERT INTO t VALUES ('x'), ('y')"],
    "collation of a key": ["CREATE TABLE t (a text COLLATE backwards PRIMARY KEY) WITHOUT ROWID", "INSERT INTO t VALUES ('x'), ('y')"],
}  # fmt: skip


@pytest.fixture(autouse=True)
def may_connect(django_db_blocker):
    """These databases are files of the tests."""
    with django_db_blocker.unblock():
        yield


def shout(connection: sqlite3.Connection) -> None:
    """Add a function and a collation to a connection."""
    connection.create_function("shout", 1, lambda text: f"{text}!", deterministic=True)
    connection.create_collation("backwards", lambda one, other: (one < other) - (one > other))


@pytest.fixture
def receiver():
    """A site whose connections get a function and a collation, and a log beside each file."""

    def receive(sender, connection, **_details):
        connection.cursor().execute("PRAGMA journal_mode=WAL")
        shout(connection.connection)

    connection_created.connect(receive)
    yield
    connection_created.disconnect(receive)


def knowing(path: Path) -> sqlite3.Connection:
    """Open a file by a connection that knows all functions and collations of these tests."""
    wrapper = connections["default"].copy()
    wrapper.settings_dict["NAME"] = str(path)
    connection = wrapper.get_new_connection(wrapper.get_connection_params())
    connection.isolation_level = None
    connection.create_function("initial", 1, lambda name: name[:1], deterministic=True)
    shout(connection)
    return connection


def made(path: Path, statements: list[str]) -> Path:
    """Execute statements by a connection that knows all."""
    with closing(knowing(path)) as connection:
        for statement in statements:
            connection.execute(statement)
    return path


def dump(connector, path: Path) -> Path:
    transfer(connector.source(), FileSink(path))
    return path


def restore(connector, path: Path) -> None:
    control = Control()
    transfer(FileSource(path), lambda head: connector.sink(head, control, "in_place"), control=control)


def comes_back(connector_class, tmp_path: Path, statements: list[str], **entry: object) -> None:
    """Back a database up, change it, restore it, and compare."""
    path = made(tmp_path / "live.sqlite3", statements)
    wanted = held(path)
    entry = {"ENGINE": "django.db.backends.sqlite3", "NAME": str(path), **entry}
    connector = connector_class("default", entry)
    backup = dump(connector, tmp_path / "backup")
    with closing(knowing(path)) as connection:
        connection.execute("DROP TABLE t")
        connection.execute("CREATE TABLE newer (a)")
    restore(connector, backup)
    assert held(path) == wanted


def held(path: Path) -> list[object]:
    """Return the definitions, the rows, and whether SQLite finds all in order."""
    questions = "SELECT type, name, sql FROM sqlite_master", "SELECT * FROM t", "PRAGMA integrity_check"
    with closing(knowing(path)) as connection:
        return [connection.execute(question).fetchall() for question in questions]


@FORMATS
@pytest.mark.parametrize("name", DJANGO)
def test_functions_of_django_are_known(tmp_path, connector_class, name):
    comes_back(connector_class, tmp_path, DJANGO[name])


@FORMATS
@pytest.mark.parametrize("name", SITE)
def test_functions_and_collations_that_a_receiver_adds_are_known(tmp_path, connector_class, name, receiver):
    comes_back(connector_class, tmp_path, SITE[name])


@FORMATS
def test_functions_of_a_backend_of_the_project_are_known(tmp_path, connector_class):
    statements = ["CREATE TABLE t (a, CHECK (initial(a) <> ''))", "CREATE INDEX i ON t (initial(a))", "INSERT INTO t VALUES ('x')"]  # fmt: skip
    comes_back(connector_class, tmp_path, statements, ENGINE="tests.support.custom_sqlite")


@FORMATS
def test_options_of_the_connection_do_not_change_what_is_read(tmp_path, connector_class):
    """Django has Python make dates of what is called a date."""
    statements = [
        "CREATE TABLE t (a date, b bool CHECK (b REGEXP '.'))",
        "INSERT INTO t VALUES ('no date', 'x')",
    ]
    comes_back(connector_class, tmp_path, statements, OPTIONS={"timeout": 20, "isolation_level": "IMMEDIATE"})


@pytest.mark.parametrize("name", SITE)
def test_good_copy_is_restored_though_nobody_knows_what_it_calls(tmp_path, name):
    """As on a new server, whose settings are not those of the old one yet."""
    backup = made(tmp_path / "backup", SITE[name])
    live = tmp_path / "live.sqlite3"
    connector = SqliteBackupConnector("default", {"ENGINE": "django.db.backends.sqlite3", "NAME": str(live)})
    restore(connector, backup)
    assert live.read_bytes()[100:] == backup.read_bytes()[100:]
    assert dump(connector, tmp_path / "again").read_bytes()[100:] == backup.read_bytes()[100:]


@pytest.fixture
def other_page_size(tmp_path):
    """A live file that can't change its page size, and what restores a backup over it."""
    backup = made(tmp_path / "backup", ["PRAGMA page_size=8192", *SITE["index"]])
    live = execute(tmp_path / "live.sqlite3", "PRAGMA journal_mode=WAL", "CREATE TABLE t (a)")
    connector = SqliteBackupConnector("default", {"ENGINE": "django.db.backends.sqlite3", "NAME": str(live)})
    return live, lambda: restore(connector, backup)


def test_index_is_rebuilt_with_what_the_site_knows(other_page_size, receiver):
    live, restore_it = other_page_size
    restore_it()
    assert held(live)[1:] == [[("x",), ("y",)], [("ok",)]]


def test_index_is_not_rebuilt_with_what_nobody_knows(other_page_size):
    live, restore_it = other_page_size
    before = live.read_bytes()
    with pytest.raises(RestoreRefused, match="shout") as caught:
        restore_it()
    assert "Nothing was changed" in caught.value.hint
    assert live.read_bytes() == before


@pytest.mark.parametrize(
    "error", [RuntimeError("no"), sqlite3.OperationalError("no such table: t")], ids=repr
)
def test_receiver_that_fails_on_a_private_copy_spoils_nothing(tmp_path, error):
    def receive(sender, **_details):
        raise error

    connection_created.connect(receive)
    try:
        comes_back(SqliteBackupConnector, tmp_path, DJANGO["index"])
    finally:
        connection_created.disconnect(receive)


@FORMATS
def test_database_that_the_site_attaches_is_out_of_reach_and_named(tmp_path, connector_class):
    """SQL text, or a check, must not reach the live data of another file."""
    other = execute(tmp_path / "other.sqlite3", "CREATE TABLE u (a)", "INSERT INTO u VALUES (1)")

    def receive(sender, connection, **_details):
        connection.cursor().execute("ATTACH %s AS other", [str(other)])

    path = made(tmp_path / "live.sqlite3", DJANGO["check"])
    connector = connector_class("default", {"ENGINE": "django.db.backends.sqlite3", "NAME": str(path)})
    connection_created.connect(receive)
    try:
        source = connector.source()
        transfer(source, FileSink(tmp_path / "backup"))
        assert connector.contents(source).warnings == [
            f"The database file {other}, which the site attaches to its connections, is not in this backup."
        ]
        if connector_class is SqliteConnector:
            text = (tmp_path / "backup").read_text().replace("COMMIT;", "DELETE FROM other.u;\nCOMMIT;")
            (tmp_path / "backup").write_text(text)
            with pytest.raises(WrongFormat, match="no such table"):
                restore(connector, tmp_path / "backup")
        else:
            restore(connector, tmp_path / "backup")
    finally:
        connection_created.disconnect(receive)
    assert query(other, "SELECT a FROM u") == [(1,)]


def test_row_that_breaks_a_check_is_no_damage(tmp_path):
    """A constraint may have come later, or its function may say something else today."""
    path = execute(
        tmp_path / "live.sqlite3",
        "CREATE TABLE t (a CHECK (a > 0))",
        "PRAGMA ignore_check_constraints=ON",
        "INSERT INTO t VALUES (-1)",
    )
    connector = SqliteBackupConnector("default", {"ENGINE": "django.db.backends.sqlite3", "NAME": str(path)})
    backup = dump(connector, tmp_path / "backup")
    execute(path, "DELETE FROM t")
    restore(connector, backup)
    assert query(path, "SELECT a FROM t") == [(-1,)]


@pytest.mark.parametrize("is_full", [False, True])
def test_damage_is_found_though_nobody_knows_what_the_file_calls(tmp_path, is_full):
    path = made(tmp_path / "db", [*SITE["function"], "CREATE INDEX j ON t (shout(a))", "CREATE TABLE u (a)"])
    [(root, size)] = query(
        path, "SELECT rootpage, page_size FROM sqlite_schema, pragma_page_size WHERE name = 'j'"
    )
    with path.open("r+b") as file:
        file.seek((root - 1) * size)
        file.write(bytes(size))
    with (
        closing(connect_private(str(path))) as connection,
        pytest.raises(BackupDamaged, match="It is damaged"),
    ):
        check(connection, "It is damaged.", is_full=is_full)


def test_full_check_compares_indexes_with_their_tables(tmp_path):
    path = execute(
        tmp_path / "db", "CREATE TABLE t (a, b)", "CREATE INDEX i ON t (a)", "INSERT INTO t VALUES (1, 2)"
    )
    execute(
        path,
        "PRAGMA writable_schema=ON",
        "UPDATE sqlite_master SET sql = 'CREATE INDEX i ON t (b)' WHERE name = 'i'",
    )
    with closing(connect_private(str(path))) as connection:
        assert check(connection, "It is damaged.") == []
        with pytest.raises(BackupDamaged) as caught:
            check(connection, "It is damaged.", is_full=True)
    assert "missing from index i" in caught.value.hint


def test_option_for_the_full_check(tmp_path):
    path = execute(
        tmp_path / "db", "CREATE TABLE t (a, b)", "CREATE INDEX i ON t (a)", "INSERT INTO t VALUES (1, 2)"
    )
    execute(
        path,
        "PRAGMA writable_schema=ON",
        "UPDATE sqlite_master SET sql = 'CREATE INDEX i ON t (b)' WHERE name = 'i'",
    )
    entry = {"ENGINE": "django.db.backends.sqlite3", "NAME": str(path)}
    backup = dump(SqliteBackupConnector("default", entry), tmp_path / "backup")
    strict = SqliteBackupConnector("default", entry, {"FULL_CHECK": True})
    with pytest.raises(BackupDamaged, match="live SQLite database is damaged"):
        dump(strict, tmp_path / "other")
    with pytest.raises(BackupDamaged, match="The backup holds a damaged SQLite database"):
        restore(strict, backup)
