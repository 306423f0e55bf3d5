"""The names of database engines, as people call them."""

from __future__ import annotations

NAMES = {
    "postgresql": "PostgreSQL",
    "mysql": "MySQL",
    "mariadb": "MariaDB",
    "sqlite": "SQLite",
    "mongodb": "MongoDB",
}
FIRST_OF_MARIADB = 10
"""The first major version of MariaDB after it left MySQL's version numbers; MySQL has not reached it."""


def engine_name(engine: str, server_version: str = "") -> str:
    """Return the display name of an engine in a manifest. MariaDB uses the same one as MySQL; the version tells which.

    :param server_version: such as ``10.11.6`` or ``8.4.0``.
    """
    major = server_version.partition(".")[0]
    if engine == "mysql" and (
        "mariadb" in server_version.lower() or (major.isdigit() and int(major) >= FIRST_OF_MARIADB)
    ):
        engine = "mariadb"
    return NAMES.get(engine, engine)
