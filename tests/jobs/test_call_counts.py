"""How often rclone is started: each call costs 50 ms or more, and as many as that with each round trip to a slow remote.

What a call is for is in the comments. The numbers may fall; where one has to rise, say in the table what for.
"""

import time
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from django.contrib.admin.utils import quote
from django.urls import reverse

from django_rclone_admin import api
from tests.support import programs
from tests.support.backups import DAY
from tests.support.commands import document
from tests.support.site import Shop
from tests.support.waiting import wait_for

LOOK = "lsjson "
LIST = "lsjson cat "
"""The folder, and all manifests that are needed by one call."""
BACKUP = "rcat lsjson moveto rcat lsjson "
"""The upload, what arrived and which names are taken, the rename, the manifest, and a look at both."""
CHECK = "cat lsjson rcat rcat lsjson "
"""The download, the chain, the record in it, the record beside the backup, and a look at both."""
PROBE = "rcat cat moveto deletefile lsjson "

COMMANDS: list[tuple[list[str], str]] = [
    (["dbbackup"], LOOK + BACKUP),
    (["verifybackups"], LIST + CHECK),
    # One list for all. The record before is read once, and a record that is replaced is removed.
    (["verifybackups", "--all"], LIST + 2 * CHECK + "cat deletefile"),
    (["dbrestore", "--noinput", "--no-safety-backup"], LIST + "cat"),
    (["dbrestore", "--noinput"], LIST + BACKUP + "cat"),  # the list was a look already
    (["dbrestore", "--noinput", "--undo"], LIST + BACKUP + "cat"),
    (["openbackup"], LIST + "cat"),
    # Of two backups: the dump, the manifest, and the record.
    (["dbbackup", "--clean"], LOOK + BACKUP + LIST + 2 * "deletefile deletefile deletefile "),
    # The abilities of the storage, its room, its backups, and its clock.
    (["rclonedoctor"], "version " + LOOK + PROBE + "backend about lsjson lsjson"),
]
"""Commands in this order, on one shop with a backup and without media files."""


def count(shop: Shop, folder: Path, rclone: str) -> Path:
    """Have every call of rclone written down, and return the log."""
    log = folder / "calls.log"
    shop.settings["DJANGO_RCLONE"]["RCLONE_BINARY"] = str(programs.counting(folder / "counting", rclone, log))
    return log


@pytest.mark.backed_up
def test_commands(shop, tmp_path, rclone_binary):
    log = count(shop, tmp_path, rclone_binary)
    shop.settings["MEDIA_ROOT"] = ""
    found, expected = [], []
    for command, calls in COMMANDS:
        shop.settings["DJANGO_RCLONE"]["DB_CLEANUP_KEEP"] = 1 if "--clean" in command else 10
        if "--all" in command:  # two records of one second have the same name, so none would be replaced
            second = int(time.time())
            wait_for(lambda second=second: int(time.time()) > second)
        result = shop.manage(*command)
        assert result.code == (1 if command == ["rclonedoctor"] else 0), result  # it warns of the cache
        found.append((command, sorted(programs.counted(log))))
        expected.append((command, sorted(calls.split())))
    assert found == expected


@pytest.mark.backed_up
def test_check_by_a_restore_downloads_the_backup_once(shop, tmp_path, rclone_binary):
    log = count(shop, tmp_path, rclone_binary)

    [result] = document(shop, "verifybackups", shop.backup.removeprefix("db/"), "--level", "restore")

    assert result["outcome"] == "passed"
    lines = log.read_text().splitlines()
    assert len([line for line in lines if " cat " in f" {line}" and line.endswith(shop.backup)]) == 1


@pytest.mark.django_db(databases=["default", "analytics"])
def test_pages_and_short_calls(backups, admin_client, settings, tmp_path):
    settings.MEDIA_ROOT = ""
    first, second, _third = (backups.put(database=each) for each in ("default", "analytics", "former"))
    last = backups.put(DAY + timedelta(days=1))
    backups.count_calls(tmp_path)
    url = {
        name: reverse(f"admin:django_rclone_admin_backup_{name}", args=arguments)
        for name, arguments in {"changelist": [], "change": [quote(first)], "restore": []}.items()
    }
    jobs: list[tuple[str, Callable[[], Any], str]] = [
        ("the index", lambda: admin_client.get(reverse("admin:index")), ""),
        ("the list", lambda: admin_client.get(url["changelist"]), LIST),
        ("the list again", lambda: admin_client.get(url["changelist"]), ""),
        ("a backup", lambda: admin_client.get(url["change"]), ""),
        ("the confirmation of a restore", lambda: admin_client.get(f"{url['restore']}?path={first}"), LIST),
        ("the health, of all databases", lambda: (api.refresh(), api.health()), LIST + "about"),
        ("the backups", api.list_backups, LIST),
        ("their databases", api.list_databases, LOOK),
        ("the plan of a restore", lambda: api.plan_restore(first), LIST),
        ("the plan of a clean-up", lambda: api.prune("default", dry_run=True), LIST),
        ("a pin", lambda: api.pin_backup(first), LOOK + "touch"),
        ("an unpin", lambda: api.pin_backup(first, pinned=False), LOOK + "deletefile"),
        ("the records of a backup", lambda: api.list_checks(first), LOOK),
        ("a restore that waits for a worker", lambda: api.start_restore_database(last), LOOK),
        ("a check that does", lambda: api.start_verify_backup(last), LOOK),
        ("a deletion of two", lambda: api.delete_backups([first, second]), LOOK + 4 * "deletefile "),
    ]
    found, expected = [], []
    for name, work, calls in jobs:
        work()
        found.append((name, sorted(backups.calls())))
        expected.append((name, sorted(calls.split())))
    assert found == expected
