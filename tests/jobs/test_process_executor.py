"""The process of a queued run: started by the right interpreter, and missed at once when it ends too soon."""

import shutil

import pytest

from tests.support import leaks
from tests.support.site import Shop
from tests.support.tables import HISTORY
from tests.support.waiting import wait_for

pytestmark = pytest.mark.slow

EXECUTOR = "django_rclone_admin.executors.ProcessExecutor"
SERVER = f"import sys; sys.executable = {shutil.which('false')!r}\n"
"""Has Python take itself for a part of a server, as it does inside uWSGI and mod_wsgi."""
QUEUE = """
import time
from django_rclone_admin import api
run = api.start_backup_database()
while run.is_active:
    time.sleep(0.1)
    run.refresh_from_db()
"""


@pytest.fixture
def shop(make_shop) -> Shop:
    return make_shop("sqlite", EXECUTOR=EXECUTOR, STALE_AFTER=600)


def ends(shop: Shop) -> list[tuple[str, str]]:
    return shop.execute(f"SELECT status, message FROM {HISTORY}")


def queue(shop: Shop, before: str, *, new_python: bool = False) -> None:
    with leaks.burying():
        result = shop.manage("shell", "-c", before + QUEUE, new_python=new_python, timeout=120)
        assert result.code == 0, result.err


def test_server_that_has_python_inside_finds_the_interpreter(shop):
    queue(shop, SERVER, new_python=True)
    assert [status for status, _message in ends(shop)] == ["succeeded"]
    assert len(shop.names()) == 2  # with its manifest


def test_process_that_ends_at_once_is_reported_with_what_it_said(shop):
    queue(shop, 'import os; os.environ["DJANGO_SETTINGS_MODULE"] = "no.such.settings"\n')
    [(status, message)] = ends(shop)
    assert status == "interrupted"
    assert message.startswith("Its process ended with 1 before it had begun: ")
    assert "ModuleNotFoundError: No module named 'no'" in message


def test_process_that_is_killed_is_missed_at_once(shop):
    code = (
        "import os, signal, threading, time\n"
        "from django_rclone_admin.models import BackupRun\n"
        "def kill():\n"
        "    while not (found := BackupRun.objects.filter(status='running').first()):\n"
        "        time.sleep(0.01)\n"
        "    os.kill(found.pid, signal.SIGKILL)\n"
        "threading.Thread(target=kill, daemon=True).start()\n"
    )
    queue(shop, code)
    wait_for(lambda: [status for status, _message in ends(shop)] == ["interrupted"])
