"""PostgreSQL: one database, backed up and restored by each package, against the programs themselves."""

import shutil
from collections.abc import Iterator
from pathlib import Path
from random import Random
from typing import Any

from tests.benchmarks.bench import Bench, empty
from tests.benchmarks.measuring import Contestant, Goal, Result, bytes_below, pipe, race
from tests.benchmarks.sqltext import KINDS, Text, vocabulary
from tests.support.postgresql import PostgreSQLServer, connect, system_binaries

OURS, PEER, OTHER = "this package", "django-rclone 0.4.0", "django-dbbackup 5.4.0"
LIMIT, PIPE = "limit: pg_dump -Fc -Z0 to nothing", "pg_dump -Fc -Z0, zstd -1, rclone rcat"
SINGLE, IN_PLACE, SWAP = "pg_restore --single-transaction", "this package, in place", "this package, swap"
CHECK = "this package, check by a restore"
ROWS = 1000
"""Rows of each table that are made together."""
SCHEMA = """
CREATE TABLE customer (id bigint, name text, email text, street text, joined timestamp);
CREATE TABLE orders (id bigint, customer_id bigint, price numeric(10, 2), status text, paid boolean, note text, moment timestamp);
CREATE TABLE article (id bigint, body text);
CREATE TABLE session (key text, details jsonb, digest text);
"""
INDEXES = """
ALTER TABLE customer ADD PRIMARY KEY (id);
ALTER TABLE orders ADD PRIMARY KEY (id);
ALTER TABLE article ADD PRIMARY KEY (id);
ALTER TABLE session ADD PRIMARY KEY (key);
CREATE INDEX ON orders (customer_id);
CREATE INDEX ON orders (moment);
CREATE INDEX ON customer (email);
ANALYZE;
"""
TABLES = ("customer", "orders", "article", "session")


def run(bench: Bench) -> list[Result]:
    programs = system_binaries()
    if programs is None:
        return []
    with PostgreSQLServer.started(programs, on_disk=True) as server, bench.place("postgresql") as place:
        database = server.create_database("bench")
        size = fill(database, bench.sizes.megabytes)
        sites = {name: bench.site(name, database, "-postgresql") for name in (OURS, PEER, OTHER)}
        sites[OURS].manage("migrate", "-v0")()
        return [_backup(bench, sites, place, database, size), _restore(bench, sites, place, database)]


def _backup(bench: Bench, sites: dict[str, Any], place: Path, database: dict[str, Any], size: int) -> Result:
    remotes = {name: Path(site.settings["remote"]) for name, site in sites.items()}
    env = _variables(database) | {"RCLONE": bench.environments.rclone, "TARGET": str(place / "piped")}
    contestants = [
        Contestant(name=LIMIT, run=pipe("pg_dump -Fc -Z0 | cat >/dev/null", env)),
        Contestant(
            name=PIPE,
            run=pipe("pg_dump -Fc -Z0 | zstd -1 -q | $RCLONE rcat $TARGET", env),
            stored=lambda: (place / "piped").stat().st_size,
        ),
        *(
            Contestant(
                name=name,
                run=site.manage("dbbackup"),
                before=lambda name=name: empty(remotes[name]),
                stored=lambda name=name: bytes_below(remotes[name]),
            )
            for name, site in sites.items()
        ),
    ]
    goals = [
        Goal(name=OURS, other=PEER, most=0.27),
        Goal(name=OURS, other=LIMIT, most=1.5),
        Goal(name=OURS, other=PEER, most=1.0, what="stored"),
    ]
    return race(f"PostgreSQL backup, {size / 1e6:.0f} MB", contestants, bench.rounds, goals)


def _restore(bench: Bench, sites: dict[str, Any], place: Path, database: dict[str, Any]) -> Result:
    env = _variables(database) | {"DUMP": str(place / "dump")}
    pipe("pg_dump -Fc -Z0 -f $DUMP", env)()
    ours = sites[OURS]
    contestants = [
        Contestant(
            name=SINGLE,
            run=pipe(
                "pg_restore --single-transaction --clean --if-exists --no-owner -d $PGDATABASE $DUMP", env
            ),
        ),
        Contestant(
            name=IN_PLACE,
            run=ours.manage("dbrestore", "--noinput", "--no-safety-backup", "--strategy", "in_place"),
        ),
        Contestant(
            name=SWAP, run=ours.manage("dbrestore", "--noinput", "--no-safety-backup", "--strategy", "swap")
        ),
        Contestant(name=CHECK, run=ours.manage("verifybackups", "--level", "restore")),
        *(Contestant(name=name, run=sites[name].manage("dbrestore", "--noinput")) for name in (PEER, OTHER)),
    ]
    goals = [
        Goal(name=IN_PLACE, other=SINGLE, most=1.05),
        Goal(name=SWAP, other=SINGLE, most=0.9),
        Goal(name=CHECK, other=SWAP, most=1.3),
        Goal(name=CHECK, other=SWAP, most=1.3, what="cpu"),
    ]
    result = race("PostgreSQL restore", contestants, bench.rounds, goals)
    for site in sites.values():
        shutil.rmtree(site.home, ignore_errors=True)
    return result


def _variables(database: dict[str, Any]) -> dict[str, str]:
    """Return how the client programs find a database."""
    names = {
        "PGHOST": "HOST",
        "PGPORT": "PORT",
        "PGUSER": "USER",
        "PGPASSWORD": "PASSWORD",
        "PGDATABASE": "NAME",
    }
    return {name: str(database[key]) for name, key in names.items()}


def fill(database: dict[str, Any], megabytes: int) -> int:
    """Write rows until the database has about that size; return its size in bytes."""
    rng = Random(7)
    text = Text(rng, vocabulary(rng))
    with connect(database) as connection:
        connection.execute(SCHEMA)
        numbers: Iterator[int] = iter(range(0, 1_000_000_000, ROWS))
        while _size(connection) < megabytes << 20:
            start = next(numbers)
            for table, kind in zip(TABLES, KINDS, strict=True):
                with connection.cursor().copy(f"COPY {table} FROM STDIN") as copy:
                    copy.write("".join(kind(text, number) for number in range(start, start + ROWS)))
        connection.execute(INDEXES)
        return _size(connection)


def _size(connection: Any) -> int:
    size: int = connection.execute("SELECT pg_database_size(current_database())").fetchone()[0]
    return size
