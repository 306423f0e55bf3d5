"""Runs commands that have to succeed, as people and as scripts run them."""

import json
from pathlib import Path
from typing import Any

from tests.support.site import Shop

RUN_FIELDS = {
    "id",
    "kind",
    "status",
    "database",
    "path",
    "label",
    "trigger",
    "requested_by",
    "options",
    "message",
    "hint",
    "created_at",
    "started_at",
    "finished_at",
    "heartbeat_at",
    "cancel_requested_at",
    "bytes_done",
    "bytes_total",
    "size",
    "raw_size",
    "sha256",
    "log",
    "host",
    "pid",
}
"""Keys of the JSON document that a run is."""


def done(shop: Shop, *arguments: str, **options: Any) -> str:
    """Run a command that has to succeed, and return its standard output."""
    result = shop.manage(*arguments, **options)
    assert result.code == 0, result.err
    return result.out


def document(shop: Shop, *arguments: str) -> Any:
    """Run a command with ``--json``, and return the document; there is nothing else on its outputs."""
    result = shop.manage(*arguments, "--json")
    assert (result.code, result.err) == (0, ""), result
    return result.json


def saved(shop: Shop, *arguments: str) -> str:
    """Back up into a file, and return the argument by which a restore reads it: neither of them calls rclone."""
    file = _saved(shop)
    done(shop, "dbbackup", f"--output-path={file}", *arguments)
    return f"--input-file={file}"


DUMP = """
import dataclasses, json
from pathlib import Path
from django_rclone_admin.connectors.registry import get_connector
from django_rclone_admin.core.control import Control
from django_rclone_admin.core.files import FileSink
from django_rclone_admin.core.transfer import transfer

connector = get_connector("default")
source = connector.source()
transfer(source, FileSink(Path({file!r})), control=Control())
print(json.dumps(dataclasses.asdict(connector.contents(source))))
"""


def dumped(shop: Shop) -> dict[str, Any]:
    """Dump into the file of ``saved``, and return what the connector tells the manifest of the contents of a backup."""
    code = DUMP.format(file=str(_saved(shop)))
    contents: dict[str, Any] = json.loads(done(shop, "shell", "--verbosity=0", "-c", code))
    return contents


def restore_saved(shop: Shop, *arguments: str) -> None:
    """Restore the last dump in the file of ``saved``."""
    done(shop, "dbrestore", "--noinput", "--no-safety-backup", f"--input-file={_saved(shop)}", *arguments)


def _saved(shop: Shop) -> Path:
    return shop.home / "saved"


def stored(shop: Shop) -> str:
    """Return the argument by which a restore reads the only backup of a shop from the folder that is its remote."""
    assert shop.remote is not None
    assert shop.remote.kind == "local"
    [backup] = [name for name in shop.remote.names("db") if not name.endswith(".json")]
    return f"--input-file={shop.remote.root / backup}"


def undo_once(shop: Shop) -> None:
    """Undo the last restore, without the safety backup by which that could be undone in turn."""
    shop.settings["DJANGO_RCLONE"]["SAFETY_BACKUP"] = False
    done(shop, "dbrestore", "--noinput", "--undo")
