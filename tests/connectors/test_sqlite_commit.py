"""From the moment on when the restored data is live nothing fails, and nothing that was kept is lost on the way there."""

import io
import select
import signal
import sqlite3
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager

import pytest

from django_rclone_admin.connectors.sqlite import copying
from django_rclone_admin.connectors.sqlite.streams import Loader
from django_rclone_admin.core.control import Control
from django_rclone_admin.core.files import FileSource
from django_rclone_admin.core.transfer import transfer
from django_rclone_admin.exceptions import Cancelled, ProgramFailed
from tests.support.commands import stored
from tests.support.matrix import sampled
from tests.support.sqlite import connected, dump, execute, load, query
from tests.support.tables import HISTORY
from tests.support.waiting import patience, wait_for

MODES = pytest.mark.parametrize("mode", ["DELETE", "WAL"])

WRITER = """
import sqlite3, sys, time
connection = sqlite3.connect(sys.argv[1], isolation_level=None, timeout=0)
print("ready", flush=True)
while True:
    try:
        connection.execute("BEGIN EXCLUSIVE")
    except sqlite3.OperationalError:
        time.sleep(0.0002)
        continue
    is_restored = not connection.execute("SELECT 1 FROM sqlite_master WHERE name = 'newer'").fetchone()
    if is_restored:
        print("restored", flush=True)
        sys.stdin.read()
    connection.execute("COMMIT")
    if is_restored:
        break
"""
"""Writes again and again. When it finds the restored data, it keeps everybody out until it is told to go on."""


@contextmanager
def waiting_writers(path, count: int = 2) -> Iterator[list[subprocess.Popen[bytes]]]:
    """Have writers wait for the file. The one that gets it right after the restore keeps it until the end of the block."""
    with ExitStack() as stack:
        writers = []
        for _ in range(count):
            command = [sys.executable, "-IS", "-c", WRITER, str(path)]
            writers.append(
                stack.enter_context(subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE))
            )
            assert writers[-1].stdout.readline() == b"ready\n"
            stack.callback(writers[-1].kill)
        yield writers


@pytest.fixture
def backup(tmp_path):
    return dump(execute(tmp_path / "db", "CREATE TABLE t (a)", "INSERT INTO t VALUES ('restored')"))


def newer(path, mode="DELETE"):
    """Make a live file with a table that the backup does not know."""
    return execute(path, f"PRAGMA journal_mode={mode}", "CREATE TABLE t (a)", "CREATE TABLE newer (a)")


@MODES
def test_writer_that_gets_the_lock_right_after_the_commit_does_not_make_the_restore_fail(
    tmp_path, backup, mode, monkeypatch
):
    live = newer(tmp_path / "live", mode)
    look = copying._Patience.look
    with waiting_writers(live) as writers:

        def wait_for_a_writer(patience, status, remaining=0, total=0):
            """After the commit, give the writers time; while we still keep the file they can't get it."""
            look(patience, status, remaining, total)
            if status == sqlite3.SQLITE_DONE:
                select.select([writer.stdout for writer in writers], [], [], 1)

        monkeypatch.setattr(copying._Patience, "look", wait_for_a_writer)
        loader = load(live, backup)
        assert loader.vanished == ["newer"]
    assert query(live, "SELECT a FROM t") == [(b"restored",)]


@pytest.mark.backed_up
def test_run_whose_data_is_restored_has_succeeded_though_writers_wait(shop):
    wanted = shop.rows()
    shop.execute("CREATE TABLE newer (a)")
    with waiting_writers(shop.path()):
        process = shop.start("dbrestore", "--noinput", "--no-safety-backup", stored(shop))
        # The writer that keeps the file lets it go after the commit, and before the site's own patience ends.
        wait_for(lambda: "newer" not in tables_now(shop) or process.poll() is not None)
    result = shop.finish(process)
    assert result.code == 0, result.err
    assert shop.rows() == wanted
    assert shop.execute(f"SELECT status FROM {HISTORY} WHERE kind = 'db_restore'") == [("succeeded",)]


def tables_now(shop) -> set[str]:
    """Return the names of the tables, whoever keeps the file: by what the file system has of it."""
    with closing(sqlite3.connect(f"file:{shop.path()}?mode=ro&immutable=1", uri=True)) as connection:
        try:
            return {name for (name,) in connection.execute("SELECT name FROM sqlite_master")}
        except sqlite3.DatabaseError:  # in the middle of it
            return {"newer"}


INTERRUPTED = "tests.support.dying.InterruptedSQLite"


