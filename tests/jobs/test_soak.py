"""Many runs from many processes on hosts with different clocks, killed, frozen and cancelled at random.

At the end nothing is locked, the outcome of every run is true, and each database is what its last restore brought.
"""

import hashlib
import json
import random
import shutil
import sqlite3
from collections import Counter
from collections.abc import Iterator
from contextlib import closing
from math import inf
from pathlib import Path
from signal import SIGCONT, SIGINT, SIGKILL, SIGSTOP, SIGTERM
from subprocess import DEVNULL, Popen, TimeoutExpired
from time import monotonic

import pytest

from django_rclone_admin.core.compression import Decompressor
from tests.support import leaks
from tests.support.clocks import host
from tests.support.faults import add_noise
from tests.support.site import Shop
from tests.support.tables import HISTORY
from tests.support.waiting import patience, wait_for

WORKER = """
import os, pathlib, random, sys, time
from django.conf import settings
from django.core.management import CommandError, call_command

seed, states, enough = {seed}, {states!r}, {enough!r}
chance = random.Random(seed)
while not os.path.exists(enough):
    database = chance.choice(list(states))
    name = chance.choices(["dbbackup", "dbrestore", "prunebackups", "mediabackup"], [5, 4, 1, 2])[0]
    options = dict(
        dbbackup=dict(database=[database]),
        dbrestore=dict(
            database=database,
            input_path=chance.choice(list(states[database])),
            interactive=False,
            no_safety_backup=True,
        ),
        prunebackups=dict(database=database),
        mediabackup=dict(),
    )[name]
    if name == "mediabackup":
        file = pathlib.Path(settings.MEDIA_ROOT, chance.choice("abc"))
        file.write_bytes(bytes(chance.randrange(1000)))
    try:
        call_command(name, **options, verbosity=0)
    except (CommandError, KeyboardInterrupt):
        time.sleep(0.5)  # the other may be frozen, with the lock
"""
"""Does one run after the other, as the commands do them, until there were enough."""

STALE_AFTER = 4
FATES = [SIGKILL, SIGTERM, SIGINT, SIGSTOP, SIGSTOP, None]
"""How a worker is ended, or frozen for longer than ``STALE_AFTER``; or else a run of somebody is cancelled by its row."""
CLOCKS = ["", "", "+2m", "-2m"]
"""How wrong the clocks of the hosts are."""


