"""Many runs from many processes, killed and cancelled at random: at the end nothing is held, and nothing lies."""

import hashlib
import json
import random
import shutil
import sqlite3
from collections import Counter
from collections.abc import Iterator
from contextlib import closing
from signal import SIGINT, SIGKILL, SIGTERM
from subprocess import DEVNULL, Popen, TimeoutExpired
from time import monotonic

import pytest

from django_rclone_admin.core.compression import Decompressor
from tests.support import leaks
from tests.support.databases import HISTORY
from tests.support.faults import add_noise
from tests.support.site import Shop
from tests.support.waiting import patience, wait_for

WORKER = """
import os, random, sys
from django.core.management import CommandError, call_command

seed, aliases, enough = {seed}, {aliases}, {enough!r}
chance = random.Random(seed)
while not os.path.exists(enough):
    database = chance.choice(aliases)
    name, *options = chance.choices(
        [("dbbackup",), ("dbrestore", "--noinput", "--no-safety-backup"), ("prunebackups",)], [7, 2, 1]
    )[0]
    try:
        call_command(name, *options, database=[database] if name == "dbbackup" else database, verbosity=0)
    except (CommandError, KeyboardInterrupt):
        pass
"""
"""Does one run after the other, as the commands do them, until there were enough."""

FATES = [SIGKILL, SIGTERM, SIGINT, None]
"""How a worker is ended; or else a run of somebody is cancelled by its row."""


class Soak:
    """Workers of one shop, and what happens to them."""

    def __init__(self, shop: Shop, chance: random.Random, *, runs: int, workers: int) -> None:
        self.shop, self.chance, self.runs = shop, chance, runs
        self.enough = shop.home / "enough"
        self.aliases = list(shop.settings["DATABASES"])
        self.ours = leaks.children()
        self.workers: list[Popen[bytes]] = [self.start() for _ in range(workers)]
        self.fates: Counter[str] = Counter()

    def start(self) -> Popen[bytes]:
        code = WORKER.format(
            seed=self.chance.randrange(1 << 32), aliases=self.aliases, enough=str(self.enough)
        )
        return self.shop.start("shell", "-c", code, stderr=DEVNULL)

    def go(self, timeout: float) -> None:
        """Let them work and suffer until there were enough runs; then let them end."""
        started = monotonic()
        while self.count() < self.runs:
            assert monotonic() - started < timeout * patience(), (self.count(), self.fates)
            victim = self.chance.randrange(len(self.workers))
            try:
                self.workers[victim].wait(self.chance.uniform(0.2, 1.2))
            except TimeoutExpired:
                self.meet(self.workers[victim], self.chance.choice(FATES))
            for number, worker in enumerate(self.workers):
                if worker.poll() is not None:
                    self.workers[number] = self.start()
        self.enough.touch()
        for worker in self.workers:
            self.shop.finish(worker)
        leaks.bury(leaks.children() - self.ours)

    def meet(self, worker: Popen[bytes], fate: int | None) -> None:
        self.fates[str(fate)] += 1
        if fate is not None:
            worker.send_signal(fate)
            return
        self.execute(
            f"UPDATE {HISTORY} SET cancel_requested_at = '2026-11-22 12:00:00' WHERE id ="
            f" (SELECT id FROM {HISTORY} WHERE status = 'running' ORDER BY random() LIMIT 1)"
        )

    def count(self) -> int:
        return int(self.execute(f"SELECT count(*) FROM {HISTORY}")[0][0])

    def execute(self, statement: str) -> list[tuple[object, ...]]:
        """Execute a statement, again and again while another process has locked the file, as all of them may."""

        def attempt() -> tuple[list[tuple[object, ...]]] | None:
            with closing(sqlite3.connect(self.shop.path(), timeout=5, isolation_level=None)) as connection:
                try:
                    return (connection.execute(statement).fetchall(),)
                except sqlite3.OperationalError as error:
                    if error.sqlite_errorcode & 0xFF != sqlite3.SQLITE_BUSY:
                        raise
                    return None

        (rows,) = wait_for(attempt, timeout=120)
        return rows


@pytest.mark.parametrize(
    "runs, workers, timeout",
    [
        pytest.param(30, 4, 240, id="short"),
        pytest.param(500, 8, 1800, id="long", marks=[pytest.mark.slow, pytest.mark.soak]),
    ],
)
def test_nothing_is_held_and_nothing_lies_after_random_kills(make_shop, chance, runs, workers, timeout):
    shop = make_shop("sqlite", DB_CLEANUP_KEEP=5)
    add_noise(shop, 3_000)
    for alias in ("third", "fourth", "fifth"):
        entry = dict(shop.settings["DATABASES"]["analytics"])
        entry["NAME"] = str(shop.home / f"{alias}.sqlite3")
        shutil.copyfile(shop.path("analytics"), entry["NAME"])
        shop.settings["DATABASES"][alias] = entry

    soak = Soak(shop, chance, runs=runs, workers=workers)
    soak.go(timeout)
    for alias in soak.aliases:  # the pass that sweeps
        result = shop.manage("dbbackup", "--database", alias)
        assert result.code == 0, result.err

    ends = Counter(status for (status,) in soak.execute(f"SELECT status FROM {HISTORY}"))
    print(soak.fates, ends)  # noqa: T201 (shown where a test fails)
    assert soak.execute(f"SELECT id, lock FROM {HISTORY} WHERE lock IS NOT NULL") == []
    assert set(ends) <= {"succeeded", "failed", "cancelled", "interrupted"}
    assert [name for name in shop.names() if ".partial-" in name] == []
    assert list(shop.temporary.iterdir()) == []
    for name in backups(shop):
        check(shop, name)
    listed = shop.manage("listbackups", "--json").json
    assert {each["state"] for each in listed} <= {"complete", "legacy"}
    for alias in soak.aliases:
        with closing(sqlite3.connect(shop.path(alias))) as connection:
            assert connection.execute("PRAGMA integrity_check").fetchall() == [("ok",)]


def backups(shop: Shop) -> Iterator[str]:
    return (name for name in shop.names() if not name.endswith(".manifest.json"))


def check(shop: Shop, name: str) -> None:
    """Fail unless the object is whole: by its digest, or without a manifest, which a kill may prevent, by itself."""
    assert shop.remote is not None
    content = shop.remote.read(f"db/{name}")
    if f"{name}.manifest.json" in shop.names():
        manifest = json.loads(shop.remote.read(f"db/{name}.manifest.json"))
        assert (hashlib.sha256(content).hexdigest(), len(content)) == (manifest["sha256"], manifest["size"])
        return
    stage = Decompressor()
    file = shop.home / "legacy.sqlite3"
    file.write_bytes(b"".join(stage.feed(content)) + stage.finish())
    with closing(sqlite3.connect(file)) as connection:
        assert connection.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
