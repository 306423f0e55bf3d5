"""Faults that only SQLite has: not a row of the live file changes, and nothing is stored that is no backup."""

from pathlib import Path

import pytest

from tests.support import databases
from tests.support.commands import saved, stored
from tests.support.faults import add_noise, assert_failed, nothing_changes
from tests.support.waiting import let_pass

NAME = "default-2024-01-15-120000.sqlite3"


def test_restore_that_is_killed_while_it_replaces_the_file_is_rolled_back(shop):
    add_noise(shop, rows=100_000)
    dump = saved(shop)
    shop.execute("UPDATE noise SET bytes = zeroblob(100)")
    wrecked = content(shop)
    journal = Path(f"{shop.path()}-journal")
    for _attempt in range(5):
        process = shop.start("dbrestore", "--noinput", "--no-safety-backup", dump)
        while process.poll() is None and not _has_grown(journal):
            let_pass(0.0005)
        shop.kill(process)
        if journal.exists():
            break
        shop.execute("UPDATE noise SET bytes = zeroblob(100)")  # it was faster than we: once more
    else:
        pytest.fail("the restore was never caught in the middle")
    assert content(shop) == wrecked
    assert shop.execute("PRAGMA integrity_check") == [("ok",)]


def content(shop) -> tuple[databases.Rows, list[tuple[object, ...]]]:
    """Return every row, those of the large table summed up."""
    noise = "SELECT count(*), sum(n), min(bytes), max(bytes) FROM noise"
    return shop.rows(ignore=["noise"]), shop.execute(noise)


def _has_grown(journal: Path) -> bool:
    """Whether more goes into the journal than a heartbeat."""
    try:
        return journal.stat().st_size > 1_000_000
    except FileNotFoundError:
        return False


@pytest.mark.backed_up
def test_reader_that_never_ends_makes_the_restore_give_up(shop):
    shop.settings["DJANGO_RCLONE"]["CONNECTORS"] = {"analytics": "tests.support.impatient.SQLite"}
    with nothing_changes(shop), databases.connection(shop.settings["DATABASES"]["analytics"]) as reader:
        reader.execute("BEGIN")
        reader.execute("SELECT count(*) FROM analytics_pageview").fetchall()
        result = shop.manage(
            "dbrestore", "--noinput", "--no-safety-backup", stored(shop), "--to", "analytics"
        )
        assert_failed(result, "could not be restored: database is locked")


@pytest.mark.parametrize(
    "text, expected",
    [
        (
            "CREATE TABLE t (a);\nINSERT INTO t VALUES (1), (1);\nCREATE UNIQUE INDEX i ON t (a);\nCOMMIT;\n",
            "UNIQUE constraint failed: t.a",
        ),
        ("CREATE TABLE t (a);\nINSERT INTO t VALUES (1);\n", "does not end with COMMIT"),
        ("CREATE TABLE t (a);\nROLLBACK; -- due to errors\n", "does not end with COMMIT"),
        ("ATTACH DATABASE '/tmp/elsewhere' AS other;\nCOMMIT;\n", "not authorized"),
    ],
    ids=["constraint", "cut", "rolled-back", "attaches"],
)
def test_sql_text_that_fails_at_its_end_changes_nothing(shop, tmp_path, text, expected):
    file = tmp_path / "dump.sql"
    file.write_text("PRAGMA foreign_keys=OFF;\nBEGIN TRANSACTION;\n" + text)
    with nothing_changes(shop):
        result = shop.manage("dbrestore", "--noinput", "--no-safety-backup", f"--input-file={file}")
        assert_failed(result, expected)


def test_damaged_database_is_neither_backed_up_nor_restored(shop, tmp_path):
    add_noise(shop)
    shop.execute("CREATE UNIQUE INDEX noise_n ON noise (n)")
    damaged = _with_an_index_that_is_lost(shop)
    shop.remote.write(f"db/{NAME}", damaged)
    with nothing_changes(shop):
        result = shop.manage("dbrestore", "--noinput", "--no-safety-backup", "--input-path", NAME)
        assert_failed(result, "The backup holds a damaged SQLite database")

    shop.path().write_bytes(damaged)
    with nothing_changes(shop):
        assert_failed(shop.manage("dbbackup"), "The live SQLite database is damaged")


def _with_an_index_that_is_lost(shop) -> bytes:
    """Return the bytes of the shop's file as a disk that lost one write leaves them."""
    [(root, size)] = shop.execute(
        "SELECT rootpage, page_size FROM sqlite_schema, pragma_page_size WHERE name = 'noise_n'"
    )
    content = bytearray(shop.path().read_bytes())
    content[(root - 1) * size : root * size] = bytes(size)
    return bytes(content)


def test_missing_file_is_named_and_not_created(shop):
    missing = shop.path("analytics")
    missing.unlink()
    with nothing_changes(shop):
        result = shop.manage("dbbackup", "--database", "analytics")
        assert_failed(result, "“?analytics”? has no tables yet, or its file does not exist", code=2)
    assert not missing.exists()
