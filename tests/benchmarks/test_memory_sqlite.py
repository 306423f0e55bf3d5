"""A backup and a restore of a SQLite database take memory that does not grow with it."""

import os
from datetime import UTC, datetime
from pathlib import Path

import pytest

from django_rclone_admin.connectors.sqlite.streams import Loader, Snapshot
from django_rclone_admin.core.compression import Decompressor, Meter
from django_rclone_admin.core.control import Control
from django_rclone_admin.core.publishing import Upload
from django_rclone_admin.core.transfer import CommandSource, transfer
from tests.benchmarks.sqlite_database import write_database
from tests.support.engine import local_catalog
from tests.support.memory import MEGABYTE, peak

MEGABYTES = int(os.environ.get("SQLITE_MEGABYTES", "454"))
ALLOWED = 64 * MEGABYTE


@pytest.fixture(scope="module")
def database(tmp_path_factory) -> Path:
    return write_database(tmp_path_factory.mktemp("bench") / "db.sqlite3", MEGABYTES)


def back_up(database: Path, rclone: str, folder: Path) -> str:
    upload = Upload(
        catalog=local_catalog(rclone, folder), database="default", taken_at=datetime.now(UTC), extension="sqlite3",
        compression="zstd", level=None, run="42",
    )  # fmt: skip
    name, _stored = upload.send(Snapshot(str(database)), Control())
    return name


def restore(name: str, rclone: str, folder: Path, live: Path) -> None:
    catalog = local_catalog(rclone, folder)
    source = CommandSource(catalog.rclone.download(catalog.path(name)))
    transfer(source, Loader(str(live)), stages=[Meter(), Decompressor()], control=Control())


SETUP = """
import sys
from pathlib import Path
from tests.benchmarks.test_memory_sqlite import back_up, restore
database, rclone, folder = Path(sys.argv[1]), sys.argv[2], Path(sys.argv[3])
name = back_up(database, rclone, folder / "before")
"""


@pytest.mark.parametrize(
    "work", ["back_up(database, rclone, folder)", "restore(name, rclone, folder / 'before', folder / 'live')"]
)
def test_peak(database, rclone_binary, tmp_path, work):
    small = write_database(tmp_path / "small.sqlite3", 10)
    found = {}
    for path in small, database:
        folder = tmp_path / path.name[:2]
        size, _result = peak(SETUP, f"result = str({work})", path, rclone_binary, folder)
        found[path.stat().st_size] = size
        print(
            f"\n{work.partition('(')[0]}: {path.stat().st_size / 1e6:4.0f} MB in {size / MEGABYTE:.1f} MB of memory",
            end="",
        )
    assert max(found.values()) < ALLOWED
