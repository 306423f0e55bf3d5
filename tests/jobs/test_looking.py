"""What pages do when somebody looks: they close stale runs if they can, and list what other processes have made."""

from pathlib import Path
from subprocess import PIPE

import pytest

from tests.support import web
from tests.support.databases import connection
from tests.support.site import Shop
from tests.support.tables import HISTORY
from tests.support.waiting import wait_for
from tests.support.web import Member, SiteServer

pytestmark = pytest.mark.slow

BACKUPS = "/admin/django_rclone_admin/backup/"

LOOK = """
import sys
from django.contrib.auth.models import User
from django.test import Client
client = Client(SERVER_NAME="localhost", raise_request_exception=False)
client.force_login(User.objects.create_superuser("looker"))
print("ready", flush=True)
sys.stdin.readline()
for page in ("backup/", "backup/health/", "backuprun/"):
    print(client.get("/admin/django_rclone_admin/" + page).status_code)
"""
"""Looks at the pages that close stale runs."""


def add_dead_run(shop: Shop) -> None:
    """Add a run of another machine that was lost long ago."""
    names = (
        "id, kind, status, lock, database, path, label, {}, requested_by, options, created_at, heartbeat_at"
    )
    names += ", bytes_done, sha256, message, hint, log, host"
    names = names.format('"trigger"')
    values = "'0123456789abcdef0123456789abcdef', 'db_backup', 'running', 'db:default', 'default', '', '', 'command', '', '{}'"
    values += ", '2026-01-01 00:00:00', '2026-01-01 00:00:00', 0, '', '', '', '', 'elsewhere'"
    shop.execute(f"INSERT INTO {HISTORY} ({names}) VALUES ({values})")


@pytest.mark.parametrize(
    "atomic",
    [
        pytest.param(False, id="autocommit", marks=pytest.mark.soak),
        pytest.param(True, id="atomic requests"),
    ],
)
def test_pages_answer_though_somebody_reads_the_history_for_hours(shop, atomic):
    shop.settings["DATABASES"]["default"]["ATOMIC_REQUESTS"] = atomic
    add_dead_run(shop)
    process = shop.start("shell", "-c", LOOK, stdin=PIPE)
    assert process.stdout is not None
    wait_for(lambda: b"ready" in process.stdout.readline())
    with connection(shop.settings["DATABASES"]["default"]) as reader:
        reader.execute("BEGIN")
        reader.execute(f"SELECT * FROM {HISTORY}").fetchall()
        result = shop.finish(process, b"\n")
    assert result.out.split() == ["200", "200", "200"], result.err
    assert shop.execute(f"SELECT status FROM {HISTORY}") == [("running",)]

    process = shop.start("shell", "-c", LOOK.replace("looker", "another"), stdin=PIPE)
    result = shop.finish(process, b"\n")
    assert result.out.split()[-3:] == ["200", "200", "200"], result.err
    assert shop.execute(f"SELECT status FROM {HISTORY}") == [("interrupted",)]


@pytest.mark.backed_up
def test_backup_of_another_process_is_in_the_list_at_once(shop):
    shop.settings["DJANGO_RCLONE"]["LISTING_CACHE_SECONDS"] = 3600
    web.add_admin(shop)
    with SiteServer(shop) as server:
        member = Member(server)
        assert Path(shop.backup).name in member.read(BACKUPS)
        path = shop.manage("dbbackup", "--json").json["path"]
        assert path.removeprefix("db/") in member.read(BACKUPS)
