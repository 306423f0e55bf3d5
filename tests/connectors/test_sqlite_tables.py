"""The tables that are not to be copied are not, and those that are to be kept are."""

import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

from django_rclone_admin.connectors.sqlite.streams import Snapshot, SqlText
from django_rclone_admin.core.temporary import PREFIX, private_folder, remove_folder
from tests.support.sqlite import dump, execute, load, query

FORMATS = pytest.mark.parametrize("source", [Snapshot, SqlText])

HISTORY = ["CREATE TABLE history (id TEXT PRIMARY KEY, a)", "CREATE INDEX history_a ON history (a)"]


@pytest.fixture
def site(tmp_path):
    """A database with a history that is not to be copied, and a table that the history does not concern."""
    return execute(
        tmp_path / "site", *HISTORY, "INSERT INTO history VALUES ('1', 'hunter2 hunter2 hunter2')",
        "CREATE TABLE t (a)", "INSERT INTO t VALUES ('of the site')",
    )  # fmt: skip


@FORMATS
def test_rows_that_are_left_out_are_not_copied(tmp_path, site, source):
    load(tmp_path / "restored", dump(site, source, leave_out=["history", "not there"]))

    assert query(tmp_path / "restored", "SELECT count(*) FROM history") == [(0,)]
    assert query(tmp_path / "restored", "SELECT a FROM t") == [(b"of the site",)]
    assert query(site, "SELECT count(*) FROM history") == [(1,)]


@FORMATS
def test_no_trace_of_them_is_in_the_bytes(site, source):
    """SQLite leaves the content of deleted rows in its file unless it is told not to."""
    execute(site, f"INSERT INTO history VALUES ('2', '{'hunter2 ' * 10_000}')")

    assert b"hunter2" not in dump(site, source, leave_out=["history"])


@FORMATS
def test_leaving_rows_out_is_no_deletion_that_triggers_see(tmp_path, site, source):
    trigger = (
        "CREATE TRIGGER keep BEFORE DELETE ON history BEGIN SELECT RAISE(ABORT, 'history is for ever'); END"
    )
    execute(site, trigger)

    load(tmp_path / "restored", dump(site, source, leave_out=["history"]))

    assert query(tmp_path / "restored", "SELECT sql FROM sqlite_master WHERE type='trigger'") == [
        (trigger.encode(),)
    ]


@FORMATS
def test_kept_table_survives_with_its_rows_and_indexes(tmp_path, site, source):
    live = execute(
        tmp_path / "live",
        *HISTORY,
        "INSERT INTO history VALUES ('live', x'00ff'), ('more', NULL)",
        "CREATE TABLE u (a)",
    )

    load(live, dump(site, source), keep=["history"])

    assert query(live, "SELECT id, a FROM history ORDER BY id") == [(b"live", b"\x00\xff"), (b"more", None)]
    assert query(live, "SELECT a FROM t") == [(b"of the site",)]
    assert query(live, "SELECT name FROM sqlite_master WHERE type='index' AND sql NOT NULL") == [
        (b"history_a",)
    ]


@FORMATS
def test_kept_table_that_the_backup_does_not_know_survives(tmp_path, site, source):
    old = execute(tmp_path / "old", "CREATE TABLE t (a)")

    load(site, dump(old, source), keep=["history"])

    assert query(site, "SELECT id FROM history") == [(b"1",)]


@FORMATS
def test_kept_table_that_was_never_there_is_not_brought_by_the_backup(tmp_path, site, source):
    live = execute(tmp_path / "live", "CREATE TABLE t (a)")

    load(live, dump(site, source), keep=["history"])

    assert query(live, "SELECT name FROM sqlite_master") == [(b"t",)]


def test_table_that_the_backup_does_not_know_is_reported(tmp_path, site):
    live = execute(
        tmp_path / "live", "CREATE TABLE t (a)", "CREATE TABLE 'new ''one' (a)", "CREATE TABLE other (a)"
    )

    assert load(live, dump(site)).vanished == ["new 'one", "other"]


@pytest.fixture
def temporary(tmp_path, monkeypatch):
    folder = tmp_path / "temporary"
    folder.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(folder))
    return folder


KILLED = """
import os, signal, sys, tempfile
tempfile.tempdir = sys.argv[2]
from django_rclone_admin.connectors.sqlite.streams import SqlText
source = SqlText(sys.argv[1])
source.open()
source.read()
os.kill(os.getpid(), signal.SIGKILL)
"""


def test_folder_that_a_killed_process_left_is_gone_after_the_next_call(site, temporary):
    subprocess.run([sys.executable, "-c", KILLED, site, temporary], timeout=60)
    assert len(list(temporary.iterdir())) == 1

    dump(site)

    assert list(temporary.iterdir()) == []


def test_copy_is_for_our_eyes_only(temporary):
    folder = private_folder()

    assert folder.stat().st_mode & 0o777 == 0o700
    assert folder.parent == temporary


HOLDING = """
import sys, tempfile
tempfile.tempdir = sys.argv[1]
from django_rclone_admin.core.temporary import private_folder
print(private_folder(), flush=True)
sys.stdin.read()
"""


def test_folders_of_living_processes_and_of_others_stay(temporary):
    """That a process lives is told by its lock: its number may be one of another container's."""
    others = {"other-abcdefgh", f"{PREFIX}abc", f"{PREFIX}abcdefgh.txt"}
    for name in others:
        (temporary / name).mkdir()
    (temporary / f"{PREFIX}abcdefgh").symlink_to(temporary / "other-abcdefgh")
    command = [sys.executable, "-c", HOLDING, temporary]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        held = Path(process.stdout.readline().strip())
        ours = private_folder()
        remove_folder(private_folder())

        assert {path.name for path in temporary.iterdir()} == {
            *others,
            f"{PREFIX}abcdefgh",
            held.name,
            ours.name,
        }
        process.kill()

    remove_folder(private_folder())
    remove_folder(ours)
    assert {path.name for path in temporary.iterdir()} == {*others, f"{PREFIX}abcdefgh"}
