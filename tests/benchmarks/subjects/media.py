"""Many small media files of which next to none has changed, against ``rclone sync``."""

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

from tests.benchmarks.bench import Bench
from tests.benchmarks.measuring import Contestant, Goal, Result, program, race
from tests.support.remotes import PASSWORD, served
from tests.support.storage import StorageServer

OURS, SYNC = "this package", "rclone sync"
CHANGES = 10
IN_A_FOLDER = 1000


def run(bench: Bench) -> list[Result]:
    rclone = bench.environments.rclone
    with bench.place("media") as place:
        local = _race(
            bench, place / "local", bench.sizes.files, "on a local remote", 1.3, {}, str(place / "mirror")
        )
        shutil.rmtree(place / "local")
        server = StorageServer(rclone, "s3", place / "server")
        try:
            remote = served(
                "s3", server.port, "backups/ours", root=place, binary=rclone, password=PASSWORD
            ).settings
            far = _race(
                bench, place / "s3", bench.sizes.s3_files, "on S3", 0.5, remote, "shop:backups/mirror"
            )
        finally:
            server.stop()
        return [local, far]


def _race(
    bench: Bench, place: Path, count: int, where: str, most: float, remote: dict[str, Any], mirror: str
) -> Result:
    files = place / "files"
    paths = [files / f"{number // IN_A_FOLDER:03}" / f"{number:06}.jpg" for number in range(count)]
    for path in paths:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"%d" % count)
    database = {"ENGINE": "django.db.backends.sqlite3", "NAME": str(place / "db.sqlite3")}
    more = {"remote": remote["REMOTE"], "more": {"RCLONE_ENV": remote["RCLONE_ENV"]}} if remote else {}
    site = bench.site(OURS, database, f"-media{count}", media=str(files), **more)
    site.manage("migrate", "-v0")()
    sync = program(bench.environments.rclone, "sync", files, mirror, env=remote.get("RCLONE_ENV"))
    backup = site.manage("mediabackup")
    sync(), backup()
    change = _changer(paths)
    result = race(
        f"{count:,} media files {where}, {CHANGES} changes",
        [Contestant(name=SYNC, run=sync, before=change), Contestant(name=OURS, run=backup)],
        bench.rounds,
        [Goal(name=OURS, other=SYNC, most=most)],
    )
    shutil.rmtree(site.home, ignore_errors=True)
    return result


def _changer(paths: list[Path]) -> Callable[[], None]:
    """Return what writes a few files anew, spread over the folders, each time with other contents."""
    turn = 0

    def change() -> None:
        nonlocal turn
        turn += 1
        for path in paths[:: len(paths) // CHANGES]:
            path.write_bytes(b"changed" * turn)

    return change
