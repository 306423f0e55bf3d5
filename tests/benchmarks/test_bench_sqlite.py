"""A SQLite database is backed up and restored faster than its SQL text is, and in memory that does not grow with it."""

import os
import shutil
import subprocess
import time
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from statistics import median

import pytest

from django_rclone_admin.connectors.sqlite.streams import Loader, Snapshot
from django_rclone_admin.core.compression import Decompressor, Meter
from django_rclone_admin.core.control import Control
from django_rclone_admin.core.publishing import Upload
from django_rclone_admin.core.transfer import CommandSource, transfer
from tests.benchmarks.sqlite_database import write_database
from tests.support.engine import local_catalog
from tests.support.memory import MEGABYTE, peak
from tests.support.servers import missing

MEGABYTES = int(os.environ.get("SQLITE_MEGABYTES", "454"))
ROUNDS = int(os.environ.get("ROUNDS", "3"))
BACKUP, RESTORE = 0.5, 0.35
"""How long ours may take, as a part of the time of the SQL text."""
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


def shell(command: str, **paths: object) -> None:
    """Run a pipe, as another tool does."""
    environment = {name: str(path) for name, path in paths.items()} | {
        "PATH": os.environ["PATH"],
        "HOME": "/nonexistent",
    }
    subprocess.run(
        ["bash", "-o", "pipefail", "-c", command], env=environment, check=True, stderr=subprocess.DEVNULL
    )


def timed(work: Callable[[], object]) -> tuple[float, float]:
    """Return the seconds on the clock, and those of all cores, that something took."""
    before, start = os.times(), time.perf_counter()
    work()
    seconds = time.perf_counter() - start
    return seconds, sum(os.times()[:4]) - sum(before[:4])


def test_against_sql_text(database, rclone_binary, tmp_path):
    if not shutil.which("sqlite3"):
        missing("the program sqlite3 is not installed")
    live, replayed, text = tmp_path / "live", tmp_path / "replayed", tmp_path / "dump.sql"
    names: list[str] = []
    works: dict[str, Callable[[], object]] = {
        "copy of the file": lambda: shutil.copyfile(database, tmp_path / "copy"),
        "backup": lambda: names.append(back_up(database, rclone_binary, tmp_path / f"remote{len(names)}")),
        "text: backup": lambda: shell(
            "sqlite3 $database .dump | $rclone rcat $text", database=database, rclone=rclone_binary, text=text
        ),
        "restore, new": lambda: restore(names[0], rclone_binary, tmp_path / "remote0", live),
        "restore, over": lambda: restore(names[0], rclone_binary, tmp_path / "remote0", live),
        "text: restore": lambda: shell(
            "$rclone cat $text | sqlite3 $live", rclone=rclone_binary, text=text, live=replayed
        ),
    }
    found: dict[str, list[tuple[float, float]]] = {name: [] for name in works}
    for _ in range(ROUNDS):
        for path in live, replayed:
            path.unlink(missing_ok=True)
        for name, work in works.items():
            found[name].append(timed(work))
    seconds = {name: median(each[0] for each in rounds) for name, rounds in found.items()}
    print(f"\n{database.stat().st_size / 1e6:.0f} MB, median of {ROUNDS} rounds")
    for name, rounds in found.items():
        spread = f"{min(rounds)[0]:.2f}-{max(rounds)[0]:.2f}"
        print(
            f"{name:17} {seconds[name]:6.2f} s ({spread}), {median(each[1] for each in rounds):6.2f} s of processor time"
        )
    [stored] = {path.stat().st_size for path in tmp_path.glob("remote*/db/*")}
    print(f"stored: {stored / 1e6:.0f} MB, as text {text.stat().st_size / 1e6:.0f} MB")
    for name, allowed in (("backup", BACKUP), ("restore, new", RESTORE), ("restore, over", RESTORE)):
        ratio = seconds[name] / seconds[f"text: {name.split(',')[0]}"]
        print(f"{name}: {ratio:.2f} of the text, allowed {allowed}")
        assert ratio <= allowed


SETUP = """
import sys
from pathlib import Path
from tests.benchmarks.test_bench_sqlite import back_up, restore
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
