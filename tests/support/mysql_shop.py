"""A shop on MariaDB that has a trigger, a view and a procedure, for what can go wrong with its restores."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.support import databases
from tests.support.mysql import MariaDBServer
from tests.support.site import Result, Shop

OURS = "--skip-column-names"
"""An argument of the client when it carries out our own statements."""
LOADING = rf"^(?!.*{OURS})"
"""The client loads a dump."""

DEFINITIONS = (
    "CREATE TRIGGER cheap BEFORE INSERT ON shop_product FOR EACH ROW SET NEW.price = 1",
    "CREATE VIEW prices AS SELECT id, price FROM shop_product",
    "CREATE PROCEDURE sell() DELETE FROM shop_product",
)
OTHERS = (
    "DROP TRIGGER cheap",
    "CREATE TRIGGER dear BEFORE INSERT ON shop_product FOR EACH ROW SET NEW.price = 99",
    "CREATE OR REPLACE VIEW prices AS SELECT id, name FROM shop_product",
    "CREATE OR REPLACE PROCEDURE sell() SELECT 2",
    "DELETE FROM shop_orderline",
    "CREATE TABLE newer (id INT)",
)


@contextmanager
def open_shop(make_shop, server: MariaDBServer, **options: object) -> Iterator[Shop]:
    """Open a shop, see ``make_shop``; fail when anything is left on the server in the end but what is kept for undo."""
    shop = make_shop("mysql", **options)
    yield shop
    left = [name for name in server.schemas(f"{shop.name}_dra_") if not name.endswith("_kept")]
    assert left == []


def define(shop: Shop) -> None:
    """Make the trigger, the view and the procedure."""
    databases.execute(shop.settings["DATABASES"]["default"], *DEFINITIONS)


def change(shop: Shop) -> None:
    """Change so much that a restore of the shop with its definitions would be seen."""
    databases.execute(shop.settings["DATABASES"]["default"], *OTHERS)


def use_programs(shop: Shop, program: Path) -> None:
    """Use the programs beside this one."""
    options = {"default": {"BIN_DIR": str(program.parent)}}
    shop.settings["DJANGO_RCLONE"].setdefault("CONNECTOR_OPTIONS", {}).update(options)


def restore(shop: Shop, *arguments: str) -> Result:
    """Restore, and ask nobody."""
    return shop.manage("dbrestore", "--noinput", *arguments)
