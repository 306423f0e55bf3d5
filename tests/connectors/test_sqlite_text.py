"""SQL text from the remote is executed in a private file, whole or not at all, and reaches no other file."""

import pytest

from django_rclone_admin.connectors.sqlite.streams import SqlText
from django_rclone_admin.exceptions import BackupDamaged, BackupError, ProgramFailed, WrongFormat
from tests.support.sqlite import contents, dump, execute, load, query

STATEMENTS = [
    "CREATE TABLE t (id INTEGER PRIMARY KEY AUTOINCREMENT, a)",
    "INSERT INTO t (a) VALUES ('one'), ('two;' || char(10) || 'COMMIT;' || char(10) || 'lines'), (x'00'), (NULL)",
    "CREATE INDEX i ON t (a)",
    "CREATE VIEW v AS SELECT a FROM t",
    "CREATE TRIGGER r AFTER DELETE ON t BEGIN SELECT 1; END",
]


@pytest.fixture
def live(tmp_path):
    return execute(tmp_path / "live", "CREATE TABLE precious (a)", "INSERT INTO precious VALUES (1)")


@pytest.fixture
def text(tmp_path):
    return dump(execute(tmp_path / "db", *STATEMENTS), SqlText)


def refused(live, text):
    """Return the error with which a text is refused; nothing may have changed."""
    before = contents(live)
    with pytest.raises(BackupError) as caught:
        load(live, text)
    assert contents(live) == before
    assert caught.value.hint
    return caught.value


def test_text_cut_at_any_line_is_refused(live, text):
    lines = text.splitlines(keepends=True)

    for count in range(len(lines)):
        error = refused(live, b"".join(lines[:count]))
        assert isinstance(error, BackupDamaged | WrongFormat)


def test_text_cut_at_any_byte_is_refused(live, text):
    end = text.rindex(b";")

    for length in range(0, end, 7):
        refused(live, text[:length])
    refused(live, text[:end])


def test_text_without_its_last_line_end_is_whole(live, text):
    load(live, text.rstrip(b"\n"))

    assert query(live, "SELECT count(*) FROM t") == [(4,)]


@pytest.mark.parametrize("size", [1, 2, 7, 100])
def test_text_is_the_same_however_it_is_cut_into_chunks(tmp_path, text, size):
    from django_rclone_admin.connectors.sqlite.streams import Loader

    loader = Loader(str(tmp_path / "restored"), is_text=True)
    loader.open()
    try:
        for start in range(0, len(text), size):
            loader.write(text[start : start + size])
        loader.commit()
    finally:
        loader.close()

    assert contents(tmp_path / "restored") == contents(tmp_path / "db")


def test_text_of_a_damaged_database_is_refused(live, text):
    """The program sqlite3 ends such a text so, and its exit status is 0."""
    assert "cut off" in str(refused(live, text.replace(b"COMMIT;\n", b"ROLLBACK; -- due to errors\n")))


def test_text_with_a_statement_that_fails_is_refused(live, text):
    error = refused(live, text.replace(b"CREATE VIEW v", b"CREATE TABLE t"))

    assert isinstance(error, WrongFormat)
    assert "already exists" in str(error)


@pytest.mark.parametrize(
    "garbage",
    [b"\x00\x01\x02", b"PRAGMA foreign_keys=OFF;\n\x00\nCOMMIT;\n", b"CREATE TABLE t (a); CREATE TABLE u (a);\nCOMMIT;\n", b"-- nothing\n", b"COMMIT;\n"],
)  # fmt: skip
def test_garbage_is_refused(live, garbage):
    refused(live, garbage)


@pytest.mark.parametrize(
    "statement",
    [
        "ATTACH '{path}' AS other;",
        "ATTACH DATABASE '{path}' AS other;",
        "DETACH main;",
        "VACUUM INTO '{path}';",
        "SELECT load_extension('{path}');",
        "SELECT writefile('{path}', 'x');",
        "SELECT fts3_tokenizer('x', x'0000000000000000');",
        "CREATE VIRTUAL TABLE x USING csv(filename='{path}');",
    ],
)
def test_text_reaches_no_other_file(live, tmp_path, statement):
    before, other = contents(live), tmp_path / "other"
    begin = f"CREATE TABLE t (a);\n{statement.format(path=other)}\n"

    for text in (begin + "COMMIT;\n", "BEGIN;\n" + begin + "COMMIT;\n"):
        refused(live, text.encode())

    assert not other.exists()
    assert contents(live) == before


def test_text_that_says_it_is_another_database_is_only_text(tmp_path, live):
    """What looks like an order to leave the transaction does so in the private file alone."""
    load(live, b"BEGIN;\nCREATE TABLE t (a);\nCOMMIT;\nBEGIN;\nINSERT INTO t VALUES (1);\nCOMMIT;\n")

    assert query(live, "SELECT a FROM t") == [(1,)]


def test_dump_of_a_database_that_is_not_there_makes_none(tmp_path):
    with pytest.raises(ProgramFailed):
        dump(tmp_path / "missing" / "db", SqlText)

    assert list(tmp_path.iterdir()) == []
