"""Opens shops quickly: the first on each kind of database is migrated and filled, the others are copies of it."""

import fcntl
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from uuid import uuid4

from tests.support.forking import ForkServer
from tests.support.mysql import MariaDBServer
from tests.support.postgresql import PostgreSQLServer
from tests.support.site import Shop

FILES = {"default": "db.sqlite3", "analytics": "analytics.sqlite3"}
"""Name of the SQLite database by alias."""

SUFFIXES = {"default": "", "analytics": "_analytics"}
"""What follows the name of the shop in that of its database on a server, by alias."""

SEED = ("--products=50", "--customers=100", "--orders=300", "--page-views=200")


class Shops:
    """Keeps one filled shop for each kind of database: ``sqlite``, or what ``start_server`` knows by that name."""

    def __init__(
        self,
        folder: Path,
        start_server: Callable[[str], PostgreSQLServer | MariaDBServer],
        fork_server: ForkServer | None,
    ) -> None:
        self.folder = folder
        self.fork_server = fork_server
        self.start_server = start_server
        self.servers: dict[str, PostgreSQLServer | MariaDBServer] = {}
        self.templates: dict[str, Path] = {}

    def open(self, home: Path, database: str) -> Shop:
        """Return a new, filled shop in the new folder ``home``."""
        if database not in self.templates:
            self.templates[database] = self._template(database)
        template = self.templates[database]
        shutil.copytree(template, home)
        return self._shop(home, database, template.name)

    def clear(self, shop: Shop, database: str) -> None:
        """Stop what runs in a shop and drop its databases, with those that a restore made beside them."""
        shop.close()
        if database in self.servers:
            self.servers[database].drop_databases(shop.name)

    def _template(self, database: str) -> Path:
        """Return the home of the template, whose name is also that of the shop. All processes of the run share it."""
        found = self.folder / f"{database}.template"
        with (self.folder / f"{database}.lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)  # until the file is closed, or this process is gone
            if not found.exists():
                template = self._filled(database)
                found.symlink_to(template)
        return found.resolve()

    def _filled(self, database: str) -> Path:
        name = _new_name()
        template = self._shop(self.folder / name, database, name=name)
        for arguments in ("migrate",), ("migrate", "--database=analytics"), ("seedshop", *SEED):
            result = template.manage(*arguments, timeout=120)
            assert result.code == 0, result.err
        template.close()
        return template.home

    def _shop(self, home: Path, database: str, template: str = "", name: str = "") -> Shop:
        name = name or _new_name()
        path = os.environ["PATH"]
        if database == "sqlite":
            files = {alias: str(home / file) for alias, file in FILES.items()}
            entries = {
                alias: {"ENGINE": "django.db.backends.sqlite3", "NAME": file} for alias, file in files.items()
            }
            return Shop(name, home, entries, path, self.fork_server)
        if database not in self.servers:
            self.servers[database] = self.start_server(database)
        server = self.servers[database]
        entries = {
            alias: server.create_database(
                name + suffix, template=template + suffix if template else "template0"
            )
            for alias, suffix in SUFFIXES.items()
        }
        return Shop(name, home, entries, f"{server.bin_dir}{os.pathsep}{path}", self.fork_server)


def _new_name() -> str:
    return f"shop_{uuid4().hex[:12]}"
