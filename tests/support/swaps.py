"""A shop whose restores swap databases, and a look at what they leave on the server."""

from contextlib import closing
from typing import Any

from tests.support import databases, tables
from tests.support.postgresql import connect
from tests.support.site import Shop

SWAP = ("dbrestore", "--noinput", "--no-safety-backup", "--strategy=swap")


def beside(shop: Shop, mark: str = "") -> list[str]:
    """Return the databases that restores made beside the live one: ``kept``, ``new``, or all of them."""
    live = shop.settings["DATABASES"]["default"]["NAME"]
    with closing(connect(shop.settings["DATABASES"]["default"])) as connection:
        found = connection.execute(
            "SELECT datname FROM pg_database WHERE starts_with(datname, %s) ORDER BY 1",
            [f"{live}_dra_{mark}"],
        ).fetchall()
    return [name for (name,) in found]


def rows_of(shop: Shop, database: str) -> databases.Rows:
    """Return every row of another database of the shop's server."""
    return databases.rows(shop.settings["DATABASES"]["default"] | {"NAME": database})


def history(shop: Shop) -> list[dict[str, Any]]:
    """Return all runs, the oldest first, with what matters of them."""
    names = ("id", "kind", "status", "lock", "path", "message", "log", "options", "bytes_done", "trigger")
    found = shop.execute(f"SELECT {', '.join(names)} FROM {tables.HISTORY} ORDER BY created_at")
    return [dict(zip(names, row, strict=True)) for row in found]
