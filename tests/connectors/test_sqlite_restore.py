"""A SQLite database is copied and replaced while it is in use, all of it or nothing."""

import io
import os
import resource
import shutil
import subprocess
import sys
import tempfile
import threading
from itertools import product
from pathlib import Path

import pytest

from django_rclone_admin.connectors.sqlite import copying as sqlite_copy
from django_rclone_admin.connectors.sqlite.streams import Loader, Snapshot, SqlText
from django_rclone_admin.core.control import Control
from django_rclone_admin.core.files import FileSource, StreamSink
from django_rclone_admin.core.transfer import transfer
from django_rclone_admin.exceptions import BackupDamaged, Cancelled, ProgramFailed, UsageError
from tests.support.matrix import sampled
from tests.support.sqlite import connected, dump, execute, load, query
from tests.support.waiting import ends_within

FORMATS = pytest.mark.parametrize("source", [Snapshot, SqlText])


@pytest.fixture(autouse=True)
def temporary(tmp_path, monkeypatch):
    """Where temporary files go; it is empty after every test."""
    folder = tmp_path / "temporary"
    folder.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(folder))
    yield folder
    assert list(folder.iterdir()) == []


@pytest.fixture
def live(tmp_path):
    return execute(tmp_path / "live", "CREATE TABLE t (a)", "INSERT INTO t VALUES ('before')")


@pytest.fixture
def backup(tmp_path):
    return dump(execute(tmp_path / "db", "CREATE TABLE t (a)", "INSERT INTO t VALUES ('restored')"))


def holds(path):
    return query(path, "SELECT a FROM t")


@FORMATS
@pytest.mark.parametrize("mode", ["DELETE", "WAL"])
@pytest.mark.parametrize("page_size", [512, 4096, 65536])
def test_page_size_and_journal_mode_may_differ(tmp_path, source, mode, page_size):
    """A file in WAL mode can't change its page size: the copy has to."""
    path = execute(
        tmp_path / "db", "PRAGMA page_size=8192", "CREATE TABLE t (a)", "INSERT INTO t VALUES ('restored')"
    )
    live = execute(
        tmp_path / "live",
        f"PRAGMA page_size={page_size}",
        f"PRAGMA journal_mode={mode}",
        "CREATE TABLE t (a)",
    )
    with connected(live) as user:
        user.execute("INSERT INTO t VALUES ('before')")
        load(live, dump(path, source))

        assert user.execute("SELECT a FROM t").fetchall() == [(b"restored",)]
    assert query(live, "PRAGMA integrity_check") == [(b"ok",)]


def test_live_file_in_wal_mode_without_tables_can_be_restored_to(tmp_path, backup):
    live = execute(tmp_path / "live", "PRAGMA page_size=512", "PRAGMA journal_mode=WAL")

    load(live, backup)

    assert holds(live) == [(b"restored",)]


def test_file_that_is_not_there_is_made(tmp_path, backup):
    load(tmp_path / "new", backup)

    assert holds(tmp_path / "new") == [(b"restored",)]


def test_folder_that_is_not_there_is_said_to_be_so(tmp_path, backup):
    with pytest.raises(UsageError, match="can't be opened") as caught:
        load(tmp_path / "missing" / "live", backup)

    assert "folder" in caught.value.hint


WRITER = """
import sqlite3, sys
connection = sqlite3.connect(sys.argv[1], isolation_level=None, timeout=30)
print("ready", flush=True)
while True:
    connection.execute("BEGIN IMMEDIATE")
    connection.execute("UPDATE account SET amount = amount - 1 WHERE id = 1")
    connection.execute("UPDATE account SET amount = amount + 1 WHERE id = 2")
    connection.execute("COMMIT")
"""


@pytest.mark.parametrize(
    "source, mode",
    sampled(product([Snapshot, SqlText], ["DELETE", "WAL"]), (SqlText, "DELETE"), (Snapshot, "WAL")),
)
def test_dump_under_a_writer_is_consistent(tmp_path, source, mode, monkeypatch):
    monkeypatch.setattr(sqlite_copy, "PAGES", 20)  # many steps, as for a large file
    path = execute(
        tmp_path / "db", f"PRAGMA journal_mode={mode}", "PRAGMA synchronous=OFF",
        "CREATE TABLE account (id INTEGER PRIMARY KEY, amount)", "INSERT INTO account VALUES (1, 0), (2, 0)",
        "CREATE TABLE ballast (a)", "INSERT INTO ballast VALUES (zeroblob(4000000))",
    )  # fmt: skip
    command = [sys.executable, "-IS", "-c", WRITER, str(path)]
    with subprocess.Popen(command, stdout=subprocess.PIPE) as writer:
        assert writer.stdout.readline() == b"ready\n"
        copies = [dump(path, source) for _ in range(3)]
        writer.kill()

    for number, copy in enumerate(copies):
        load(tmp_path / f"copy{number}", copy)
        assert query(tmp_path / f"copy{number}", "SELECT sum(amount) FROM account") == [(0,)]


