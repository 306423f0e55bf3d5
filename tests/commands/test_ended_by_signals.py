"""A command that a signal ends: no further run begins, and a program that has called the command hears of it, too."""

import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from io import StringIO

import pytest
from django.core.management import CommandError, call_command

from django_rclone_admin import signals
from django_rclone_admin.models import BackupRun
from tests.support.tables import HISTORY

pytestmark = pytest.mark.django_db(databases=["default", "analytics"], transaction=True)

ENDS = pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])


@contextmanager
def sent_at(moment: str, number: int) -> Iterator[None]:
    """Send a signal to this process at the first such moment of a run, when the run's own work can't be stopped any more."""
    sender = getattr(signals, moment)

    def send(**_values: object) -> None:
        sender.disconnect(send)
        os.kill(os.getpid(), number)

    sender.connect(send, weak=False)
    yield


@ENDS
def test_signal_at_the_very_end_of_a_run_lets_no_other_begin(backups, number, tmp_path):
    with sent_at("run_finished", number), pytest.raises(CommandError) as raised:
        call_command("dbbackup", database=["default", "analytics"], stdout=StringIO(), stderr=StringIO())
    assert raised.value.returncode == 1
    assert sorted(BackupRun.objects.values_list("database", "status")) == [
        ("analytics", "cancelled" if number == signal.SIGINT else "interrupted"),
        ("default", "succeeded"),
    ]
    # The next one is not affected.
    call_command("dbbackup", database="analytics", output_path=str(tmp_path / "dump"), stdout=StringIO())


@pytest.mark.in_turns("number")
@ENDS
@pytest.mark.parametrize("moment", ["pre_db_backup", "run_finished"])
def test_program_that_called_the_command_hears_the_signal(backups, number, moment):
    """Such as a worker of a task queue, which is asked to shut down and would wait for ever."""
    heard: list[int] = []
    before = signal.signal(number, lambda given, _frame: heard.append(given))
    try:
        with sent_at(moment, number):
            try:
                call_command("dbbackup", stdout=StringIO(), stderr=StringIO())
            except CommandError:
                assert moment == "pre_db_backup"
        assert heard == [number]
        assert signal.getsignal(number) is not signal.SIG_DFL
    finally:
        signal.signal(number, before)


WORKER = """
import os, signal
from django.core.management import call_command
from django_rclone_admin import signals
signal.signal(signal.SIGTERM, signal.SIG_DFL)
signals.pre_db_backup.connect(lambda **values: os.kill(os.getpid(), signal.SIGTERM), weak=False)
call_command("dbbackup")
"""


def test_worker_that_a_signal_shall_end_at_once_ends_after_its_run_was_stopped(shop):
    """Such as one of Django-Q2: it would wait for ever for a cluster that is gone."""
    assert shop.manage("shell", "-c", WORKER).code == -signal.SIGTERM
    assert shop.execute(f"SELECT status FROM {HISTORY}") == [("interrupted",)]
