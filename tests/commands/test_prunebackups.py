"""``prunebackups``: it says why, and removes only what no rule keeps."""

from pathlib import Path

import pytest

from tests.support.backups import antedate
from tests.support.commands import document, done
from tests.support.faults import assert_failed, nothing_changes
from tests.support.remotes import local
from tests.support.site import Shop
from tests.support.tables import HISTORY


@pytest.fixture
def aged(make_shop) -> Shop:
    """A shop with backups of many days, each with a manifest, one pinned, one legacy, one damaged; and of analytics."""
    shop = make_shop("sqlite", backed_up=True, RETENTION={"last": 1, "monthly": 3})
    for day in "2026-08-30", "2026-09-01", "2026-09-30", "2026-10-01", "2026-10-02", "2026-10-03":
        antedate(shop, day)
    for day in "2026-08-30", "2026-10-02", "2026-10-03":
        antedate(shop, day, "analytics")
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

    # Without a name, it goes through all databases.
    decisions = {each["name"]: each["keep"] for each in document(aged, "prunebackups")}
    kept = {name for name, keep in decisions.items() if name.startswith("analytics") and keep}
    assert kept == {f"analytics-2026-{day}-000000.sqlite3.zst" for day in ("10-03", "08-30")}
    assert decisions.keys() - set(aged.names()) == {"analytics-2026-10-02-000000.sqlite3.zst"}
    assert {today[0], *(name for name, keep, _reasons in rest if keep)} <= decisions.keys()
    assert "removed  " not in done(aged, "prunebackups")


def test_prune_of_an_empty_remote(shop):
    assert document(shop, "prunebackups") == []
    assert done(shop, "prunebackups", "--dry-run") == "There are no backups.\n"


def test_prune_removes_nothing_when_the_listing_can_not_be_believed(make_shop, make_remote, tmp_path: Path):
    """With a wrong password, an encrypted remote looks empty."""
    remote = make_remote("crypt")
    shop = make_shop("sqlite", remote, DB_CLEANUP_KEEP=1)
    remote.write("db/default-2026-08-30-000000.sqlite3", b"a backup")
    stored = local(remote.root, remote.binary)
    names = stored.names()
    other = make_remote("crypt").settings["RCLONE_ENV"]
    wrong = remote.rclone("obscure", "closed-on-sundays").decode().strip()
    shop.settings["DJANGO_RCLONE"]["RCLONE_ENV"] = {
        **other,
        "RCLONE_CONFIG_SHOP_REMOTE": str(remote.root),
        "RCLONE_CONFIG_SHOP_PASSWORD": wrong,
    }
    for command in ("prunebackups",), ("listbackups",), ("dbbackup", "--clean"):
        assert_failed(shop.manage(*command), "can't be decrypted")
    assert stored.names() == names
