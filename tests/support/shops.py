"""Opens shops quickly: the first on each kind of database is migrated and filled, the others are copies of it."""

import os
import shutil
from collections.abc import Callable
from pathlib import Path
from uuid import uuid4

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

    def __init__(self, folder: Path, start_server: Callable[[str], PostgreSQLServer | MariaDBServer]) -> None:
        self.folder = folder
        self.start_server = start_server
        self.servers: dict[str, PostgreSQLServer | MariaDBServer] = {}
        self.templates: dict[str, Shop] = {}

    def open(self, home: Path, database: str) -> Shop:
        """Return a new, filled shop in the new folder ``home``."""
        if database not in self.templates:
            self.templates[database] = self._filled(database)
        template = self.templates[database]
        shutil.copytree(template.home, home)
        return self._shop(home, database, template.name)

    def clear(self, shop: Shop, database: str) -> None:
        """Stop what runs in a shop and drop its databases, with those that a restore made beside them."""
        shop.close()
        if database in self.servers:
            self.servers[database].drop_databases(shop.name)

    def _filled(self, database: str) -> Shop:
        template = self._shop(self.folder / uuid4().hex, database)
        for arguments in ("migrate",), ("migrate", "--database=analytics"), ("seedshop", *SEED):
            result = template.manage(*arguments, timeout=120)
            assert result.code == 0, result.err
        template.close()
        return template

    def _shop(self, home: Path, database: str, template: str = "") -> Shop:
        name = f"shop_{uuid4().hex[:12]}"
        path = os.environ["PATH"]
        if database == "sqlite":
            files = {alias: str(home / file) for alias, file in FILES.items()}
            entries = {
                alias: {"ENGINE": "django.db.backends.sqlite3", "NAME": file} for alias, file in files.items()
            }
            return Shop(name, home, entries, path)
        if database not in self.servers:
            self.servers[database] = self.start_server(database)
        server = self.servers[database]
        entries = {
            alias: server.create_database(
                name + suffix, template=template + suffix if template else "template0"
            )
            for alias, suffix in SUFFIXES.items()
        }
        return Shop(name, home, entries, f"{server.bin_dir}{os.pathsep}{path}")
