"""One database with an object of every kind: a restore brings back its schema to the letter, and what its head says."""

import os
import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import pytest

from django_rclone_admin.connectors.sqlite.streams import Snapshot, SqlText
from tests.support.sqlite import connected, dump, execute, load, query

FORMATS = pytest.mark.parametrize("source", [Snapshot, SqlText])

EVERYTHING = r'''
CREATE TABLE plain (id INTEGER PRIMARY KEY AUTOINCREMENT, "a ""b"" 'c'" TEXT DEFAULT 'it''s; COMMIT;' /* ; */, -- and;
  [in brackets] BLOB, `back ticks` REAL CHECK (`back ticks` > -1), UNIQUE ("a ""b"" 'c'") ON CONFLICT IGNORE);
INSERT INTO plain VALUES (3, 'one', x'00ff', 1.5), (7, 'two' || char(10) || 'COMMIT;', NULL, 0);
CREATE TABLE "odd ""name""; 東京" (x, "select" DEFAULT CURRENT_TIMESTAMP);
INSERT INTO "odd ""name""; 東京" (x) VALUES (NULL), (';');
CREATE TABLE without_rowid (b TEXT NOT NULL COLLATE NOCASE, a INT, PRIMARY KEY (b DESC, a)) WITHOUT ROWID;
INSERT INTO without_rowid VALUES ('b', 1), ('A', 2);
CREATE TABLE strict_too (id INT PRIMARY KEY, any_value ANY, t TEXT, CHECK (typeof(t) = 'text')) STRICT, WITHOUT ROWID;
INSERT INTO strict_too VALUES (1, '007', 'x'), (2, x'37', 'y');
CREATE TABLE computed (w REAL, h REAL, area REAL GENERATED ALWAYS AS (w * h) STORED NOT NULL, twice AS (area * 2) VIRTUAL UNIQUE);
INSERT INTO computed (w, h) VALUES (2, 3), (4, 5);
CREATE TABLE parent (id INTEGER PRIMARY KEY);
CREATE TABLE child (id INTEGER PRIMARY KEY, parent_id INT REFERENCES parent (id) ON DELETE CASCADE DEFERRABLE INITIALLY DEFERRED);
INSERT INTO parent VALUES (1);
INSERT INTO child VALUES (1, 1);
CREATE INDEX partial ON plain (id DESC) WHERE "back ticks" IS NOT NULL;
CREATE UNIQUE INDEX "by ""expression""" ON computed (w + h, lower(w) COLLATE NOCASE);
CREATE VIEW v (n) AS SELECT count(*) FROM plain -- ends in a comment
;
CREATE VIEW "of a view" AS WITH r(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM r WHERE i < 3) SELECT * FROM r, v;
CREATE TABLE trail (line);
CREATE TRIGGER "after; all" AFTER UPDATE OF id ON child WHEN new.id > 0 BEGIN INSERT INTO trail VALUES ('; END;'); SELECT 1; END;
CREATE TRIGGER instead INSTEAD OF DELETE ON v BEGIN DELETE FROM plain; END;
CREATE VIRTUAL TABLE words USING fts5(line, tokenize = 'porter');
INSERT INTO words (rowid, line) VALUES (5, 'running foxes'), (-3, 'jumps over');
CREATE VIRTUAL TABLE places USING rtree(id, x0, x1, +label);
INSERT INTO places VALUES (7, 1.5, 2.5, 'here');
CREATE TABLE words_of_ours (a);
ANALYZE;
'''
SETTINGS = "encoding", "auto_vacuum", "user_version", "application_id", "page_size"
HEAD = "PRAGMA page_size=8192", "PRAGMA encoding='UTF-16be'", "PRAGMA auto_vacuum=1"
VERSIONS = "PRAGMA user_version=-7", "PRAGMA application_id=1196444487"
QUESTIONS = (
    "SELECT * FROM plain", "SELECT rowid, line FROM words WHERE words MATCH 'run'", "SELECT * FROM places WHERE x0 > 1",
    "SELECT * FROM computed", "SELECT * FROM strict_too", "SELECT * FROM without_rowid", 'SELECT * FROM "of a view"',
    'SELECT x FROM "odd ""name""; 東京"', "SELECT * FROM child", "SELECT * FROM sqlite_sequence", "PRAGMA integrity_check",
)  # fmt: skip


@pytest.fixture
def everything(tmp_path) -> Path:
    path = tmp_path / "everything"
    with connected(path) as connection:
        for pragma in HEAD:
            connection.execute(pragma)
        connection.executescript(EVERYTHING)
        for pragma in VERSIONS:
            connection.execute(pragma)
    return path


