"""SQLite: one file, backed up and restored by each package, against a copy and against its SQL text."""

import shutil
from pathlib import Path

from tests.benchmarks.bench import Bench, empty
from tests.benchmarks.measuring import Contestant, Goal, Result, bytes_below, pipe, program, race
from tests.benchmarks.sqlite_database import write_database

OURS, PEER, OTHER = "this package", "django-rclone 0.4.0", "django-dbbackup 5.4.0"
CHECK = "this package, check by a restore"
COPY, TEXT = "limit: a copy of the file", "SQL text through pipes"


def run(bench: Bench) -> list[Result]:
    with bench.place("sqlite") as place:
        file = write_database(place / "db.sqlite3", bench.sizes.megabytes)
        database = {"ENGINE": "django.db.backends.sqlite3", "NAME": str(file)}
        sites = {name: bench.site(name, database, "-sqlite") for name in (OURS, PEER, OTHER)}
        sites[OURS].manage("migrate", "-v0")()
        text, live = place / "text.sql", place / "live.sqlite3"
        paths = {"FILE": str(file), "TEXT": str(text), "LIVE": str(live), "RCLONE": bench.environments.rclone}
        remotes = {name: Path(site.settings["remote"]) for name, site in sites.items()}
        backups = [
            Contestant(name=COPY, run=program("cp", file, place / "copy"), stored=file_size(place / "copy")),
            Contestant(
                name=TEXT, run=pipe("sqlite3 $FILE .dump | $RCLONE rcat $TEXT", paths), stored=file_size(text)
            ),
            *(
                Contestant(
                    name=name,
                    run=site.manage("dbbackup"),
                    before=lambda name=name: empty(remotes[name]),
                    stored=lambda name=name: bytes_below(remotes[name]),
                )
                for name, site in sites.items()
            ),
        ]
        backup = race(
            f"SQLite backup, {file.stat().st_size / 1e6:.0f} MB",
            backups,
            bench.rounds,
            [Goal(name=OURS, other=PEER, most=0.5), Goal(name=OURS, other=OTHER, most=1.0)],
        )
        restore = race(
            "SQLite restore",
            [
                Contestant(
                    name=TEXT,
                    run=pipe("$RCLONE cat $TEXT | sqlite3 $LIVE", paths),
                    before=lambda: live.unlink(missing_ok=True),
                ),
                Contestant(name=OURS, run=sites[OURS].manage("dbrestore", "--noinput", "--no-safety-backup")),
                Contestant(name=CHECK, run=sites[OURS].manage("verifybackups", "--level", "restore")),
                Contestant(name=OTHER, run=sites[OTHER].manage("dbrestore", "--noinput")),
            ],
            bench.rounds,
            [Goal(name=OURS, other=TEXT, most=0.35)],
        )
        for site in sites.values():
            shutil.rmtree(site.home, ignore_errors=True)
        return [backup, restore]


def file_size(path: Path):
    return lambda: path.stat().st_size
