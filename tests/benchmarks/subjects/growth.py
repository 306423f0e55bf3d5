"""How the cost grows with the database: SQLite files of several sizes."""

import shutil
from pathlib import Path

from tests.benchmarks.bench import Bench, empty
from tests.benchmarks.measuring import Contestant, Result, bytes_below, race
from tests.benchmarks.sqlite_database import write_database

OURS = "this package"


def run(bench: Bench) -> list[Result]:
    backups, restores = [], []
    with bench.place("growth") as place:
        for megabytes in bench.sizes.growth:
            file = write_database(place / f"{megabytes}.sqlite3", megabytes)
            site = bench.site(
                OURS, {"ENGINE": "django.db.backends.sqlite3", "NAME": str(file)}, f"-growth{megabytes}"
            )
            site.manage("migrate", "-v0")()
            remote = Path(site.settings["remote"])
            backups.append(
                Contestant(
                    name=f"backup of {megabytes} MB",
                    run=site.manage("dbbackup"),
                    before=lambda remote=remote: empty(remote),
                    stored=lambda remote=remote: bytes_below(remote),
                )
            )
            restores.append(
                Contestant(
                    name=f"restore of {megabytes} MB",
                    run=site.manage("dbrestore", "--noinput", "--no-safety-backup"),
                )
            )
        result = race("SQLite files of several sizes", [*backups, *restores], bench.rounds)
        for megabytes in bench.sizes.growth:
            shutil.rmtree(bench.folder / f"this-growth{megabytes}", ignore_errors=True)
    return [result]