@pytest.mark.backed_up
@pytest.mark.in_turns("mode")
@pytest.mark.parametrize("numbers", [[signal.SIGINT], [signal.SIGINT] * 2, [signal.SIGTERM]], ids=str)
@MODES
def test_signal_at_the_moment_of_the_commit_comes_too_late(shop, numbers, mode):
    shop.execute(f"PRAGMA journal_mode={mode}")
    wanted = shop.rows()
    shop.execute("UPDATE shop_product SET price = price + 1")
    shop.settings["DJANGO_RCLONE"]["CONNECTORS"] = {"default": INTERRUPTED}
    sent = ",".join(str(int(number)) for number in numbers)
    restore = ("dbrestore", "--noinput", "--no-safety-backup", stored(shop))
    result = shop.manage(*restore, env={"SIGNALS": sent})
    assert shop.rows() == wanted
    assert "Nothing was changed" not in result.err
    assert result.code == 0, result.err
    assert shop.execute(f"SELECT status FROM {HISTORY} WHERE kind = 'db_restore'") == [("succeeded",)]


@MODES
def test_stop_right_after_the_commit_comes_too_late(tmp_path, backup, mode, monkeypatch):
    """By a look that stops the work then: no timer is that exact."""
    control, look = Control(), copying._Patience.look

    def stop(patience, status, remaining=0, total=0):
        look(patience, status, remaining, total)
        if status == sqlite3.SQLITE_DONE:
            control.stop(Cancelled("You asked for it."))

    monkeypatch.setattr(copying._Patience, "look", stop)
    live = newer(tmp_path / "live", mode)
    transfer(FileSource(io.BytesIO(backup)), Loader(str(live)), control=control)

    assert query(live, "SELECT a FROM t") == [(b"restored",)]


@MODES
@pytest.mark.parametrize("restores", sampled([3, 30], 3))
def test_what_is_written_into_kept_tables_until_the_last_moment_stays(tmp_path, mode, restores):
    """The runs of other databases end while this one is restored: their outcome must not go back in time."""
    history = "CREATE TABLE history (n INTEGER PRIMARY KEY)"
    backup = dump(execute(tmp_path / "db", "CREATE TABLE t (a)", "INSERT INTO t VALUES (zeroblob(3000000))"))
    live = execute(tmp_path / "live", f"PRAGMA journal_mode={mode}", "PRAGMA synchronous=OFF", history)
    written: list[int] = []
    stop = threading.Event()

    def write() -> None:
        with closing(sqlite3.connect(live, isolation_level=None, timeout=60)) as connection:
            connection.execute("PRAGMA synchronous=OFF")
            while not stop.is_set():
                connection.execute("INSERT INTO history VALUES (?)", [len(written)])
                written.append(len(written))

    writer = threading.Thread(target=write)
    writer.start()
    try:
        for _ in range(restores):
            load(live, backup, keep=["history"])
    finally:
        stop.set()
        writer.join()
    assert query(live, "SELECT n FROM history ORDER BY n") == [(n,) for n in written]


@MODES
def test_restore_that_waits_for_a_reader_keeps_out_no_other_reader(tmp_path, backup, mode, monkeypatch):
    """A page of the site reads while a report holds the restore up: it must not wait for both."""
    limit = 0.75 * patience()
    monkeypatch.setattr(copying, "BUSY_SECONDS", 2 * limit)
    live = newer(tmp_path / "live", mode)
    with connected(live) as report:
        report.execute("BEGIN")
        report.execute("SELECT * FROM t").fetchall()
        errors: list[ProgramFailed] = []

        def restore() -> None:
            try:
                load(live, backup)
            except ProgramFailed as error:
                errors.append(error)

        restoring = threading.Thread(target=restore)
        restoring.start()
        while restoring.is_alive():
            with closing(sqlite3.connect(live, timeout=limit)) as page:
                page.execute("SELECT count(*) FROM sqlite_master").fetchone()
    if mode == "WAL":  # readers hold nobody up
        assert errors == []
    else:
        assert "database is locked" in str(errors[0])
        assert "Nothing was changed" in errors[0].hint
        assert query(live, "SELECT name FROM sqlite_master") == [(b"t",), (b"newer",)]


def test_nothing_is_left_beside_the_live_file(tmp_path, backup):
    live = newer(tmp_path / "live")
    load(live, backup)

    assert [path.name for path in tmp_path.glob("live*")] == ["live"]


def test_restore_syncs_the_journal_once_for_all_that_the_cache_holds(tmp_path, monkeypatch):
    """Each sync begins a part of the journal, with a head of its own."""
    rows = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 2500)"
    live = execute(
        tmp_path / "live", "CREATE TABLE t (a)", f"{rows} INSERT INTO t SELECT zeroblob(4000) FROM n"
    )
    journal, parts, look = tmp_path / "live-journal", set(), copying._Patience.look

    def count(patience, status, remaining=0, total=0):
        if 0 < remaining < total / 5:
            parts.add(journal.read_bytes().count(b"\xd9\xd5\x05\xf9\x20\xa1\x63\xd7"))
        look(patience, status, remaining, total)

    monkeypatch.setattr(copying._Patience, "look", count)
    load(live, live.read_bytes())

    assert parts <= {0, 1}  # the head is written with the first sync
    assert parts
