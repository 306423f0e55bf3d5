"""Whatever a SQLite database holds comes back the same, from a copy of its file and from SQL text."""

import shutil
import subprocess

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from django_rclone_admin.connectors.sqlite.streams import Snapshot, SqlText
from tests.support.servers import missing
from tests.support.sqlite import connected, contents, dump, execute, load, query

FORMATS = pytest.mark.parametrize("source", [Snapshot, SqlText])

DATABASES = {
    "nothing": ["CREATE TABLE t (a)", "DROP TABLE t"],
    "empty table": ["CREATE TABLE t (a)"],
    "unicode": ["CREATE TABLE 'täble 表' ('cölumn')", "INSERT INTO 'täble 表' VALUES ('Grüße 東京 🚲 e\u0301 \U0010ffff')"],
    "blobs": ["CREATE TABLE t (a)", "INSERT INTO t VALUES (x''), (x'00ff0a0d27'), (zeroblob(100000))"],
    "odd text": ["CREATE TABLE t (a)", "INSERT INTO t VALUES (''), ('it''s'), ('a' || char(10) || 'b' || char(13)), (';'), ('--')"],
    "NUL in text": ["CREATE TABLE t (a)", "INSERT INTO t VALUES ('a' || char(0) || 'b'), (char(0))"],
    "invalid UTF-8": ["CREATE TABLE t (a)", "INSERT INTO t VALUES (CAST(x'ff80c3' AS TEXT)), (CAST(x'61e9' AS TEXT))"],
    "numbers": [
        "CREATE TABLE t (a, i INTEGER, r REAL, n NUMERIC, x TEXT)",
        "INSERT INTO t (a) VALUES (9e999), (-9e999), (1e308), (5e-324), (0.1), (1.0), (1e20), (-0.0)",
        "INSERT INTO t (a) VALUES (9223372036854775807), (-9223372036854775808), (0), (-1)",
        "INSERT INTO t VALUES ('1', '1', '1', '1', 1), ('1.0', 'x', 'x', '1.50', 1.5), (NULL, NULL, NULL, NULL, NULL)",
    ],
    "generated columns": [
        "CREATE TABLE t (a INTEGER PRIMARY KEY, b AS (a * 2) STORED, c AS (a * 3), d)",
        "INSERT INTO t (a, d) VALUES (1, 'x'), (2, 'y')",
    ],
    "without rowid": ["CREATE TABLE t (a, b, PRIMARY KEY (b, a)) WITHOUT ROWID", "INSERT INTO t VALUES (1, 'x'), (2, 'w')"],
    "strict": ["CREATE TABLE t (a INTEGER, b ANY) STRICT", "INSERT INTO t VALUES (1, '1'), (2, 1), (3, x'31')"],
    "autoincrement": [
        "CREATE TABLE t (id INTEGER PRIMARY KEY AUTOINCREMENT, a)", "INSERT INTO t (a) VALUES (1), (2), (3)",
        "DELETE FROM t WHERE id = 3", "CREATE TABLE u (id INTEGER PRIMARY KEY AUTOINCREMENT)",
    ],
    "autoincrement of long ago": ["CREATE TABLE t (id INTEGER PRIMARY KEY AUTOINCREMENT)", "DROP TABLE t", "CREATE TABLE u (a)"],
    "indexes": [
        "CREATE TABLE t (a UNIQUE, b)", "CREATE INDEX i ON t (b DESC) WHERE b > 1", "CREATE UNIQUE INDEX 'i 2' ON t (lower(a))",
        "INSERT INTO t VALUES ('x', 1), ('y', 2)", "ANALYZE", "DROP TABLE sqlite_stat1",
    ],
    "views": [
        "CREATE TABLE t (a)", "INSERT INTO t VALUES (1)", "CREATE VIEW v AS SELECT a FROM t -- comment",
        "CREATE VIEW w (x) AS SELECT a || ';' FROM v;", "CREATE VIEW 'broken' AS SELECT * FROM gone",
    ],
    "triggers": [
        "CREATE TABLE t (a)", "CREATE TABLE log (a)",
        "CREATE TRIGGER r AFTER INSERT ON t BEGIN INSERT INTO log VALUES (new.a); SELECT 'END;'; END",
        "CREATE TRIGGER refuse BEFORE INSERT ON log WHEN new.a > 5 BEGIN SELECT RAISE(ABORT, 'no'); END",
        "INSERT INTO t VALUES (1), (2)", "UPDATE log SET a = 10",
    ],
    "foreign keys": [
        "CREATE TABLE a (id INTEGER PRIMARY KEY, b REFERENCES b)", "CREATE TABLE b (id INTEGER PRIMARY KEY, a REFERENCES a)",
        "INSERT INTO a VALUES (1, 1), (2, 99)", "INSERT INTO b VALUES (1, 1)",
    ],
    "names that need quotes": [
        'CREATE TABLE "a ""b"" c" ("select", "x;y", "it\'s")', 'INSERT INTO "a ""b"" c" VALUES (1, 2, 3)',
        'CREATE TABLE "sqliteish" (a)', 'CREATE TABLE "t' + "\n" + 'u" (a)',
    ],
    "definition in upper, lower and many lines": [
        "create table t (a text default ';\n', -- comment; with it's quote\n b /* ' */ check (b <> ';')\n)", "INSERT INTO t VALUES (1, 2)",
    ],
    "lines that end like statements": [
        "CREATE TABLE t (a)", "INSERT INTO t VALUES ('one;' || char(10) || 'COMMIT;' || char(10) || ''';'), ('two')",
    ],
}  # fmt: skip

