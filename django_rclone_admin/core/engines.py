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
"""The first major version of MariaDB under a number of its own; MySQL has not come so far."""


def engine_name(engine: str, server_version: str = "") -> str:
    """Return the name of an engine by its name in manifests. MariaDB shares that with MySQL; the version tells them apart.

    :param server_version: such as ``10.11.6`` or ``8.4.0``.
    """
    major = server_version.partition(".")[0]
    if engine == "mysql" and (
        "mariadb" in server_version.lower() or (major.isdigit() and int(major) >= FIRST_OF_MARIADB)
    ):
        engine = "mariadb"
    return NAMES.get(engine, engine)
