"""Opens shops quickly: the first on each kind of database is migrated and filled, the others are copies of it.

Most tests of what happens to a backup need one first. ``dbbackup`` makes it once, too, and the others are copies. So it
is with what several tests do to a shop before its backup.
"""

import os
import shutil
from collections.abc import Callable
from pathlib import Path
from uuid import uuid4

from tests.support.forking import ForkServer
from tests.support.mysql import MariaDBServer
from tests.support.postgresql import PostgreSQLServer
from tests.support.remotes import Remote, find_rclone
from tests.support.site import Shop
from tests.support.templates import made_once

FILES = {"default": "db.sqlite3", "analytics": "analytics.sqlite3"}
"""Name of the SQLite database by alias."""

SUFFIXES = {"default": "", "analytics": "_analytics"}
"""What follows the name of the shop in that of its database on a server, by alias."""

BACKUPS = "backups"
"""Name of the folder in a template that is its remote."""

SEED = ("--products=50", "--customers=100", "--orders=300", "--page-views=200")

Step = Callable[[Shop], object]
"""Makes the next template of the one before. It is a function of a module, and is told apart by its name."""


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

    def open(
        self, home: Path, database: str, backed_up: Remote | None = None, prepare: Step | None = None
    ) -> Shop:
        """Return a new, filled shop in the new folder ``home``.

        :param backed_up: a remote that gets a backup of the shop, whose history knows of it.
        :param prepare: what else is done to the shop, before that backup.
        """
        steps = (_fill, *([prepare] if prepare else []), *([_back_up] if backed_up else []))
        shop = self._copy(home, database, steps)
        if backed_up is not None:
            assert backed_up.kind == "local", "only the objects of a local remote can be copied"
            shutil.copytree(home / BACKUPS, backed_up.root, dirs_exist_ok=True)
            shutil.rmtree(home / BACKUPS)
            [shop.backup] = [name for name in backed_up.names("db") if not name.endswith(".json")]
        return shop

    def clear(self, shop: Shop, database: str) -> None:
        """Stop what runs in a shop and drop its databases, with those that a restore made beside them."""
        shop.close()
        if database in self.servers:
            self.servers[database].drop_databases(shop.name)

    def _copy(self, home: Path, database: str, steps: tuple[Step, ...]) -> Shop:
        """Return a copy of a template in the new folder ``home``. All processes of the run share the template."""
        if not steps:
            return self._shop(home, database)
        key = "-".join([database, *(f"{step.__module__}.{step.__qualname__}" for step in steps)])
        if key not in self.templates:

            def make() -> Path:
                template = self._copy(self.folder / _new_name(), database, steps[:-1])
                steps[-1](template)
                template.close()
                return template.home

            self.templates[key] = made_once(self.folder, key, make)
        template_home = self.templates[key]
        shutil.copytree(template_home, home)
        return self._shop(home, database, template_home.name)

    def _shop(self, home: Path, database: str, template: str = "") -> Shop:
        """Return the shop in this folder. A template is called what its folder is called."""
        name = home.name if home.parent == self.folder else _new_name()
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


def _fill(shop: Shop) -> None:
    for arguments in ("migrate",), ("migrate", "--database=analytics"), ("seedshop", *SEED):
        _succeed(shop, *arguments)


def _back_up(shop: Shop) -> None:
    shop.settings["DJANGO_RCLONE"] = {"RCLONE_BINARY": find_rclone(), "REMOTE": str(shop.home / BACKUPS)}
    _succeed(shop, "dbbackup")


def _succeed(shop: Shop, *arguments: str) -> None:
    result = shop.manage(*arguments, timeout=120)
    assert result.code == 0, result.err


def _new_name() -> str:
    return f"shop_{uuid4().hex[:12]}"
