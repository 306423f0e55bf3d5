"""A large file is copied as it is while nobody can write to it, and page by page where that would not be exact."""

import io
import os
import shutil
import sqlite3
import subprocess
import sys
import tempfile
import threading
from contextlib import closing
from pathlib import Path

import pytest

from django_rclone_admin.connectors.sqlite import copying, file_copy
from django_rclone_admin.connectors.sqlite.streams import Snapshot
from django_rclone_admin.core.control import Control
from django_rclone_admin.core.files import StreamSink
from django_rclone_admin.core.transfer import transfer
from django_rclone_admin.exceptions import BackupDamaged, Cancelled
from tests.support.sqlite import connected, dump, execute, load, query
from tests.support.waiting import ends_within, wait_for

CP = shutil.which("cp")


@pytest.fixture(autouse=True)
def made(tmp_path, monkeypatch):
    """Have every file count as large. Return, for each copy, whether it was made of the file."""
    folder, found, make = tmp_path / "temporary", [], file_copy.FileCopy.make
    folder.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(folder))
    monkeypatch.setattr(file_copy, "WORTHWHILE", 0)

    def noted(*arguments):
        found.append(make(*arguments))
        return found[-1]

    monkeypatch.setattr(file_copy.FileCopy, "make", noted)
    yield found
    assert list(folder.iterdir()) == []


@pytest.fixture
def live(tmp_path):
    rows = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 300)"
    fill = f"{rows} INSERT INTO t SELECT randomblob(3000) FROM n"
    return execute(tmp_path / "live", "CREATE TABLE t (a)", fill, "CREATE INDEX i ON t (a)")


@pytest.fixture
def cp(tmp_path, monkeypatch):
    """Return a function that has a script take the place of the program."""

    def replace(script: str) -> Path:
        folder = tmp_path / "bin"
        folder.mkdir()
        (folder / "cp").write_text(f"#!/bin/sh\ncd {tmp_path}\n{script.replace('CP', f'{CP} ')}\n")
        (folder / "cp").chmod(0o755)
        monkeypatch.setenv("PATH", f"{folder}{os.pathsep}{os.environ['PATH']}")
        return tmp_path

    return replace


def test_copy_has_the_bytes_of_the_file(live, made):
    assert dump(live) == live.read_bytes()
    assert made == [True]


@pytest.mark.parametrize("mode", ["DELETE", "WAL"])
def test_rows_that_are_left_out_are_emptied_in_the_copy_alone(tmp_path, live, mode, made):
    execute(
        live,
        f"PRAGMA journal_mode={mode}",
        "CREATE TABLE history (a)",
        "INSERT INTO history VALUES ('hunter2')",
    )
    data = dump(live, history=["history"])
    assert b"hunter2" not in data
    load(tmp_path / "restored", data)
    assert query(tmp_path / "restored", "SELECT count(*) FROM history") == [(0,)]
    assert query(live, "SELECT a FROM history") == [(b"hunter2",)]
    assert made == [mode == "DELETE"]


def test_part_of_the_database_that_is_in_the_log_is_in_the_copy(tmp_path, live, made):
    with connected(live) as user:
        user.execute("PRAGMA journal_mode=WAL")
        user.execute("PRAGMA wal_autocheckpoint=0")
        user.execute("UPDATE t SET a = 'in the log'")
        load(tmp_path / "restored", dump(live))
    assert query(tmp_path / "restored", "SELECT DISTINCT a FROM t") == [(b"in the log",)]
    assert made == [False]


WRITE = """
import sqlite3, sys
connection = sqlite3.connect(sys.argv[1], isolation_level=None, timeout=0)
connection.execute("BEGIN IMMEDIATE")
"""


def test_locks_of_other_connections_of_this_process_outlive_the_copy(live, made):
    """They would be gone if this process had opened the file, and closed it."""
    with connected(live) as user:
        user.execute("BEGIN IMMEDIATE")
        dump(live)
        assert made == [True]
        other = subprocess.run([sys.executable, "-IS", "-c", WRITE, live], stderr=subprocess.PIPE)
        assert b"database is locked" in other.stderr


