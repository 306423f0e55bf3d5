"""What SQLite holds comes back as it was: every row, byte and type, under writers and readers, in every form of dump."""

import sqlite3
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import pytest

from tests.support.commands import stored
from tests.support.programs import UPLOAD, hold_input
from tests.support.servers import missing
from tests.support.site import Shop
from tests.support.tables import TRAVELS_NOT
from tests.support.waiting import wait_for

RESTORE = ("dbrestore", "--noinput", "--no-safety-backup")
TEXT_CONNECTOR = "django_rclone_admin.connectors.sqlite.SqliteConnector"

EVERYTHING = r"""
CREATE TABLE "odd ""name"" 東京" ("a column" TEXT, "select" INTEGER DEFAULT 7);
INSERT INTO "odd ""name"" 東京" VALUES ('Grüße, שלום 🦀', NULL), ('', 0), (';
COMMIT;
--', 1), ('it''s "quoted"', 2);
CREATE TABLE untyped (value);
INSERT INTO untyped VALUES (NULL), (0), (-1), (9223372036854775807), (-9223372036854775808), (0.1), (1e308), (5e-324),
    (9e999), (-9e999), (2.0), ('2'), ('2.0'), ('1e3'), (X''), (X'00'), (X'00FF0A0D5C27'), (zeroblob(100000)),
    (CAST(X'6100620063' AS TEXT)), (CAST(X'FF80FE' AS TEXT)), (CAST(X'00' AS TEXT)), (char(10, 13, 9)), (12345678901234567890.12345);
CREATE TABLE typed (id INTEGER PRIMARY KEY AUTOINCREMENT, price DECIMAL(10, 2), day DATE, flag BOOLEAN, doc JSON) ;
INSERT INTO typed VALUES (1, 19.99, '2026-11-01', 1, '{"a": [1, null]}'), (41, 0.10, NULL, 0, 'null');
DELETE FROM typed WHERE id = 41;
CREATE TABLE strict_one (id INTEGER PRIMARY KEY, any_value ANY, amount REAL) STRICT;
INSERT INTO strict_one VALUES (1, '007', 7), (2, X'37', 7.5), (3, 7, NULL);
CREATE TABLE no_rowid (code TEXT PRIMARY KEY COLLATE NOCASE, twice AS (code || code) STORED, thrice AS (code || code || code)) WITHOUT ROWID;
INSERT INTO no_rowid (code) VALUES ('b'), ('A');
CREATE TABLE parent (id INTEGER PRIMARY KEY, name TEXT UNIQUE CHECK (length(name) > 0));
CREATE TABLE child (parent_id INTEGER REFERENCES parent ON DELETE CASCADE DEFERRABLE INITIALLY DEFERRED);
INSERT INTO parent VALUES (1, 'one'), (-5, 'minus');
INSERT INTO child VALUES (1), (-5), (NULL);
CREATE INDEX partial ON child (parent_id DESC) WHERE parent_id IS NOT NULL;
CREATE UNIQUE INDEX by_expression ON parent (lower(name));
CREATE VIEW "names of parents" AS SELECT name, count(*) AS children FROM parent JOIN child ON parent_id = id GROUP BY name;
CREATE TABLE trail (line TEXT);
CREATE TRIGGER on_parent AFTER INSERT ON parent BEGIN
    INSERT INTO trail VALUES ('new; ' || new.name);
    SELECT 1;
END;
CREATE TRIGGER on_view INSTEAD OF INSERT ON "names of parents" BEGIN INSERT INTO parent (name) VALUES (new.name); END;
CREATE VIRTUAL TABLE words USING fts5(line);
INSERT INTO words (rowid, line) VALUES (5, 'the quick brown fox'), (-3, 'jumps over');
CREATE TABLE words_of_ours (word TEXT);
INSERT INTO words_of_ours VALUES ('kept');
"""

