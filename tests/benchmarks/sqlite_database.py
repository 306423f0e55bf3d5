"""A SQLite database as a site has it, the same at every run: customers, orders, articles and sessions, with indexes."""

import random
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

from tests.benchmarks.sqltext import Text, vocabulary

SCHEMA = """
CREATE TABLE customer (
    id integer NOT NULL PRIMARY KEY AUTOINCREMENT, name varchar(200) NOT NULL, email varchar(254) NOT NULL UNIQUE, joined datetime NOT NULL);
CREATE TABLE "order" (
    id integer NOT NULL PRIMARY KEY AUTOINCREMENT, price decimal NOT NULL, status varchar(4) NOT NULL, moment datetime NOT NULL,
    customer_id bigint NOT NULL REFERENCES customer (id) DEFERRABLE INITIALLY DEFERRED);
CREATE TABLE article (id integer NOT NULL PRIMARY KEY AUTOINCREMENT, body text NOT NULL);
CREATE TABLE session (session_key varchar(40) NOT NULL PRIMARY KEY, session_data text NOT NULL, expire_date datetime NOT NULL);
CREATE INDEX order_customer ON "order" (customer_id);
CREATE INDEX order_moment ON "order" (moment);
CREATE INDEX session_expire_date ON session (expire_date);
"""
TABLES = {"customer": 4, '"order"': 5, "article": 2, "session": 3}
"""The number of columns of each table."""
BLOCK = 4000
"""Customers in a block, and articles, and sessions; there are four times as many orders."""


def write_database(path: Path, megabytes: int) -> Path:
    """Write rows, in all tables by turns, until the file has about that size."""
    rng = random.Random(7)
    text = Text(rng, vocabulary(rng))
    articles = [" ".join(text.some(rng.randint(20, 200))).capitalize() for _ in range(20_000)]
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        connection.executescript(
            "PRAGMA journal_mode=OFF; PRAGMA synchronous=OFF; PRAGMA cache_size=-200000;" + SCHEMA
        )
        connection.execute("BEGIN")
        for start in range(0, 1_000_000_000, BLOCK):
            for table, rows in _block(text, articles, start):
                marks = ",".join("?" * TABLES[table])
                connection.executemany(f"INSERT INTO {table} VALUES ({marks})", rows)
            (size,) = connection.execute(
                "SELECT page_count * page_size FROM pragma_page_count, pragma_page_size"
            ).fetchone()
            if size >= megabytes << 20:
                break
        connection.execute("COMMIT")
    return path


def _block(text: Text, articles: list[str], start: int) -> Iterator[tuple[str, Iterator[tuple[object, ...]]]]:
    rng, numbers = text.rng, range(start + 1, start + BLOCK + 1)
    yield "customer", ((n, rng.choice(text.names), f"user{n}@example.com", text.moment()) for n in numbers)
    yield (
        '"order"',
        (
            (
                n,
                round(rng.random() * 1000, 2),
                rng.choice(["paid", "open"]),
                text.moment(),
                rng.randint(1, start + BLOCK),
            )
            for n in range(4 * start + 1, 4 * (start + BLOCK) + 1)
        ),
    )
    yield "article", ((n, f"{n} {rng.choice(articles)}") for n in numbers)
    yield (
        "session",
        ((f"{rng.getrandbits(128):032x}", f"{rng.getrandbits(512):0128x}", text.moment()) for _n in numbers),
    )