def test_nobody_writes_while_the_file_is_copied(live, cp, made):
    folder = cp('touch started; until [ -e go ]; do sleep 0.01; done; CP "$@"')
    before, found = live.read_bytes(), list[bytes]()
    thread = threading.Thread(target=lambda: found.append(dump(live)))
    thread.start()
    try:
        wait_for((folder / "started").exists)
        other = subprocess.run(
            [sys.executable, "-IS", "-c", WRITE + "connection.execute('DELETE FROM t')\nconnection.execute('COMMIT')", live],
            stderr=subprocess.PIPE,
        )  # fmt: skip
    finally:
        (folder / "go").touch()
        thread.join()
    assert b"database is locked" in other.stderr
    assert found == [before]
    assert made == [True]
    execute(live, "DELETE FROM t")


@pytest.mark.parametrize(
    "script",
    [
        "exit 1",
        'head -c 9000 "$2" > "$3"; exit 1',
        'head -c 9000 "$2" > "$3"',
        'CP "$@"; kill -9 $$',
        'mv live old; CP other live; CP "$@"',
    ],
    ids=["fails", "fails in the middle", "ends too early", "is killed", "file was replaced"],
)  # fmt: skip
def test_copy_of_the_file_that_fails_is_made_page_by_page(tmp_path, live, cp, script, made):
    other = execute(tmp_path / "other", "CREATE TABLE other (a)")
    wanted = query(live, "SELECT a FROM t")
    other.touch()
    cp(script)
    load(tmp_path / "restored", dump(live))
    assert query(tmp_path / "restored", "SELECT a FROM t") == wanted
    assert made == [False]


def test_file_that_cannot_be_created_is_left_to_sqlite_which_says_why(tmp_path, live):
    copier = copying.Copier()
    with pytest.raises(sqlite3.OperationalError, match="unable to open database file"):
        copier.copy(str(live), tmp_path / "no folder" / "copy", lambda _connection: None)


def test_no_program_for_it_is_needed(tmp_path, live, monkeypatch, made):
    monkeypatch.setenv("PATH", str(tmp_path))
    load(tmp_path / "restored", dump(live))
    assert made == [False]


def test_uri_is_left_to_sqlite(live, made):
    dump(f"file:{live}?mode=ro")
    assert made == [False]


def test_bytes_after_the_last_page_are_left_out(live, made):
    wanted = live.read_bytes()
    with live.open("ab") as file:
        file.write(b"x" * 5000)
    assert dump(live) == wanted
    assert made == [True]


@pytest.mark.parametrize("missing", [1, 3000])
def test_live_file_that_ends_within_its_last_page_is_not_backed_up(tmp_path, missing):
    """SQLite reads zeros there, which no check of the copy sees when they are the end of a long value."""
    live = execute(tmp_path / "live", "CREATE TABLE t (a)", f"INSERT INTO t VALUES ('{'x' * 12_000}')")
    os.truncate(live, live.stat().st_size - missing)
    with pytest.raises(BackupDamaged, match="live SQLite database is damaged"):
        dump(live)


def test_last_page_that_is_in_the_log_may_be_incomplete_in_the_file(tmp_path, live, made):
    with connected(live) as user:
        user.execute("PRAGMA journal_mode=WAL")
        user.execute("PRAGMA wal_autocheckpoint=0")
        user.execute("UPDATE t SET a = a || 'in the log'")
        wanted = query(live, "SELECT a FROM t")
        os.truncate(live, live.stat().st_size - 100)
        load(tmp_path / "restored", dump(live))
    assert query(tmp_path / "restored", "SELECT a FROM t") == wanted
    assert made == [False]


@pytest.mark.parametrize("name", ["-f", "a\nb", "\udcff"])
def test_name_of_the_file_is_not_read_as_anything_else(tmp_path, monkeypatch, name, live, made):
    monkeypatch.chdir(tmp_path)
    live.rename(name)
    assert dump(name) == Path(name).read_bytes()
    assert made == [True]


def test_copy_of_a_file_that_is_read_only_can_be_changed_by_us_alone(live, made):
    live.chmod(0o444)
    source = Snapshot(str(live), history=["t"])
    with closing(source):
        source.open()
        assert os.fstat(source._stream.fileno()).st_mode & 0o777 == 0o600
        source.finish()
    assert source.rows == {}
    assert made == [True]


def test_copy_can_be_stopped(live, cp):
    folder, control = cp("touch started; exec sleep 1000"), Control()

    def stop() -> None:
        wait_for((folder / "started").exists)
        control.stop(Cancelled("You asked for it."))

    thread = threading.Thread(target=stop)
    thread.start()
    with ends_within(10), pytest.raises(Cancelled):
        transfer(Snapshot(str(live)), StreamSink(io.BytesIO()), control=control)
    thread.join()
    execute(live, "DELETE FROM t")
