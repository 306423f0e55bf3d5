"""The commands as users and scripts see them: options, output, JSON documents and exit codes."""

import gzip
import json
import os
import pty
import re
import termios
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest

from tests.support import programs
from tests.support.databases import HISTORY
from tests.support.faults import add_noise, assert_failed, nothing_changes
from tests.support.programs import UPLOAD
from tests.support.site import Shop
from tests.support.waiting import wait_for

RUN_FIELDS = {
    *(
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
    ),
    *(
        "created_at",
        "started_at",
        "finished_at",
        "heartbeat_at",
        "cancel_requested_at",
        "bytes_done",
        "bytes_total",
    ),
    *("size", "raw_size", "sha256", "log", "host", "pid"),
}
BACKUP_FIELDS = {"name", "path", "kind", "database", "taken_at", "size", "state", "pinned"}
PLAN_FIELDS = {
    *(
        "name",
        "path",
        "target",
        "size",
        "age_seconds",
        "strategy",
        "safety_backup",
        "vanishing",
        "unknown_migrations",
    ),
    *("missing_migrations", "verified_at"),
}


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


def wreck(shop: Shop) -> None:
    shop.execute("DELETE FROM shop_orderline")


# -- all of them --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "values, expected",
    [
        ({"DB_CLEANUP_KEEP": 0}, "would keep no backup"),
        ({"COMPRESION": None}, "unknown key “COMPRESION”.*Did you mean “COMPRESSION”"),
        ({"COMPRESSION": "zip"}, "“COMPRESSION”. has the wrong type"),
        ({"REMOTE": ""}, "“REMOTE”. is missing"),
        ({"RETENTION": {"dayly": 1}}, "unknown rule “dayly”.*Did you mean “daily”"),
        ({"DB_FILENAME_TEMPLATE": "{datetime}.{ext}"}, "can't be parsed back"),
    ],
    ids=lambda value: next(iter(value)) if isinstance(value, dict) else "",
)
def test_wrong_settings_are_named_before_anything_is_done(shop, values, expected):
    shop.settings["DJANGO_RCLONE"] |= values
    for command in ("dbbackup",), ("dbrestore", "--noinput"), ("listbackups",), ("prunebackups",):
        assert_failed(shop.manage(*command), expected, code=2)
    assert shop.names() == []


