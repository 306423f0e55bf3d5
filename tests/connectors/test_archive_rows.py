"""The rows of PostgreSQL's archives are counted exactly while they go by, or not at all."""

import os
import subprocess
from contextlib import closing

import pytest

from django_rclone_admin import api
from django_rclone_admin.connectors.postgresql.archive_rows import ArchiveRows
from tests.support.opened import ALIAS
from tests.support.postgresql import connect

pytestmark = pytest.mark.postgresql
SCHEMA = r"""
CREATE TABLE lengths AS
    SELECT repeat('x', n) AS it FROM unnest(array[8, 9, 10, 255, 2558, 2559, 2560, 2569, 2570, 65535, 655359, 1048576]) AS n;
CREATE TABLE lines AS SELECT * FROM unnest(array['', E'\n', E'\n\n\n', '\.', E'\\.\n', E'\t\r\\', NULL, '', '', '']) AS it;
CREATE TABLE short AS SELECT (n % 100)::text AS it FROM generate_series(1, 3000) AS n;
CREATE TABLE empty (id integer);
CREATE TABLE no_columns ();
INSERT INTO no_columns SELECT FROM generate_series(1, 3);
CREATE TABLE "an ""odd"" name" AS SELECT 1 AS "COPY x FROM stdin;";
CREATE TABLE parent (id integer) PARTITION BY RANGE (id);
CREATE TABLE low PARTITION OF parent FOR VALUES FROM (0) TO (10);
CREATE TABLE high PARTITION OF parent FOR VALUES FROM (10) TO (100);
INSERT INTO parent SELECT generate_series(0, 14);
SELECT lo_from_bytea(0, decode(repeat('0a00010300', 9000), 'hex')), lo_from_bytea(0, '');
"""
ROWS = {
    "lengths": 12,
    "lines": 10,
    "short": 3000,
    "empty": 0,
    "no_columns": 3,
    '"an ""odd"" name"': 1,
    "low": 10,
    "high": 5,
}


@pytest.fixture(scope="module", params=["postgresql", "postgresql18"])
def dump(request):
    server = request.getfixturevalue(f"{request.param}_server")
    entry = server.create_database()
    with closing(connect(entry)) as connection:
        connection.execute(SCHEMA)

    def dumped(*arguments: str) -> bytes:
        where = [f"--host={server.host}", f"--port={server.port}", f"--username={server.user}", entry["NAME"]]
        command = [server.bin_dir / "pg_dump", "--format=custom", *arguments, *where]
        environment = os.environ | {"PGPASSWORD": server.password}
        return subprocess.run(command, env=environment, check=True, capture_output=True).stdout

    yield dumped
    server.drop_databases(entry["NAME"])


def count(archive: bytes, size: int = 1 << 20) -> dict[str, int]:
    """Feed the counter with pieces of an archive, and return the rows of each table in the schema ``public``."""
    counter = ArchiveRows()
    for at in range(0, len(archive), size):
        counter.feed(archive[at : at + size])
    found = counter.finish()
    names = [statement.decode().removeprefix("COPY public.").rpartition(" (")[0] for statement in found]
    return dict(zip(names, found.values(), strict=True))


def test_rows_are_those_of_the_database(dump):
    archive = dump("--compress=0")
    for size in (1 << 20, 65536, 4099):
        found = count(archive, size)
        # The name of a table without columns is followed by none of them.
        assert found.pop("", 3) == 3
        assert found == {name: rows for name, rows in ROWS.items() if name in found}
        assert ROWS.keys() - found.keys() <= {"no_columns"}


def test_rows_of_partitions_may_come_as_rows_of_their_table(dump):
    found = count(dump("--compress=0", "--load-via-partition-root"))
    assert found["parent"] == 15
    assert not {"low", "high"} & found.keys()


@pytest.mark.parametrize("arguments", [["--compress=6"], ["--compress=0", "--inserts"]])
def test_what_is_not_known_is_not_counted(dump, arguments):
    assert count(dump(*arguments)) == {}


def test_archive_that_is_cut_or_strange_is_not_counted(dump):
    archive = dump("--compress=0")
    assert count(archive[:-1]) == {}
    assert count(archive[:2000]) == {}
    assert count(archive.replace(b"\\.\n\n\n", b"\\.\n\n ")) == {}
    for minor in (11, 17):
        assert count(archive[:6] + bytes([minor]) + archive[7:]) == {}
    assert count(b"something else" * 10_000) == {}


def test_bytes_one_by_one(dump):
    archive = dump("--compress=0", "--table=lines", "--table=empty")
    assert count(archive, 1) == {"lines": 10, "empty": 0}


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("books", ["postgresql"], indirect=True)
@pytest.mark.parametrize(
    "arguments",
    [
        pytest.param([], id="usual", marks=pytest.mark.soak),
        pytest.param(["--load-via-partition-root"], id="via root"),
    ],
)
def test_backup_with_partitions_passes_its_checks(books, backups, arguments):
    books.execute("CREATE TABLE parent (id integer) PARTITION BY RANGE (id)")
    books.execute("CREATE TABLE low PARTITION OF parent FOR VALUES FROM (0) TO (10)")
    books.execute("INSERT INTO parent SELECT generate_series(0, 4)")
    options = {"BIN_DIR": str(books.server.bin_dir), "DUMP_ARGS": arguments}
    backups.configure(CONNECTOR_OPTIONS={ALIAS: options})
    api.backup_database(ALIAS)
    [backup] = api.list_backups(database=ALIAS)
    rows = backup.manifest.rows
    assert rows == {"author": 2, "book": 3} | ({"parent": 5} if arguments else {"low": 5})
    assert backup.manifest.rows_exact
    assert api.verify_backup(backup.path, level="restore").status == "succeeded"
