"""SQLite databases for tests of the engine: made of statements, dumped, loaded, and compared."""

import io
import sqlite3
import sys
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

from django_rclone_admin.connectors.sqlite.streams import MAGIC, Loader, Snapshot
from django_rclone_admin.core.files import FileSource, StreamSink
from django_rclone_admin.core.transfer import transfer

PYTHON = sys.executable if hasattr(sqlite3.Connection, "enable_load_extension") else "/usr/bin/python3"
"""A Python whose sqlite3 can load extensions. Not every one can, so it need not be ours."""


@contextmanager
def connected(path: Path) -> Iterator[sqlite3.Connection]:
    """Connect in autocommit mode, with text as bytes, which need not be valid."""
    with closing(sqlite3.connect(path, isolation_level=None, timeout=5)) as connection:
        connection.text_factory = bytes
        yield connection


def execute(path: Path, *statements: str) -> Path:
    """Execute statements on a database file, which need not exist."""
    with connected(path) as connection:
        for statement in statements:
            connection.execute(statement)
    return path


def query(path: Path, statement: str) -> list[Any]:
    """Return the rows of a query."""
    with connected(path) as connection:
        return connection.execute(statement).fetchall()


def contents(path: Path) -> dict[Any, Any]:
    """Return everything that a database holds: its schema, and the rows of its tables with the types of their values."""
    with connected(path) as connection:
        schema = connection.execute("SELECT type, name, tbl_name, sql FROM sqlite_master").fetchall()
        found: dict[Any, Any] = {"schema": sorted(schema, key=repr)}
        for kind, name, *_ in schema:
            if kind == b"table":
                table = '"' + name.decode().replace('"', '""') + '"'
                columns = [
                    f'"{row[1].decode()}"' for row in connection.execute(f"PRAGMA table_info({table})")
                ]
                typed = ", ".join(f"{column}, typeof({column}), hex({column})" for column in columns)
                found[name] = sorted(connection.execute(f"SELECT {typed} FROM {table}"), key=repr)
    return found


def dump(path: Path | str, source: type[Snapshot] = Snapshot, **options: Any) -> bytes:
    """Return what a source gives."""
    stream = io.BytesIO()
    transfer(source(str(path), **options), StreamSink(stream))
    return stream.getvalue()


def load(path: Path | str, data: bytes, **options: Any) -> Loader:
    """Load what a source gave."""
    loader = Loader(str(path), is_text=not data.startswith(MAGIC), **options)
    transfer(FileSource(io.BytesIO(data)), loader)
    return loader
