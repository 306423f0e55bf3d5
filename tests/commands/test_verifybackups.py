"""``verifybackups``: what is wrong with a backup is caught on the right level, and the list, the record and the exit code say so."""

import hashlib
import json
import sqlite3
import time
from contextlib import closing
from itertools import product

import pytest

from django_rclone_admin.core.compression import Decompressor
from tests.support.backups import antedate, compressed
from tests.support.commands import document, done
from tests.support.faults import assert_failed
from tests.support.matrix import sampled
from tests.support.site import Shop
from tests.support.waiting import wait_for

ENGINES = ("sqlite", "postgresql", "mysql")


class Faulty:
    """Puts damaged copies of the good backup of a shop beside it, each with a manifest that only differs where it is told to."""

    def __init__(self, shop: Shop) -> None:
        self.shop = shop
        self.path = shop.backup
        self.good = shop.remote.read(self.path)
        self.manifest = json.loads(shop.remote.read(f"{self.path}.manifest.json"))
        self.paths: dict[str, str] = {}
        self.reasons: dict[str, str] = {}

    def put(
        self, fault: str, content: bytes, *, is_honest: bool = True, has_manifest: bool = True, **changes
    ) -> str:
        """Put a backup there.

        :param is_honest: whether the manifest has the size and the digest of these bytes.
        """
        day = len(self.paths) + 1
        extension = self.path.partition(".")[2]
        name = f"default-2026-01-{day:02}-000000.{extension}"
        self.paths[fault] = f"db/{name}"
        manifest = self.manifest | {"name": name} | changes
        if is_honest:
            manifest |= {"size": len(content), "sha256": hashlib.sha256(content).hexdigest()}
        self.shop.remote.write(f"db/{name}", content)
        if has_manifest:
            self.shop.remote.write(f"db/{name}.manifest.json", json.dumps(manifest).encode() + b"\n")
        return f"db/{name}"

    def dumped(self) -> bytes:
        """Return a dump of what the database is now."""
        result = self.shop.manage("dbbackup", "--output-path", "-")
        assert result.code == 0, result.err
        return compressed(result.raw)

    def check(self, level: str) -> dict[str, tuple[str, str]]:
        """Check all of them by one command, and return level and outcome of each."""
        names = [path.rpartition("/")[2] for path in self.paths.values()]
        result = self.shop.manage("verifybackups", *names, "--level", level, "--json", timeout=180)
        assert result.code == 1, result.err
        found = {each["path"]: each for each in result.json}
        self.reasons = {fault: found[path]["reason"] for fault, path in self.paths.items()}
        return {fault: (found[path]["level"], found[path]["outcome"]) for fault, path in self.paths.items()}


def raw(content):
    stage = Decompressor()
    return b"".join(stage.feed(content)) + stage.finish()


def empty_sqlite(tmp_path):
    with closing(sqlite3.connect(tmp_path / "empty.sqlite3")) as connection:
        connection.execute("CREATE TABLE gone (id INTEGER)")
        connection.execute("DROP TABLE gone")
        connection.commit()
    return compressed((tmp_path / "empty.sqlite3").read_bytes())


def empty(shop, database):
    """Drop every table."""
    if database == "postgresql":
        shop.execute("DROP SCHEMA public CASCADE")
        shop.execute("CREATE SCHEMA public")
        return
    tables = shop.execute("SELECT TABLE_NAME FROM information_schema.TABLES WHERE TABLE_SCHEMA = database()")
    names = ", ".join(f"`{name}`" for (name,) in tables)
    shop.execute(f"SET STATEMENT foreign_key_checks=0 FOR DROP TABLE {names}")


def states(shop):
    return {each["path"]: each["state"] for each in document(shop, "listbackups")}