NEWER = """
DELETE FROM untyped;
UPDATE parent SET name = name || '!';
DROP TRIGGER on_view;
DROP INDEX partial;
DROP TABLE strict_one;
ALTER TABLE trail ADD COLUMN extra TEXT;
INSERT INTO typed (price) VALUES (1), (2);
CREATE TABLE newer (id INTEGER PRIMARY KEY, parent_id INTEGER NOT NULL REFERENCES parent, UNIQUE (parent_id));
INSERT INTO newer VALUES (1, 1);
CREATE TABLE "newer ""too"" 東京" (newer_id INTEGER REFERENCES newer);
CREATE INDEX newer_index ON typed (price);
CREATE VIEW newer_view AS SELECT * FROM newer JOIN parent ON parent.id = parent_id;
CREATE TRIGGER newer_trigger AFTER DELETE ON parent BEGIN DELETE FROM newer; END;
"""
"""What happened after the backup, and must be undone by its restore."""


@contextmanager
def connected(path: Path) -> Iterator[sqlite3.Connection]:
    """Connect with every TEXT as its bytes, which need not be valid UTF-8."""
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        connection.text_factory = bytes
        yield connection


def content(path: Path) -> dict[str, list[tuple[Any, ...]]]:
    """Return the schema and, of each table and view but the history, every value with its type."""
    with connected(path) as connection:
        schema = connection.execute(
            "SELECT type, name, tbl_name, sql FROM sqlite_schema WHERE tbl_name NOT IN (?, ?, ?, ?, 'sqlite_stat1') ORDER BY 1, 2",
            TRAVELS_NOT,
        ).fetchall()
        found = {"the schema": schema}
        for kind, name, _table, _sql in schema:
            if kind in (b"table", b"view"):
                cursor = connection.execute(f'SELECT * FROM "{name.decode().replace(chr(34), chr(34) * 2)}"')
                # repr tells 2 from 2.0, and -0.0 from 0.0
                found[name.decode()] = sorted(cursor.fetchall(), key=repr)
        return {name: [tuple(map(repr, row)) for row in rows] for name, rows in found.items()}


@pytest.mark.parametrize(
    "values",
    [
        pytest.param({}, id="zstd", marks=pytest.mark.soak),
        pytest.param({"COMPRESSION": "gzip"}, id="gzip"),
        pytest.param({"COMPRESSION": None}, id="plain", marks=pytest.mark.soak),
        pytest.param({"CONNECTORS": {"default": TEXT_CONNECTOR}}, id="text-zstd", marks=pytest.mark.soak),
        pytest.param({"CONNECTORS": {"default": TEXT_CONNECTOR}, "COMPRESSION": None}, id="text"),
    ],
)
def test_every_row_and_type_comes_back_and_what_is_newer_is_gone(make_shop, values):
    shop = make_shop("sqlite", **values)
    with connected(shop.path()) as connection:
        connection.executescript(EVERYTHING)
    wanted = content(shop.path())
    assert shop.manage("dbbackup").code == 0
    with connected(shop.path()) as connection:
        connection.executescript(NEWER)
    assert content(shop.path()) != wanted

    result = shop.manage(*RESTORE)
    assert result.code == 0, result.err
    assert 'Tables that will be dropped: newer, newer "too" 東京' in result.out
    assert 'Dropped 2 tables that are not in the backup: newer, newer "too" 東京.' in result.out
    assert content(shop.path()) == wanted
    assert shop.execute("PRAGMA integrity_check") == [("ok",)]


