"""MariaDB: one schema, backed up and restored, against mariadb-dump, gzip and mariadb."""

import shutil
from pathlib import Path
from random import Random
from typing import Any

from tests.benchmarks.bench import Bench, empty
from tests.benchmarks.measuring import Contestant, Goal, Result, bytes_below, pipe, race
from tests.benchmarks.sqltext import KINDS, Text, vocabulary
from tests.support.mysql import MariaDBServer, connect, system_server

OURS = "this package"
DUMP, LOAD, SWAP = "mariadb-dump, gzip", "mariadb < dump", "this package, swap"
CHECK = "this package, check by a restore"
ROWS = 500
"""Rows of a statement."""
SCHEMA = """
CREATE TABLE customer (
    id bigint PRIMARY KEY, name varchar(200), email varchar(200), street varchar(200), joined datetime(6), KEY (email));
CREATE TABLE orders (
    id bigint PRIMARY KEY, customer_id bigint, price decimal(10, 2), status varchar(4), paid varchar(1), note text,
    moment datetime(6), KEY (customer_id), KEY (moment));
CREATE TABLE article (id bigint PRIMARY KEY, body text);
CREATE TABLE session (`key` varchar(40) PRIMARY KEY, details text, digest varchar(200), KEY (digest))
"""
TABLES = ("customer", "orders", "article", "session")


def run(bench: Bench) -> list[Result]:
    program = system_server()
    if program is None:
        return []
    with MariaDBServer.started(program, on_disk=True) as server, bench.place("mariadb") as place:
        database = server.create_database("shop_bench")
        size = fill(database, bench.sizes.mariadb)
        site = bench.site(OURS, database, "-mariadb")
        site.manage("migrate", "-v0")()
        remote = Path(site.settings["remote"])
        server.create_database("shop_loaded")
        env = {
            "MYSQL_PWD": database["PASSWORD"],
            "LOGIN": f"--host={database['HOST']} --port={database['PORT']} --user={database['USER']}",
            "FILE": str(place / "dump.gz"),
            "PLAIN": str(place / "dump.sql"),
        }
        backup = race(
            f"MariaDB backup, {size / 1e6:.0f} MB",
            [
                Contestant(
                    name=DUMP,
                    run=pipe("mariadb-dump $LOGIN --single-transaction shop_bench | gzip > $FILE", env),
                    stored=lambda: (place / "dump.gz").stat().st_size,
                ),
                Contestant(
                    name=OURS,
                    run=site.manage("dbbackup"),
                    before=lambda: empty(remote),
                    stored=lambda: bytes_below(remote),
                ),
            ],
            bench.rounds,
            [Goal(name=OURS, other=DUMP, most=0.55)],
        )
        pipe("gunzip -c $FILE > $PLAIN", env)()
        restore = race(
            "MariaDB restore",
            [
                Contestant(name=LOAD, run=pipe("mariadb $LOGIN shop_loaded < $PLAIN", env)),
                Contestant(name=SWAP, run=site.manage("dbrestore", "--noinput", "--no-safety-backup")),
                Contestant(name=CHECK, run=site.manage("verifybackups", "--level", "restore")),
            ],
            bench.rounds,
            [
                Goal(name=SWAP, other=LOAD, most=0.75),
                Goal(name=CHECK, other=SWAP, most=1.3),
                Goal(name=CHECK, other=SWAP, most=1.3, what="cpu"),
            ],
        )
        shutil.rmtree(site.home, ignore_errors=True)
        return [backup, restore]


def fill(database: dict[str, Any], megabytes: int) -> int:
    """Write rows until their text is about that long; return that in bytes."""
    rng, size = Random(7), 0
    text = Text(rng, vocabulary(rng))
    connection = connect(database)
    for statement in SCHEMA.split(";"):
        connection.execute(statement)
    start = 0
    while size < megabytes << 20:
        for table, kind in zip(TABLES, KINDS, strict=True):
            rows = [kind(text, number).rstrip("\n").split("\t") for number in range(start, start + ROWS)]
            values = ",".join(f"({','.join(map(_literal, row))})" for row in rows)
            connection.execute(f"INSERT INTO {table} VALUES {values}")
            size += len(values)
        start += ROWS
    connection.close()
    return size


def _literal(value: str) -> str:
    text = value.removesuffix("+00:00").replace("\\", "\\\\").replace("'", "''")
    return "NULL" if value == r"\N" else f"'{text}'"