class Soak:
    """Workers of one shop, and what happens to them."""

    def __init__(
        self,
        shop: Shop,
        chance: random.Random,
        states: dict[str, dict[str, int]],
        *,
        runs: int,
        workers: int,
    ) -> None:
        self.shop, self.chance = shop, chance
        self.frozen: dict[Popen[bytes], float] = {}
        self.runs = runs + self.count()
        self.enough = shop.home / "enough"
        self.states = states
        self.ours = leaks.children()
        self.workers: list[Popen[bytes]] = [self.start() for _ in range(workers)]
        self.fates: Counter[str] = Counter()

    def start(self) -> Popen[bytes]:
        code = WORKER.format(seed=self.chance.randrange(1 << 32), states=self.states, enough=str(self.enough))
        offset = self.chance.choice(CLOCKS)
        return self.shop.start("shell", "-c", code, stderr=DEVNULL, env=host(offset) if offset else {})

    def go(self, timeout: float) -> None:
        """Let them work and suffer until there were enough runs; then let them end."""
        started = monotonic()
        while self.count() < self.runs:
            assert monotonic() - started < timeout * patience(), (self.count(), self.fates)
            victim = self.chance.randrange(len(self.workers))
            try:
                self.workers[victim].wait(self.chance.uniform(0.2, 2))
            except TimeoutExpired:
                if self.workers[victim] not in self.frozen:
                    self.meet(self.workers[victim], self.chance.choice(FATES))
            self.thaw(monotonic())
            for number, worker in enumerate(self.workers):
                if worker.poll() is not None:
                    self.workers[number] = self.start()
        self.enough.touch()
        self.thaw(inf)
        for worker in self.workers:
            self.shop.finish(worker)
        leaks.bury(leaks.children() - self.ours)

    def meet(self, worker: Popen[bytes], fate: int | None) -> None:
        self.fates[str(fate)] += 1
        if fate == SIGSTOP:
            self.frozen[worker] = monotonic() + self.chance.uniform(STALE_AFTER, 2 * STALE_AFTER)
        if fate is not None:
            worker.send_signal(fate)
            return
        self.execute(
            f"UPDATE {HISTORY} SET cancel_requested_at = '2026-11-22 12:00:00' WHERE id ="
            f" (SELECT id FROM {HISTORY} WHERE status = 'running' ORDER BY random() LIMIT 1)"
        )

    def thaw(self, now: float) -> None:
        """Wake those that were frozen for long enough."""
        for worker in [each for each, until in self.frozen.items() if until < now]:
            worker.send_signal(SIGCONT)
            del self.frozen[worker]

    def count(self) -> int:
        return int(self.execute(f"SELECT count(*) FROM {HISTORY}")[0][0])

    def execute(self, statement: str) -> list[tuple[object, ...]]:
        """Execute a statement, again and again while another process has locked the file, as all of them may."""

        def attempt() -> tuple[list[tuple[object, ...]]] | None:
            self.thaw(monotonic())  # it may be a frozen one that has locked the file
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
    "runs, workers, more, timeout",
    [
        pytest.param(4, 2, (), 240, id="short"),
        pytest.param(
            500, 8, ("third", "fourth"), 1800, id="long", marks=[pytest.mark.slow, pytest.mark.soak]
        ),
    ],
)
def test_nothing_is_locked_and_nothing_lies_after_random_kills(
    make_shop, chance, runs, workers, more, timeout
):
    shop = make_shop("sqlite", DB_CLEANUP_KEEP=5, STALE_AFTER=STALE_AFTER)
    media = shop.home / "media"
    media.mkdir(exist_ok=True)
    add_noise(shop, 3_000)
    for alias in more:
        entry = dict(shop.settings["DATABASES"]["analytics"])
        entry["NAME"] = str(shop.home / f"{alias}.sqlite3")
        shutil.copyfile(shop.path("analytics"), entry["NAME"])
        shop.settings["DATABASES"][alias] = entry
    aliases = shop.settings["DATABASES"] if more else ["default"]
    states = {alias: make_states(shop, alias, 3 if more else 2) for alias in aliases}

    soak = Soak(shop, chance, states, runs=runs, workers=workers)
    soak.go(timeout)
    ends = Counter(status for (status,) in soak.execute(f"SELECT status FROM {HISTORY}"))
    print(soak.fates, ends)  # noqa: T201 (shown where a test fails)
    for alias in states:  # the pass that closes and sweeps
        wait_for(lambda alias=alias: shop.manage("dbbackup", "--database", alias).code == 0, 60)
    wait_for(lambda: shop.manage("mediabackup").code == 0, 60)

    assert soak.execute(f"SELECT id, lock FROM {HISTORY} WHERE lock IS NOT NULL") == []
    ends = Counter(status for (status,) in soak.execute(f"SELECT status FROM {HISTORY}"))
    assert set(ends) <= {"succeeded", "failed", "cancelled", "interrupted"}
    assert [name for name in shop.names() if ".partial-" in name] == []
    assert list(shop.temporary.rglob("*")) == []
    for name in backups(shop):
        check(shop, name)
    listed = shop.manage("listbackups", "--json").json
    assert {each["state"] for each in listed} <= {"complete", "legacy"}
    for alias in states:
        with closing(sqlite3.connect(shop.path(alias))) as connection:
            assert connection.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
        assert marker(shop, alias) in possible(soak, alias)
    files = contents(media)
    shutil.rmtree(media)
    assert shop.manage("mediarestore", "--noinput").code == 0
    assert contents(media) == files


def contents(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def make_states(shop: Shop, alias: str, count: int) -> dict[str, int]:
    """Back a database up in so many states, pin these backups, and return what its marker was in each."""
    shop.execute("CREATE TABLE marker (value integer)", alias)
    shop.execute("INSERT INTO marker VALUES (0)", alias)
    states = {}
    for value in range(1, count + 1):
        shop.execute(f"UPDATE marker SET value = {value}", alias)
        result = shop.manage("dbbackup", "--database", alias, "--json")
        assert result.code == 0, result.err
        path = result.json["path"]
        assert shop.remote is not None
        shop.remote.write(f"{path}.keep", b"")
        states[path.removeprefix("db/")] = value
    return states


def marker(shop: Shop, alias: str) -> int:
    [(value,)] = shop.execute("SELECT value FROM marker", alias)
    return int(value)


def possible(soak: Soak, alias: str) -> set[int]:
    """Return what the marker of a database may be, by what the runs say: the last restore that succeeded is in.

    One that was killed after it may be in, too, if it says that nobody knows; all others say that they are not.
    """
    query = f"SELECT status, path, options FROM {HISTORY} WHERE kind = 'db_restore' AND database = '{alias}'"
    found = set()
    for status, path, options in soak.execute(f"{query} AND number IS NOT NULL ORDER BY number DESC"):
        is_unfinished = json.loads(str(options)).get("unfinished", False)
        if status == "succeeded" or is_unfinished:
            found.add(soak.states[alias][str(path).removeprefix("db/")])
        if status == "succeeded":
            return found
    return found | {max(soak.states[alias].values())}


def backups(shop: Shop) -> Iterator[str]:
    return (name for name in shop.names() if not name.endswith((".manifest.json", ".keep")))


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