def test_dump_under_a_writer_is_consistent_and_readers_never_fail(shop, tmp_path, rclone_binary):
    shop.execute("PRAGMA journal_mode=WAL")
    for table in "ours", "theirs":
        shop.execute(f"CREATE TABLE {table} (n INTEGER PRIMARY KEY, payload BLOB)")

    def write(connection: sqlite3.Connection, n: int) -> None:
        connection.execute("BEGIN IMMEDIATE")
        for table in "ours", "theirs":
            connection.execute(f"INSERT INTO {table} VALUES (?, randomblob(2000))", [n])
        connection.execute("COMMIT")

    held = hold_input(tmp_path / "bin", "rclone", rclone_binary, after=1, when=UPLOAD)
    with at_work(shop.path(), write) as written:
        shop.settings["DJANGO_RCLONE"]["RCLONE_BINARY"] = str(held.program)
        process = shop.start("dbbackup")
        held.wait()  # the dump is taken, and the upload is slow: writers must not wait for it
        before = len(written)
        wait_for(lambda: len(written) >= before + 50 or process.poll() is not None)
        held.release()
        assert shop.finish(process).code == 0

    def read(connection: sqlite3.Connection, n: int) -> None:
        ((ours, theirs),) = connection.execute(
            "SELECT (SELECT count(*) FROM ours), (SELECT count(*) FROM theirs)"
        )
        assert ours == theirs

    with (
        at_work(shop.path(), read),
        connected(shop.path()) as old_reader,
    ):
        old_reader.execute("BEGIN")
        old_reader.execute("SELECT count(*) FROM ours").fetchall()
        result = shop.manage(*RESTORE)
        assert result.code == 0, result.err
        # A transaction sees what it saw before the restore until it ends.
        assert old_reader.execute("SELECT count(*) FROM ours").fetchone()[0] >= before + 50

    ours, theirs = (shop.execute(f"SELECT n FROM {table} ORDER BY n") for table in ("ours", "theirs"))
    assert ours == theirs == [(n,) for n in range(len(ours))]
    assert 0 < len(ours) < before + 50
    assert shop.execute("PRAGMA integrity_check") == [("ok",)]
    assert shop.execute("PRAGMA journal_mode") == [("wal",)]


@contextmanager
def at_work(path: Path, work: Callable[[sqlite3.Connection, int], None]) -> Iterator[list[int]]:
    """Have a thread with a connection of its own do ``work`` again and again; fail when it fails."""
    done: list[int] = []
    errors: list[BaseException] = []
    stop = threading.Event()

    def run() -> None:
        try:
            with closing(sqlite3.connect(path, timeout=30, isolation_level=None)) as connection:
                while not stop.is_set():
                    work(connection, len(done))
                    done.append(len(done))
                    time.sleep(0.001)  # without any pause, SQLite gives nobody else the lock for seconds
        except BaseException as error:  # noqa: BLE001  (the test fails with it)
            errors.append(error)

    thread = threading.Thread(target=run)
    thread.start()
    try:
        yield done
    finally:
        stop.set()
        thread.join()
    assert errors == []
    assert done


@pytest.mark.backed_up
def test_page_size_of_the_live_file_may_differ(shop):
    """A file in WAL mode can't change its page size."""
    live = shop.path("analytics")
    live.unlink()
    with connected(live) as connection:
        connection.executescript("PRAGMA page_size=16384; PRAGMA journal_mode=WAL; CREATE TABLE old (a);")
    result = shop.manage(*RESTORE, stored(shop), "--to", "analytics")
    assert result.code == 0, result.err
    assert "Dropped a table that is not in the backup: old." in result.out
    assert shop.rows("analytics") == shop.rows()
    assert shop.execute("PRAGMA page_size", "analytics") == [(16384,)]


def test_backup_of_django_rclone_comes_back_as_it_is(shop):
    """SQL text by SQLite's own program, with no compression and no manifest."""
    with connected(shop.path()) as connection:
        connection.executescript(EVERYTHING)
    wanted = content(shop.path())
    name = "default-2024-01-15-120000.sqlite3"
    shop.remote.write(f"db/{name}", _dumped_by_sqlite3(shop))
    with connected(shop.path()) as connection:
        connection.executescript(NEWER)
    assert [each["state"] for each in shop.manage("listbackups", "--json").json] == ["legacy"]

    result = shop.manage(*RESTORE, "--input-path", name)
    assert result.code == 0, result.err
    assert "nothing can be checked beforehand" in result.out
    restored = content(shop.path())
    # The program itself loses what follows a NUL in a text.
    assert len(restored.pop("untyped")) == len(wanted.pop("untyped"))
    assert restored == wanted


def _dumped_by_sqlite3(shop: Shop) -> bytes:
    try:
        done = subprocess.run(["sqlite3", shop.path(), ".dump"], capture_output=True, check=True)
    except FileNotFoundError:
        missing("the program sqlite3 is not installed")
    return done.stdout