SEARCH = "SELECT rowid, highlight(search, 0, '<', '>') FROM search WHERE search MATCH 'naive' ORDER BY rowid"
VIRTUAL = {
    "fts5": (
        ["CREATE VIRTUAL TABLE search USING fts5(a)", "INSERT INTO search (rowid, a) VALUES (7, 'naïve café'), (99, 'none')"],
        SEARCH,
    ),
    "fts5 after VACUUM": (
        ["CREATE VIRTUAL TABLE search USING fts5(a)", "INSERT INTO search (rowid, a) VALUES (7, 'naïve')", "VACUUM"],
        SEARCH,
    ),
    "fts5 over another table": (
        [
            "CREATE TABLE article (id INTEGER PRIMARY KEY, a)", "INSERT INTO article VALUES (7, 'naïve'), (99, 'none')",
            "CREATE VIRTUAL TABLE search USING fts5(a, content='article', content_rowid='id')",
            "INSERT INTO search (search) VALUES ('rebuild')",
        ],
        SEARCH,
    ),
    "fts5 without content": (
        ["CREATE VIRTUAL TABLE search USING fts5(a, content='')", "INSERT INTO search (rowid, a) VALUES (7, 'naive')"],
        "SELECT rowid FROM search WHERE search MATCH 'naive'",
    ),
    "fts4": (
        ["CREATE VIRTUAL TABLE search USING fts4(a)", "INSERT INTO search (docid, a) VALUES (7, 'naive')"],
        "SELECT docid, a FROM search WHERE a MATCH 'naive'",
    ),
    "rtree": (
        ["CREATE VIRTUAL TABLE area USING rtree(id, x0, x1)", "INSERT INTO area VALUES (7, 1.5, 2.5), (8, 3, 4)"],
        "SELECT id, x0 FROM area WHERE x1 < 3",
    ),
    "table named like those of a virtual one": (
        ["CREATE VIRTUAL TABLE search USING fts5(a)", "CREATE TABLE search_log (a)", "INSERT INTO search_log VALUES (1)"],
        "SELECT a FROM search_log",
    ),
}  # fmt: skip


@FORMATS
@pytest.mark.parametrize("name", DATABASES)
def test_database_comes_back_the_same(tmp_path, name, source):
    path = execute(tmp_path / "db", *DATABASES[name])

    load(tmp_path / "restored", dump(path, source))

    assert contents(tmp_path / "restored") == contents(path)


