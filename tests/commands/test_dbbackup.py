"""``dbbackup``: to the remote, to a file and to standard output."""

import gzip
import json
from datetime import datetime

from tests.support.backups import antedate
from tests.support.commands import RUN_FIELDS, document, done
from tests.support.site import Shop
from tests.support.tables import HISTORY


def wreck(shop: Shop) -> None:
    shop.execute("DELETE FROM shop_orderline")


def test_backup_prints_its_run_and_keeps_its_label(shop):
    """Without arguments it is one of the default database, and of no other."""
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
    assert {each.partition("-")[0] for each in shop.names()} == {"default"}


def test_backup_of_several_databases_prints_a_list_of_runs(shop, tmp_path):
    chosen = document(shop, "dbbackup", "-d", "analytics", "-d", "default")
    assert [run["database"] for run in chosen] == ["analytics", "default"]
    shop.settings["DJANGO_RCLONE"]["DATABASES"] = ["analytics"]
    into_file = ("--output-path", str(tmp_path / "dump"))
    assert document(shop, "dbbackup", "--all", *into_file)["database"] == "analytics"


def test_one_database_that_fails_does_not_stop_the_others(shop):
    shop.path().write_bytes(b"not a database" * 1000)
    result = shop.manage("dbbackup", "--all")
    assert result.code == 1
    assert "Hint: " in result.err
    assert {name.partition("-")[0] for name in shop.names()} == {"analytics"}


def test_clean_removes_what_the_retention_does_not_keep(make_shop):
    shop = make_shop("sqlite", backed_up=True, DB_CLEANUP_KEEP=2)
    for day in "2026-09-01", "2026-09-02":
        antedate(shop, day)
    antedate(shop, "2026-09-01", "analytics")
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
    restore = ("dbrestore", "--noinput", "--no-safety-backup", "--input-file")
    for source in plain, compressed:
        wreck(shop)
        done(shop, *restore, str(source))
        assert shop.rows() == wanted
    wreck(shop)
    done(shop, *restore, "-", input=piped.raw)
    assert shop.rows() == wanted
