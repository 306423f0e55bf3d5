"""The work waits for what happens, never for a tick: that would be a part of every command's time."""

import sys
import threading
import time

import pytest

from django_rclone_admin import api
from django_rclone_admin.core.process import Process
from django_rclone_admin.models import BackupRun, Status
from tests.support.engine import python

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def sleeps(monkeypatch):
    """The modules in which this thread slept."""
    found, sleep, here = [], time.sleep, threading.current_thread()

    def note(seconds: float) -> None:
        if threading.current_thread() is here:
            found.append(sys._getframe(1).f_globals["__name__"])
        sleep(seconds)

    monkeypatch.setattr(time, "sleep", note)
    return found


def test_backup_and_its_restore_never_sleep(backups, sleeps):
    made = api.backup_database()
    api.restore_database(made.path, safety_backup=False)

    assert [each for each in sleeps if each.startswith("django_rclone_admin")] == []
    assert {each.status for each in BackupRun.objects.all()} == {Status.SUCCEEDED}


def test_end_of_a_program_is_not_looked_for_at_intervals(sleeps):
    process = Process(python("import sys; sys.stdin.read()"), stdin=True)
    try:
        assert process.wait_for(0.2) is None
        assert sleeps == []
        process.stdin.close()
        assert process.wait_for(60) == 0
    finally:
        process.close()