@pytest.mark.parametrize(
    "database, faults",
    sampled(product(ENGINES, ["hard to see", "all"]), *product(ENGINES, ["hard to see"])),
)
def test_each_fault_is_caught_on_its_level(make_shop, database, faults, tmp_path):
    shop = make_shop(database, backed_up=True)
    faulty = Faulty(shop)
    good = faulty.good
    if database == "sqlite":  # bytes are bytes, whichever database they are of
        flipped = bytearray(good)
        flipped[len(good) // 2] ^= 1
        faulty.put("flipped byte", bytes(flipped), is_honest=False)
        if faults == "all":
            faulty.put("longer", good + b"\0", is_honest=False)
            faulty.put("cut", good[:-100], is_honest=False)
            faulty.put("cut compressed, with another manifest", good[:-20])
    faulty.put("cut, with another manifest", compressed(raw(good)[:-3000]))
    faulty.put("of another format", compressed(b"something else" * 1000))
    if "rows" in faulty.manifest:
        shop.execute("DELETE FROM shop_orderline WHERE id = 1")
        faulty.put("a row missing in one table", faulty.dumped())
    if faults == "all" or "rows" not in faulty.manifest:
        shop.execute("DROP TABLE shop_orderline")
        faulty.put("lacks a table", faulty.dumped())
    if database == "sqlite":
        faulty.put("legacy", good, has_manifest=False)
        nothing = empty_sqlite(tmp_path)
        if faults == "all":
            faulty.put("of an empty database", nothing)
        faulty.put("of an empty database, which its manifest says", nothing, tables=[], rows={}, contents={})
    elif faults == "all":
        empty(shop, database)
        faulty.put("of an empty database", faulty.dumped())
    if faults == "all":  # test_verify_opened has these
        faulty.put("good", good)

    found = faulty.check("structure")

    sound = {"good", "legacy"} & faulty.paths.keys()
    first = {"flipped byte", "cut", "longer"} & faulty.paths.keys()
    others = found.keys() - first - sound
    assert {fault for fault, result in found.items() if result == ("checksum", "failed")} == first
    assert {fault for fault, result in found.items() if result == ("structure", "passed")} == sound
    assert {fault for fault, result in found.items() if result == ("structure", "failed")} == others
    listed = states(shop)
    assert {listed[path] for fault, path in faulty.paths.items() if fault not in sound} == {"damaged"}
    assert listed[faulty.path] == "complete"
    expected = {"good": "complete", "legacy": "legacy"}
    assert {fault: listed[faulty.paths[fault]] for fault in sound}.items() <= expected.items()
    reason = "There is no manifest to compare it with."
    assert faulty.reasons.get("legacy", reason) == reason
    records = [name for name in shop.names() if ".check." in name]
    assert len([name for name in records if ".check.checksum.failed." in name]) == len(first)
    # The bytes of the others are what their manifests say, and that is proven.
    assert len([name for name in records if ".check.checksum.passed." in name]) == len(others)
    assert len([name for name in records if ".check.structure.failed." in name]) == len(others)


@pytest.mark.backed_up
def test_backup_that_failed_is_neither_latest_nor_counted(shop):
    older, newer = f"db/{antedate(shop, '2026-01-01')}", shop.backup
    content = bytearray(shop.remote.read(newer))
    content[50] ^= 1
    shop.remote.write(newer, bytes(content))

    assert_failed(shop.manage("verifybackups"), "1 of 1 backup did not pass")

    assert states(shop) == {older: "complete", newer: "damaged"}
    planned = document(shop, "prunebackups", "--dry-run", "--database", "default")
    assert {each["name"]: each["reasons"] for each in planned}[newer.removeprefix("db/")] == [
        "damaged: not counted, left for you to look at"
    ]
    assert older.removeprefix("db/") in done(shop, "dbrestore", "--dry-run")


@pytest.mark.soak
@pytest.mark.backed_up
def test_later_success_makes_it_good_again(shop):
    path = shop.backup
    content = shop.remote.read(path)
    shop.remote.write(path, content[:-1] + bytes([content[-1] ^ 1]))
    shop.manage("verifybackups")
    shop.remote.write(path, content)
    failed_at = int(time.time())
    wait_for(lambda: int(time.time()) > failed_at)  # of two checks in one second, the failed one counts

    result = shop.manage("verifybackups", path.removeprefix("db/"), "--json")

    assert (result.code, result.json[0]["outcome"]) == (0, "passed")
    assert states(shop) == {path: "complete"}


@pytest.mark.backed_up
def test_without_a_manifest_no_bytes_can_be_checked(shop):
    """Its structure can, as in the first test."""
    faulty = Faulty(shop)
    faulty.put("legacy", faulty.good, has_manifest=False)

    assert faulty.check("checksum") == {"legacy": ("checksum", "unchecked")}
    assert states(shop)[faulty.paths["legacy"]] == "legacy"


@pytest.mark.backed_up
def test_database_that_is_not_configured_is_checked_by_its_bytes_alone(shop):
    path = shop.backup
    del shop.settings["DATABASES"]["default"]
    shop.settings["DATABASES"]["default"] = shop.settings["DATABASES"]["analytics"]
    for end in "", ".manifest.json":
        other = path.replace("default", "former") + end
        shop.remote.write(other, shop.remote.read(path + end).replace(b'"default', b'"former'))

    result = shop.manage("verifybackups", "-d", "former", "--json")

    assert result.code == 1
    assert [(each["level"], each["outcome"]) for each in result.json] == [("structure", "unchecked")]
    assert ".check.checksum.passed." in " ".join(shop.names())
    assert states(shop)[path.replace("default", "former")] == "complete"


def test_missing_program_is_no_fault_of_the_backup(make_shop, tmp_path):
    shop = make_shop("postgresql", backed_up=True)
    path = shop.backup

    result = shop.manage("verifybackups", env={"PATH": str(tmp_path)})

    assert result.code == 1
    assert "pg_restore" in result.out + result.err
    assert states(shop) == {path: "complete"}
    assert ".check.structure.unchecked." in " ".join(shop.names())


@pytest.mark.backed_up
def test_remote_that_does_not_answer_proves_nothing(shop):
    path = shop.backup
    before = shop.names()
    shop.settings["DJANGO_RCLONE"]["RCLONE_FLAGS"] = ["--bwlimit=not a number"]

    assert shop.manage("verifybackups", path.removeprefix("db/")).code in (1, 2)

    assert shop.names() == before


def test_usage(shop):
    assert_failed(shop.manage("verifybackups"), "There is no backup to check.")
    done(shop, "verifybackups", "--due")  # nothing is due where there is nothing
    shop.remote.write("db/default-2026-01-15-120000.sqlite3", b"PRAGMA x;")
    assert shop.manage("verifybackups", "--level", "everything").code == 2
    assert_failed(shop.manage("verifybackups", "--all", "--due"), "can't be used together", code=2)
    assert_failed(shop.manage("verifybackups", "--database", "nobody"), "There is no database", code=2)
    assert_failed(shop.manage("verifybackups", "nothing.dump"), "There is no backup")


@pytest.mark.backed_up
def test_due_takes_what_was_not_proven_and_nothing_twice(shop):
    paths = [f"db/{antedate(shop, '2026-01-01')}", shop.backup]
    due = ("verifybackups", "--due", "--level", "checksum")

    first = document(shop, *due, "--limit", "1")
    second = document(shop, *due)

    assert [[each["path"] for each in found] for found in (first, second)] == [[paths[1]], [paths[0]]]
    assert document(shop, *due) == []
    assert len(document(shop, *due, "--within", "-1", "--limit", "1")) == 1