def schema(path: Path) -> list[tuple[object, ...]]:
    """Return the definitions in their order, but for what a program keeps of its last ANALYZE."""
    return query(
        path, "SELECT type, name, tbl_name, sql FROM sqlite_master WHERE name NOT LIKE 'sqlite_stat%'"
    )


def settings(path: Path) -> dict[str, object]:
    return {name: query(path, f"PRAGMA {name}")[0][0] for name in SETTINGS}


def answers(path: Path) -> list[list[object]]:
    return [query(path, question) for question in QUESTIONS]


def test_the_case_is_one_that_could_go_wrong(everything):
    assert settings(everything) == {
        "encoding": b"UTF-16be", "auto_vacuum": 1, "user_version": -7, "application_id": 1196444487, "page_size": 8192,
    }  # fmt: skip
    assert all(answers(everything))


@FORMATS
def test_everything_comes_back_into_a_new_file(tmp_path, everything, source):
    load(tmp_path / "new", dump(everything, source))

    assert settings(tmp_path / "new") == settings(everything)
    in_order = (lambda rows: rows) if source is Snapshot else (lambda rows: sorted(rows, key=repr))
    assert in_order(schema(tmp_path / "new")) == in_order(schema(everything))
    assert answers(tmp_path / "new") == answers(everything)


@FORMATS
@pytest.mark.parametrize("mode", ["DELETE", "TRUNCATE", "PERSIST", "WAL"])
def test_everything_comes_back_over_a_file_that_others_have_open(tmp_path, everything, source, mode):
    """In WAL mode a file keeps its page size."""
    live = execute(
        tmp_path / "live", "PRAGMA encoding='UTF-16be'", f"PRAGMA journal_mode={mode}", "CREATE TABLE t (a)"
    )
    with connected(live) as user:
        user.execute(f"PRAGMA journal_mode={mode}")
        user.execute("INSERT INTO t VALUES (1)")
        load(live, dump(everything, source))
        assert [user.execute(question).fetchall() for question in QUESTIONS] == answers(everything)
        user.execute("INSERT INTO trail VALUES ('written')")
    kept = {"page_size": 4096} if mode == "WAL" else {}
    assert settings(live) == settings(everything) | kept
    assert sorted(schema(live), key=repr) == sorted(schema(everything), key=repr)
    assert query(live, "PRAGMA journal_mode") == [(b"wal" if mode == "WAL" else b"delete",)]
    assert query(live, "SELECT line FROM trail") == [(b"written",)]
    assert query(live, "PRAGMA integrity_check") == [(b"ok",)]


def test_text_is_understood_by_sqlite_itself(tmp_path, everything):
    with closing(sqlite3.connect(tmp_path / "new")) as connection:
        connection.executescript(dump(everything, SqlText).decode())

    assert settings(tmp_path / "new") == settings(everything)
    assert answers(tmp_path / "new") == answers(everything)


READ_ONLY = """
import os, sys
from pathlib import Path
from django_rclone_admin.exceptions import ProgramFailed
from tests.support.sqlite import dump, load
live, other = Path(sys.argv[1]), Path(sys.argv[2])
backup = dump(other)
for folder in live.parent, *live.parent.parents:
    if folder.stat().st_mode & 0o777 == 0o700:  # of pytest
        folder.chmod(0o711)
live.chmod(0o644)
os.setuid(65534)
print(len(dump(live)))
try:
    load(live, backup)
except ProgramFailed as error:
    print(error)
    print(error.hint)
"""


@pytest.mark.skipif(os.getuid() != 0, reason="only root can become another user")
def test_file_that_we_may_only_read_is_backed_up_and_not_restored(tmp_path, everything):
    """As another user, who may write neither the file nor its folder."""
    folder = tmp_path / "read only"
    folder.mkdir()
    live = execute(folder / "live", "CREATE TABLE t (a)", "INSERT INTO t VALUES (1)")
    before = live.read_bytes()
    done = subprocess.run(
        [sys.executable, "-c", READ_ONLY, live, everything],
        capture_output=True,
        text=True,
        cwd=Path(__file__).parents[2],
        check=True,
    )
    size, message, hint = done.stdout.splitlines()
    assert int(size) > 0
    assert "readonly database" in message
    assert "Nothing was changed" in hint
    assert live.read_bytes() == before
    assert [path.name for path in folder.iterdir()] == ["live"]