def test_reader_in_wal_mode_keeps_what_it_reads_during_a_restore(live, backup):
    execute(live, "PRAGMA journal_mode=WAL")
    with connected(live) as reader:
        reader.execute("BEGIN")
        before = reader.execute("SELECT a FROM t").fetchall()
        load(live, backup)

        assert reader.execute("SELECT a FROM t").fetchall() == before == [(b"before",)]
        reader.execute("COMMIT")
        assert reader.execute("SELECT a FROM t").fetchall() == [(b"restored",)]


@pytest.mark.parametrize("mode", ["DELETE", "WAL"])
def test_restore_that_waits_too_long_for_a_writer_changes_nothing(live, backup, monkeypatch, mode):
    monkeypatch.setattr(sqlite_copy, "BUSY_SECONDS", 0.3)
    execute(live, f"PRAGMA journal_mode={mode}")
    with connected(live) as writer:
        writer.execute("BEGIN IMMEDIATE")
        writer.execute("INSERT INTO t VALUES ('unfinished')")

        with pytest.raises(ProgramFailed, match="locked") as caught:
            load(live, backup)
        writer.execute("COMMIT")

    assert caught.value.hint
    assert holds(live) == [(b"before",), (b"unfinished",)]


def test_dump_that_waits_too_long_for_a_lock_is_explained(live, monkeypatch):
    monkeypatch.setattr(sqlite_copy, "BUSY_SECONDS", 0.3)
    with connected(live) as writer:
        writer.execute("BEGIN EXCLUSIVE")

        with pytest.raises(ProgramFailed, match="locked"):
            dump(live)


def test_dump_that_waits_for_a_lock_can_be_stopped(live):
    control = Control()
    timer = threading.Timer(0.3, control.stop, [Cancelled("You asked for it.")])
    with connected(live) as writer:
        writer.execute("BEGIN EXCLUSIVE")
        timer.start()
        with ends_within(2), pytest.raises(Cancelled):
            transfer(Snapshot(str(live)), StreamSink(io.BytesIO()), control=control)


def test_restore_that_waits_for_a_lock_can_be_stopped(live, backup):
    control = Control()
    timer = threading.Timer(0.3, control.stop, [Cancelled("You asked for it.")])
    with connected(live) as writer:
        writer.execute("BEGIN IMMEDIATE")
        timer.start()
        with ends_within(2), pytest.raises(Cancelled):
            transfer(FileSource(io.BytesIO(backup)), Loader(str(live)), control=control)

    assert holds(live) == [(b"before",)]


@pytest.fixture
def interrupted(monkeypatch):
    """A control that is told to stop in the middle of a copy, for which no timer is exact enough."""
    control, look = Control(), sqlite_copy._Patience.look

    def stop(patience, status, remaining=0, total=0):
        if 0 < remaining < total:
            control.stop(Cancelled("You asked for it."))
        look(patience, status, remaining, total)

    monkeypatch.setattr(sqlite_copy, "PAGES", 1)
    monkeypatch.setattr(sqlite_copy._Patience, "look", stop)
    return control


@FORMATS
def test_dump_can_be_stopped_in_the_middle_of_the_copy(tmp_path, source, interrupted):
    database = filled(tmp_path / "db")
    with pytest.raises(Cancelled):
        transfer(source(str(database)), StreamSink(io.BytesIO()), control=interrupted)


@pytest.mark.parametrize("mode", ["DELETE", "WAL"])
def test_restore_that_is_stopped_in_the_middle_of_the_copy_leaves_no_trace(tmp_path, live, mode, interrupted):
    backup = filled(tmp_path / "other").read_bytes()
    execute(live, f"PRAGMA journal_mode={mode}")
    before = live.read_bytes()
    with pytest.raises(Cancelled):
        transfer(FileSource(io.BytesIO(backup)), Loader(str(live)), control=interrupted)

    assert holds(live) == [(b"before",)]
    assert live.read_bytes() == before
    assert query(live, "PRAGMA integrity_check") == [(b"ok",)]


def test_statement_of_sql_text_that_never_ends_can_be_stopped(live):
    control = Control()
    endless = (
        b"SELECT sum(i) FROM (WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT 1 FROM n) SELECT i FROM n);\n"
    )
    threading.Timer(0.3, control.stop, [Cancelled("You asked for it.")]).start()
    with ends_within(2), pytest.raises(Cancelled):
        transfer(
            FileSource(io.BytesIO(endless + b"-- more\n" * 100)),
            Loader(str(live), is_text=True),
            control=control,
        )

    assert holds(live) == [(b"before",)]