@FORMATS
@pytest.mark.parametrize("name", VIRTUAL)
def test_virtual_table_comes_back_the_same_and_still_works(tmp_path, name, source):
    statements, question = VIRTUAL[name]
    path = execute(tmp_path / "db", *statements)
    expected = query(path, question)
    assert expected

    load(tmp_path / "restored", dump(path, source))

    assert query(tmp_path / "restored", question) == expected
    assert contents(tmp_path / "restored") == contents(path)
    # Back through the other way too: what was restored is a database like any other.
    load(tmp_path / "again", dump(tmp_path / "restored", SqlText))
    assert query(tmp_path / "again", question) == expected


LOSES = {"NUL in text", "numbers", "autoincrement of long ago"}
"""Of these, the text of the program itself does not have everything: what it has can be loaded."""


@pytest.mark.parametrize("name", [*DATABASES, *VIRTUAL])
def test_sql_text_of_the_sqlite_program_can_be_loaded(tmp_path, name):
    """That is what django-rclone has stored, and django-dbbackup."""
    path = execute(tmp_path / "db", *(DATABASES.get(name) or VIRTUAL[name][0]))
    program = shutil.which("sqlite3") or missing("the program sqlite3 is not installed")
    text = subprocess.run([program, path, ".dump"], capture_output=True, check=True).stdout

    load(tmp_path / "restored", text)

    assert name in LOSES or contents(tmp_path / "restored") == contents(path)


values = (
    st.none()
    | st.integers(-(2**63), 2**63 - 1)
    | st.floats(allow_nan=False)
    | st.text(st.characters(exclude_categories=["Cs"]))
    | st.binary()
)


@FORMATS
@settings(max_examples=30)
@given(rows=st.lists(st.tuples(values, values), max_size=10))
def test_any_value_comes_back_the_same(tmp_path_factory, source, rows):
    folder = tmp_path_factory.mktemp("any")
    path = execute(folder / "db", "CREATE TABLE t (a, b TEXT)")
    with connected(path) as connection:
        connection.executemany("INSERT INTO t VALUES (?, ?)", rows)

    load(folder / "restored", dump(path, source))

    assert contents(folder / "restored") == contents(path)


@FORMATS
def test_utf16_database_comes_back_the_same(tmp_path, source):
    path = execute(
        tmp_path / "db", "PRAGMA encoding='UTF-16le'", *DATABASES["unicode"], *DATABASES["odd text"]
    )

    load(tmp_path / "restored", dump(path, source))

    assert {key: [row[0:2] for row in rows] for key, rows in contents(tmp_path / "restored").items()} == {
        key: [row[0:2] for row in rows] for key, rows in contents(path).items()
    }


NUMBERS = [
    9.663731234504948e-304,
    5e-324,
    1.5e-320,
    1.7976931348623157e308,
    271784.076814,
    93.23158265,
    1 / 3,
    -0.1,
    1e23,
]


@FORMATS
def test_numbers_that_sqlite_reads_wrongly_from_a_literal_come_back_to_the_last_bit(tmp_path, source):
    path = execute(tmp_path / "db", "CREATE TABLE t (a)")
    with connected(path) as connection:
        connection.executemany("INSERT INTO t VALUES (?)", [(number,) for number in NUMBERS])

    load(tmp_path / "restored", dump(path, source))

    assert query(tmp_path / "restored", "SELECT a FROM t") == [(number,) for number in NUMBERS]


def test_sql_text_is_read_by_sqlite_itself(tmp_path):
    path = execute(tmp_path / "db", *DATABASES["odd text"], *VIRTUAL["rtree"][0])
    with connected(tmp_path / "restored") as connection:
        connection.executescript(dump(path, SqlText).decode())

    assert contents(tmp_path / "restored") == contents(path)


def test_long_text_of_lines_that_end_like_statements_is_loaded_in_no_time(tmp_path):
    """A program stored in a column: it must not be looked through anew at each of its lines."""
    code = "if (a) b();\n" * 60_000
    path = execute(tmp_path / "db", "CREATE TABLE t (a)")
    with connected(path) as connection:
        connection.execute("INSERT INTO t VALUES (?)", [code])

    load(tmp_path / "restored", dump(path, SqlText))

    assert query(tmp_path / "restored", "SELECT a FROM t") == [(code.encode(),)]
