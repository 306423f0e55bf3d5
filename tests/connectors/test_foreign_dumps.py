"""Dumps that another program made while this app was installed: they carry the history, and a restore leaves it out."""

import os
import shutil
import sqlite3
import subprocess
from contextlib import closing

import pytest

from django_rclone_admin.connectors.postgresql.contents import Archive, Choice
from django_rclone_admin.core.command import Command
from tests.support.commands import saved
from tests.support.faults import add_noise
from tests.support.tables import HISTORY

STRATEGIES = ("in_place", "swap")
RESTORE = ("dbrestore", "--noinput", "--no-safety-backup")


@pytest.fixture
def dump(tmp_path):
    return tmp_path / "foreign"


def pg_dump(shop, server, file):
    entry = shop.settings["DATABASES"]["default"]
    where = {
        "PGHOST": entry["HOST"],
        "PGPORT": entry["PORT"],
        "PGUSER": entry["USER"],
        "PGDATABASE": entry["NAME"],
    }
    env = os.environ | {key: str(value) for key, value in where.items()} | {"PGPASSWORD": entry["PASSWORD"]}
    subprocess.run([server.bin_dir / "pg_dump", "--format=custom", f"--file={file}"], env=env, check=True)


def mariadb_dump(shop, server, file):
    login = ["--no-defaults", f"--socket={server.socket}", "--user=root"]
    name = shop.settings["DATABASES"]["default"]["NAME"]
    with file.open("wb") as output:
        subprocess.run([server.bin_dir / "mariadb-dump", *login, name], stdout=output, check=True)


def restore_and_compare(shop, dump, strategy):
    """Restore a dump that was made of the shop as it is now, after changes of its rows and of its history."""
    wanted = shop.rows()
    assert HISTORY.encode() in dump.read_bytes()
    shop.execute(f"UPDATE {HISTORY} SET label = 'changed since'")
    shop.execute("UPDATE shop_product SET price = 1")
    shop.execute("CREATE TABLE newer AS SELECT * FROM shop_product")
    result = shop.manage(*RESTORE, f"--input-file={dump}", f"--strategy={strategy}", "--json")
    assert result.code == 0, result.err
    assert shop.rows() == wanted
    assert result.json["message"].endswith("not in the backup: newer.")
    runs = shop.execute(f"SELECT kind, status, label FROM {HISTORY} ORDER BY created_at")
    assert runs == [("db_backup", "succeeded", "changed since"), ("db_restore", "succeeded", "")]
    saved(shop)  # the lock of the run that was dumped is not there


@pytest.mark.in_turns("strategy")
@pytest.mark.postgresql
@pytest.mark.parametrize("strategy", STRATEGIES)
def test_postgresql(make_shop, postgresql_server, dump, strategy):
    shop = make_shop("postgresql", backed_up=True, prepare=add_noise)
    pg_dump(shop, postgresql_server, dump)
    restore_and_compare(shop, dump, strategy)


@pytest.mark.in_turns("strategy")
@pytest.mark.postgresql
@pytest.mark.parametrize("strategy", STRATEGIES)
def test_postgresql_into_a_database_without_a_history(make_shop, postgresql_server, dump, strategy):
    """The runs of the other server are not ours: one that was at work when it was dumped would lock us out."""
    shop = make_shop("postgresql", backed_up=True)
    pg_dump(shop, postgresql_server, dump)
    shop.execute(f"DROP TABLE {HISTORY}")
    result = shop.manage(*RESTORE, f"--input-file={dump}", f"--strategy={strategy}")
    assert result.code == 0, result.err
    assert shop.execute(f"SELECT kind FROM {HISTORY} WHERE trigger = 'command'") == [("db_restore",)]
    assert shop.manage("migrate", "--check").code == 0


@pytest.mark.in_turns("strategy")
@pytest.mark.mysql
@pytest.mark.parametrize("strategy", STRATEGIES)
def test_mysql(make_shop, mysql_server, dump, strategy):
    shop = make_shop("mysql", backed_up=True)
    mariadb_dump(shop, mysql_server, dump)
    restore_and_compare(shop, dump, strategy)


@pytest.mark.backed_up
@pytest.mark.parametrize("is_text", [False, True], ids=["file", "text"])
def test_sqlite(shop, dump, is_text):
    if is_text:
        with closing(sqlite3.connect(shop.path())) as connection:
            dump.write_text("\n".join(connection.iterdump()))
    else:
        shutil.copy(shop.path(), dump)
    restore_and_compare(shop, dump, "in_place")


ALIKE = f"""\
1; 1259 11 TABLE public dra_run_sheet shop
2; 0 11 TABLE DATA public dra_run_sheet shop
3; 1259 12 TABLE public {HISTORY}_old shop
4; 0 12 TABLE DATA public {HISTORY}_old shop
"""


@pytest.mark.parametrize(
    "history", ["", f"5; 1259 13 TABLE public {HISTORY} shop\n6; 0 13 TABLE DATA public {HISTORY} shop\n"]
)
def test_tables_of_the_site_that_are_called_like_the_history_are_restored(history):
    choice = Choice([HISTORY], [])
    assert choice.lines((ALIKE + history).encode()) == (ALIKE.encode() if history else None)
    index = b"7; 1259 14 INDEX public dra_run_sheet_day shop\n"
    assert choice.lines(ALIKE.encode() + index) is None


class Recorder:
    """A sink that writes down what it is given."""

    def __init__(self, arguments):
        self.arguments, self.data, self.said = arguments, b"", []

    def open(self):
        self.said.append("open")

    def write(self, data):
        self.data += data

    def commit(self):
        self.said.append("commit")

    def close(self):
        self.said.append("close")


@pytest.mark.postgresql
@pytest.mark.parametrize("size", [1500, 1 << 20])
def test_loading_begins_when_the_table_of_contents_is_there(make_shop, postgresql_server, dump, size):
    """However the archive is cut into pieces, every byte of it arrives, and the list lacks nothing but the history."""
    pg_dump(make_shop("postgresql"), postgresql_server, dump)
    program, made, contents = str(postgresql_server.bin_dir / "pg_restore"), [], []

    def listing(file):
        return Command(argv=(program, "--list", file), env=dict(os.environ), name="pg_restore")

    def begin(head, listed):
        wanted = Choice([HISTORY], []).lines(listed)
        contents.extend(wanted.decode().splitlines(keepends=True))
        made.append(Recorder(head.choose(wanted)))
        return made[0]

    sink = Archive(listing, begin)
    sink._next_try = 1000
    sink.open()
    data = dump.read_bytes()
    for at in range(0, len(data), size):
        sink.write(data[at : at + size])
    sink.commit()
    sink.close()
    assert made[0].data == data
    assert made[0].said == ["open", "commit", "close"]
    everything = subprocess.run([program, "--list", dump], capture_output=True, text=True, check=True)
    entries = [line for line in everything.stdout.splitlines(keepends=True) if not line.startswith(";")]
    lost = set(entries) - set(contents)
    assert lost
    assert all(f" {HISTORY}" in line or " dra_run_" in line for line in lost)
    assert not any(HISTORY in line for line in contents)