def damage(path):
    """Overwrite the inner pages of a database; its head stays whole."""
    with path.open("r+b") as file:
        file.seek(4096 + 100)
        file.write(os.urandom(path.stat().st_size - 4196))


def filled(path):
    rows = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 2000) SELECT 'row ' || i FROM n"
    return execute(path, "CREATE TABLE t (a)", f"INSERT INTO t {rows}", "CREATE INDEX i ON t (a)")


@FORMATS
def test_damaged_live_file_is_no_backup(tmp_path, source):
    damage(filled(tmp_path / "db"))

    with pytest.raises(BackupDamaged, match="live SQLite database is damaged") as caught:
        dump(tmp_path / "db", source)

    assert "SQLite says" in caught.value.hint


def test_restore_over_a_file_that_is_no_database_says_what_to_do(live, backup):
    live.write_bytes(b"no database" * 1000)

    with pytest.raises(ProgramFailed, match="not a database") as caught:
        load(live, backup)

    assert "move it away" in caught.value.hint
    live.unlink()
    load(live, backup)
    assert holds(live) == [(b"restored",)]


def test_damaged_live_file_with_a_good_head_is_replaced(tmp_path, backup):
    damage(filled(tmp_path / "live"))

    load(tmp_path / "live", backup)

    assert holds(tmp_path / "live") == [(b"restored",)]
    assert query(tmp_path / "live", "PRAGMA integrity_check") == [(b"ok",)]


@pytest.mark.parametrize("how", ["pages", "cut", "head alone"])
def test_damaged_backup_is_never_loaded(tmp_path, live, how):
    damaged = filled(tmp_path / "damaged")
    if how == "pages":
        damage(damaged)
    data = damaged.read_bytes()
    data = {"pages": data, "cut": data[: len(data) // 2], "head alone": data[:100]}[how]

    with pytest.raises(BackupDamaged):
        load(live, data)

    assert holds(live) == [(b"before",)]


def test_full_disk_changes_nothing(tmp_path, live):
    large = filled(tmp_path / "large")
    execute(large, "INSERT INTO t VALUES (zeroblob(3000000))")
    data = dump(large)
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)

    resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, hard))
    try:
        with pytest.raises(ProgramFailed) as caught:
            load(live, data)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))

    assert "Nothing was changed" in caught.value.hint
    assert holds(live) == [(b"before",)]


DYING = """
import os, sys
from pathlib import Path
from django_rclone_admin.connectors.sqlite import copying
from tests.support.sqlite import load
look, after = copying._Patience.look, float(sys.argv[3])
def die(patience, status, remaining=0, total=0):
    if 0 < remaining <= (1 - after) * total:
        os._exit(9)
    look(patience, status, remaining, total)
copying._Patience.look, copying.PAGES = die, 20
copying.CACHE_KB = 200  # pages reach the live file before the end, as those of a large file
load(sys.argv[1], Path(sys.argv[2]).read_bytes())
"""


@pytest.mark.in_turns("page_size")
@pytest.mark.parametrize("after", [0.1, 0.5, 0.95])
@pytest.mark.parametrize("mode", ["DELETE", "WAL"])
@pytest.mark.parametrize("page_size", [1024, 4096, 16384])
def test_restore_whose_process_dies_in_the_middle_is_rolled_back(tmp_path, mode, page_size, after):
    """Whatever the page size of the backup is. A look that ends the process then, since no timer is that exact."""
    rows = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 900)"
    backup = execute(
        tmp_path / "backup", f"PRAGMA page_size={page_size}", "CREATE TABLE t (a)",
        f"{rows} INSERT INTO t SELECT randomblob(5000) FROM n",
    )  # fmt: skip
    live = execute(
        tmp_path / "live", f"PRAGMA journal_mode={mode}", "CREATE TABLE t (a)",
        f"{rows} INSERT INTO t SELECT zeroblob(4000) FROM n",
    )  # fmt: skip
    died = subprocess.run(
        [sys.executable, "-c", DYING, live, backup, str(after)],
        cwd=Path(__file__).parents[2],
        env=os.environ | {"TMPDIR": str(tmp_path)},
    )
    assert died.returncode == 9
    assert query(live, "PRAGMA integrity_check") == [(b"ok",)]
    assert query(live, "SELECT count(*), sum(length(a)), page_size FROM t, pragma_page_size") == [
        (900, 3_600_000, 4096)
    ]
    load(live, backup.read_bytes())
    assert query(live, "SELECT sum(length(a)) FROM t") == [(4_500_000,)]
    for left in tmp_path.glob("django-rclone-admin-*"):
        shutil.rmtree(left)