@pytest.mark.parametrize(
    "arguments, expected",
    [
        (("dbbackup", "--database", "nope"), "There is no database “nope”"),
        (("dbbackup", "--all", "--database", "default"), "--all and --database can't be used together"),
        (("dbbackup", "--clean", "--output-path", "x"), "--output-path and --clean can't be used together"),
        (("dbbackup", "--all", "--output-path", "x"), "--output-path takes one database"),
        (("dbbackup", "--json", "--output-path", "-"), "--json can't be used"),
        (("dbbackup", "--output-path", "/dev/null/x"), "can't be written: Not a directory"),
        (("dbrestore", "--noinput", "--to", "nope"), "There is no database “nope”"),
        (("dbrestore", "--input-path", "a", "--input-file", "b"), "can't be used together"),
        (("dbrestore", "--input-file", "/dev/null/x"), "There is no file “/dev/null/x”"),
        (("dbrestore", "--input-file", "-"), "standard input needs --noinput"),
        (("dbrestore", "--noinput", "--strategy", "magic"), "The strategy “magic” is not available"),
        (("listbackups", "--media", "--database", "default"), "can't be used together"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, tuple) else "",
)
def test_wrong_usage_is_refused(shop, arguments, expected):
    done(shop, "dbbackup")
    with nothing_changes(shop):
        result = shop.manage(*arguments)
        assert (result.code, bool(re.search(expected, result.err))) == (2, True), result


def test_failure_is_a_json_document_that_keeps_its_exit_code(shop):
    for code, arguments in {
        1: ("dbrestore", "--noinput"),
        2: ("dbbackup", "--database", "nope"),
    }.items():
        result = shop.manage(*arguments, "--json")
        assert result.code == code
        assert result.json.keys() == {"error", "hint"}
        assert all(result.json.values())
    shop.settings["DJANGO_RCLONE"]["COMPRESION"] = None
    result = shop.manage("listbackups", "--json")
    assert (result.code, result.json.keys()) == (2, {"error", "hint"})


def test_verbosity_chooses_how_much_is_said(shop):
    assert done(shop, "dbbackup", "--verbosity", "0") == ""
    assert len(done(shop, "dbbackup").splitlines()) == 2
    assert "Writing the manifest" in done(shop, "dbbackup", "--verbosity", "2")


def test_traceback_is_shown_to_who_asks_for_it(shop):
    assert "Traceback" in shop.manage("dbrestore", "--noinput", "--traceback").err


# -- dbbackup -----------------------------------------------------------------------------------------------------------


def test_backup_prints_its_run_and_keeps_its_label(shop):
    run = document(shop, "dbbackup", "--label", "before the “sale” 🦀")
    assert run.keys() == RUN_FIELDS
    expected = {
        "kind": "db_backup",
        "status": "succeeded",
        "database": "default",
        "label": "before the “sale” 🦀",
        "trigger": "command",
        "hint": "",
        "cancel_requested_at": None,
    }
    assert run | expected == run
    times = [datetime.fromisoformat(run[key]) for key in ("created_at", "started_at", "finished_at")]
    assert times == sorted(times)
    assert all(time.tzinfo for time in times)
    stored = shop.remote.read(run["path"])
    assert run["size"] == len(stored)
    manifest = json.loads(shop.remote.read(f"{run['path']}.manifest.json"))
    for key in "size", "raw_size", "sha256", "label", "database", "trigger":
        assert manifest[key] == run[key], key
    assert (manifest["format"], manifest["run"], manifest["engine"]) == (1, run["id"], "sqlite")
    assert manifest["migrations"]["shop"] == ["0001_initial"]
    assert "shop_product" in manifest["tables"]
    assert HISTORY not in manifest["tables"]


def test_backup_of_several_databases_prints_a_list_of_runs(shop):
    assert [run["database"] for run in document(shop, "dbbackup", "--all")] == ["default", "analytics"]
    chosen = document(shop, "dbbackup", "-d", "analytics", "-d", "default")
    assert [run["database"] for run in chosen] == ["analytics", "default"]
    shop.settings["DJANGO_RCLONE"]["DATABASES"] = ["analytics"]
    assert document(shop, "dbbackup", "--all")["database"] == "analytics"


def test_one_database_that_fails_does_not_stop_the_others(shop):
    shop.path().write_bytes(b"not a database" * 1000)
    result = shop.manage("dbbackup", "--all")
    assert result.code == 1
    assert "Hint: " in result.err
    assert [each["database"] for each in shop.manage("listbackups", "--json").json] == ["analytics"]


def test_clean_removes_what_the_retention_does_not_keep(make_shop):
    shop = make_shop("sqlite", DB_CLEANUP_KEEP=2)
    done(shop, "dbbackup", "--all")
    for _ in range(2):
        done(shop, "dbbackup")
    assert "Removed 2 old backups" in done(shop, "dbbackup", "--clean")
    databases = [each["database"] for each in document(shop, "listbackups")]
    assert sorted(databases) == ["analytics", "default", "default"]
    assert len(shop.names()) == 6


def test_dump_goes_to_a_file_or_to_standard_output(shop, tmp_path):
    plain, compressed = tmp_path / "shop.sqlite3", tmp_path / "shop.sqlite3.gz"
    run = document(shop, "dbbackup", "--output-path", str(plain))
    assert (run["path"], run["size"]) == ("", plain.stat().st_size)
    done(shop, "dbbackup", "--output-path", str(compressed))
    piped = shop.manage("dbbackup", "--output-path", "-")
    assert (piped.code, piped.err) == (0, "")
    for content in plain.read_bytes(), gzip.decompress(compressed.read_bytes()), piped.raw:
        assert content.startswith(b"SQLite format 3\0")
    assert shop.names() == []
    assert plain.stat().st_mode & 0o077 == 0

    wanted = shop.rows()
    for source in plain, compressed:
        wreck(shop)
        done(shop, "dbrestore", "--noinput", "--input-file", str(source))
        assert shop.rows() == wanted
    wreck(shop)
    done(shop, "dbrestore", "--noinput", "--input-file", "-", input=piped.raw)
    assert shop.rows() == wanted


@contextmanager
def terminal() -> Iterator[tuple[int, bytearray]]:
    """Open a terminal; give the end for a program, and what that has shown so far."""
    theirs, ours = pty.openpty()
    termios.tcsetwinsize(ours, (25, 120))
    shown = bytearray()

    def watch() -> None:
        with suppress(OSError):  # nobody has the other end any more
            while data := os.read(theirs, 4096):
                shown.extend(data)

    watcher = threading.Thread(target=watch)
    watcher.start()
    try:
        yield ours, shown
    finally:
        os.close(ours)
        watcher.join()
        os.close(theirs)


def test_progress_is_shown_on_a_terminal(shop, tmp_path, rclone_binary):
    add_noise(shop)
    held = programs.hold_input(tmp_path / "bin", "rclone", rclone_binary, after=300_000, when=UPLOAD)
    shop.settings["DJANGO_RCLONE"]["RCLONE_BINARY"] = str(held.program)
    with terminal() as (ours, shown):
        process = shop.start("dbbackup", stderr=ours)
        held.wait()
        try:
            wait_for(lambda: b"Dumping and uploading" in shown and re.search(rb"\d+(\.\d+)?[kM]B?", shown))
        finally:
            held.release()
            result = shop.finish(process)
    assert result.code == 0
    assert result.out.startswith("default: Stored ")


# -- dbrestore ----------------------------------------------------------------------------------------------------------


def test_restore_asks_first(shop):
    done(shop, "dbbackup")
    wreck(shop)
    for answer in "n\n", "\n", "", "yep\n":
        with nothing_changes(shop):
            result = shop.manage("dbrestore", input=answer)
            assert result.code == 1
            assert "Overwrite the database “default”? [y/N]" in result.err
            assert result.err.endswith("CommandError: Cancelled.\nHint: Nothing was changed.\n")
    wrecked = shop.rows()
    done(shop, "dbrestore", input="y\n")
    assert shop.rows() != wrecked


def test_dry_run_says_what_would_happen_and_changes_nothing(shop):
    shop.execute("DELETE FROM django_migrations WHERE app = 'shop'")
    shop.execute("INSERT INTO django_migrations (app, name, applied) VALUES ('gone', '0007_x', '2026-01-01')")
    name = document(shop, "dbbackup")["path"].removeprefix("db/")
    shop.execute("CREATE TABLE newer (a)")
    with nothing_changes(shop):
        shown = done(shop, "dbrestore", "--dry-run")
        for line in (
            f"From: {name}",
            "Tables that vanish: newer",
            "Migrations that the code lacks: gone.0007_x",
            "Migrations to run afterwards: shop.0001_initial",
            "First: a safety backup",
            "Verified: never",
        ):
            assert line in shown
        plan = document(shop, "dbrestore", "--dry-run", "--no-safety-backup")
    assert plan.keys() == PLAN_FIELDS
    expected = {"name": name, "target": "default", "safety_backup": False, "vanishing": ["newer"]}
    assert plan | expected == plan
    assert 0 <= plan["age_seconds"] < 60


def test_restore_prints_its_run_and_makes_a_safety_backup(shop):
    name = document(shop, "dbbackup")["path"].removeprefix("db/")
    wreck(shop)
    run = document(shop, "dbrestore", "--noinput")
    assert run.keys() == RUN_FIELDS
    assert (run["kind"], run["status"], run["path"]) == ("db_restore", "succeeded", f"db/{name}")
    [safety] = [each for each in document(shop, "listbackups") if each["name"] != name]
    assert run["options"]["safety"] == safety["path"]
    assert json.loads(shop.remote.read(f"{safety['path']}.manifest.json"))["trigger"] == "safety"

    wanted = shop.rows()
    assert document(shop, "dbrestore", "--dry-run")["name"] == name  # not what somebody wanted to get rid of
    done(shop, "dbrestore", "--noinput", "--input-path", safety["path"], "--no-safety-backup")
    assert shop.rows() != wanted
    assert len(document(shop, "listbackups")) == 2


def test_safety_backup_can_be_turned_off_by_the_settings(make_shop):
    shop = make_shop("sqlite", SAFETY_BACKUP=False)
    done(shop, "dbbackup")
    assert "no safety backup" in done(shop, "dbrestore", "--noinput")
    assert len(document(shop, "listbackups")) == 1


def test_failed_safety_backup_ends_the_restore(shop, tmp_path, rclone_binary):
    done(shop, "dbbackup")
    wreck(shop)
    failing = programs.fail(tmp_path / "bin", "rclone", rclone_binary, message="quota exceeded", when=UPLOAD)
    shop.settings["DJANGO_RCLONE"]["RCLONE_BINARY"] = str(failing)
    with nothing_changes(shop):
        assert_failed(shop.manage("dbrestore", "--noinput"), "The remote is full: quota exceeded")


@pytest.mark.parametrize("database", ["sqlite", "postgresql"])
def test_backup_of_another_database_is_restored_only_when_it_is_said(make_shop, database):
    shop = make_shop(database)
    name = document(shop, "dbbackup")["path"].removeprefix("db/")
    wanted = shop.rows(ignore=["django_migrations"])
    with nothing_changes(shop):
        result = shop.manage("dbrestore", "--noinput", "--database", "analytics", "--input-path", name)
        assert_failed(result, f"{name} is a backup of “default”, not of “analytics”")
        assert "--to analytics" in result.err
        assert_failed(
            shop.manage("dbrestore", "--noinput", "--database", "analytics"),
            "There is no backup of “analytics”",
        )
    out = done(shop, "dbrestore", "--noinput", "--to", "analytics")
    assert "Removed a table that the backup does not know: analytics_pageview." in out
    assert shop.rows("analytics", ignore=["django_migrations"]) == wanted
    assert shop.rows(ignore=["django_migrations"]) == wanted


def test_restore_of_what_is_not_there_is_refused(shop):
    for name in "default-2020-01-01-000000.sqlite3", "../secret", "db", "":
        result = shop.manage("dbrestore", "--noinput", "--input-path", name)
        assert_failed(result, "There is no backup")


# -- listbackups --------------------------------------------------------------------------------------------------------


def test_list_of_backups(shop):
    assert done(shop, "listbackups") == "There are no backups.\n"
    runs = document(shop, "dbbackup", "--all")
    for name, content in {
        "default-2024-01-15-120000.sqlite3": b"PRAGMA x;",
        "default-2024-01-15-120000.sqlite3.keep": b"",
        "default-2024-01-16-120000.sqlite3": b"",
        "default-2024-01-17-120000.sqlite3.partial-7": b"half",
        "readme.txt": b"hello",
    }.items():
        shop.remote.write(f"db/{name}", content)

    listed = document(shop, "listbackups")
    assert all(each.keys() == BACKUP_FIELDS for each in listed)
    shown = {(each["name"], each["database"], each["state"], each["pinned"]) for each in listed}
    names = {run["database"]: run["path"].removeprefix("db/") for run in runs}
    legacy = {
        ("default-2024-01-15-120000.sqlite3", "default", "legacy", True),
        ("default-2024-01-16-120000.sqlite3", "default", "damaged", False),
    }
    assert shown == {(name, alias, "complete", False) for alias, name in names.items()} | legacy
    assert [each["taken_at"] for each in listed] == sorted(
        (each["taken_at"] for each in listed), reverse=True
    )
    assert {each["kind"] for each in listed} == {"database"}

    of_one = document(shop, "listbackups", "--database", "analytics")
    assert [each["name"] for each in of_one] == [names["analytics"]]
    more = {each["name"]: each["state"] for each in document(shop, "listbackups", "--all")}
    assert more == {name: state for name, _alias, state, _pinned in shown} | {
        "default-2024-01-17-120000.sqlite3.partial-7": "incomplete",
        "readme.txt": "foreign",
    }

    lines = done(shop, "listbackups", "--all").splitlines()
    assert len(lines) == 6
    assert re.search(
        r"2024-01-15-120000\.sqlite3 +default +2024-01-15 12:00:00 +9 bytes +legacy \(pinned\)$", lines[3]
    )


# -- prunebackups -------------------------------------------------------------------------------------------------------


@pytest.fixture
def aged(make_shop) -> Shop:
    """A shop with backups of many days, each with a manifest, one pinned, one legacy, one damaged; and of analytics."""
    shop = make_shop("sqlite", RETENTION={"last": 1, "monthly": 3})
    run = document(shop, "dbbackup")
    content, manifest = (
        shop.remote.read(run["path"]),
        json.loads(shop.remote.read(f"{run['path']}.manifest.json")),
    )
    for day in "2026-08-30", "2026-09-01", "2026-09-30", "2026-10-01", "2026-10-02", "2026-10-03":
        for alias in "default", "analytics":
            name = f"{alias}-{day}-000000.sqlite3.zst"
            dated = manifest | {"name": name, "database": alias, "taken_at": f"{day}T00:00:00+00:00"}
            shop.remote.write(f"db/{name}", content)
            shop.remote.write(f"db/{name}.manifest.json", json.dumps(dated).encode())
    shop.remote.write("db/default-2026-10-01-000000.sqlite3.zst.keep", b"")
    shop.remote.write("db/default-2026-10-02-000000.sqlite3.zst", b"cut")
    shop.remote.write("db/default-2026-09-15-000000.sqlite3", b"legacy")
    shop.remote.write("db/readme.txt", b"foreign")
    shop.remote.write("db/default-2026-09-02-000000.dump.partial-1", b"in flight")
    return shop


def test_prune_says_why_and_removes_only_what_no_rule_keeps(aged):
    with nothing_changes(aged):
        planned = document(aged, "prunebackups", "--dry-run", "--database", "default")
        shown = done(aged, "prunebackups", "--dry-run", "--database", "default")
    assert all(each.keys() == {"name", "keep", "reasons"} for each in planned)
    today, *rest = [(each["name"], each["keep"], each["reasons"]) for each in planned]
    assert today[1:] == (True, ["the newest complete backup", "one of the last", "the newest of its month"])
    assert rest == [
        ("default-2026-10-03-000000.sqlite3.zst", True, ["the newest of its month"]),
        ("default-2026-10-02-000000.sqlite3.zst", True, ["damaged: not counted, left for you to look at"]),
        ("default-2026-10-01-000000.sqlite3.zst", True, ["pinned"]),
        ("default-2026-09-30-000000.sqlite3.zst", True, ["the newest of its month"]),
        ("default-2026-09-15-000000.sqlite3", False, ["no rule keeps it"]),
        ("default-2026-09-01-000000.sqlite3.zst", False, ["no rule keeps it"]),
        ("default-2026-08-30-000000.sqlite3.zst", False, ["no rule keeps it"]),
    ]
    assert "would remove  default-2026-08-30-000000.sqlite3.zst  (no rule keeps it)" in shown

    before = aged.names()
    assert document(aged, "prunebackups", "--database", "default") == planned
    gone = [name for name, keep, _reasons in rest if not keep]
    assert set(before) - set(aged.names()) == {
        *gone,
        *(f"{name}.manifest.json" for name in gone if name.endswith(".zst")),
    }
    assert aged.execute(f"SELECT kind, status FROM {HISTORY} ORDER BY created_at")[-1] == (
        "prune",
        "succeeded",
    )


def test_prune_goes_through_all_databases(aged):
    decisions = {each["name"]: each["keep"] for each in document(aged, "prunebackups")}
    kept = {name for name, keep in decisions.items() if name.startswith("analytics") and keep}
    assert kept == {f"analytics-2026-{day}-000000.sqlite3.zst" for day in ("10-03", "09-30", "08-30")}
    assert "removed  " not in done(aged, "prunebackups")


def test_prune_of_an_empty_remote(shop):
    assert document(shop, "prunebackups") == []
    assert done(shop, "prunebackups", "--dry-run") == "There are no backups.\n"


def test_prune_removes_nothing_when_the_listing_can_not_be_believed(make_shop, make_remote, tmp_path: Path):
    """With a wrong password, an encrypted remote looks empty."""
    remote = make_remote("crypt")
    shop = make_shop("sqlite", remote, DB_CLEANUP_KEEP=1)
    for _ in range(2):
        done(shop, "dbbackup")
    names = remote.names()
    other = make_remote("crypt").settings["RCLONE_ENV"]
    wrong = remote.rclone("obscure", "closed-on-sundays").decode().strip()
    shop.settings["DJANGO_RCLONE"]["RCLONE_ENV"] = {
        **other,
        "RCLONE_CONFIG_SHOP_REMOTE": str(remote.root),
        "RCLONE_CONFIG_SHOP_PASSWORD": wrong,
    }
    for command in ("prunebackups",), ("listbackups",), ("dbbackup", "--clean"):
        assert_failed(shop.manage(*command), "can't be decrypted")
    assert remote.names() == names
