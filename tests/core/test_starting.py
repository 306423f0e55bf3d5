"""A program that can't be started, or prints without end: one sentence, and no environment in the report of it."""

import subprocess
import sys
import tracemalloc
from dataclasses import replace
from uuid import uuid4

import pytest
from django.views.debug import ExceptionReporter

from django_rclone_admin.core.control import Control
from django_rclone_admin.core.process import Process, detach
from django_rclone_admin.core.programs import follow, run
from django_rclone_admin.exceptions import BackupError, ProgramFailed, ProgramMissing, UsageError
from tests.support.engine import local_rclone, python

SECRET = str(uuid4())  # a report shows lines of this file, too

FLAGS = {
    "twice": (f"--header=A: {SECRET}", "--header=B: 2"),
    "refused": ("--progress", f"--sftp-pass={SECRET}"),
}
STARTS = {
    "short": lambda command: run(command, timeout=10),
    "bound": lambda command: Process(command, bound=True),
    "detached": lambda command: detach(command, print),
}
every_start = pytest.mark.parametrize("start", STARTS)


def report(start, command):
    """Return the error of a start, and the page that Django mails about it."""
    try:
        start(command)
    except BackupError as error:
        page = ExceptionReporter(None, type(error), error, error.__traceback__).get_traceback_html()
        return error, page
    pytest.fail("it was started")


@every_start
@pytest.mark.parametrize(
    "change, error",
    [
        ({"env": {"PASSWORD": SECRET, "LARGE": "x" * (1 << 20)}}, ProgramFailed),
        ({"env": {"PASSWORD": SECRET, "NUL": "a\0b"}}, ProgramFailed),
        ({"argv": ("/no/such/program",)}, ProgramMissing),
        ({"argv": (__file__,)}, ProgramMissing),
        ({"argv": (__file__ + "/below",)}, ProgramMissing),
        ({"argv": ("/usr",)}, ProgramMissing),
    ],
    ids=["too long", "odd", "missing", "no program", "below a file", "folder"],
)
def test_report_of_a_program_that_does_not_start_has_no_environment(start, change, error):
    command = replace(python("pass"), **{"env": {"PASSWORD": SECRET}, **change})

    found, page = report(STARTS[start], command)

    assert type(found) is error
    assert found.hint
    assert SECRET not in page


def test_account_with_too_many_open_files_is_told_so():
    """In a process of its own, which can't have more."""
    code = f"""
import sys; sys.path[:0] = {sys.path!r}
import os, resource
from tests.support.engine import python
from django_rclone_admin.core.programs import run
from django_rclone_admin.exceptions import ProgramFailed
run(python("pass"), timeout=60)
resource.setrlimit(resource.RLIMIT_NOFILE, (64, 64))
taken = []
try:
    while True: taken.append(os.dup(0))
except OSError: pass
try: run(python("pass"), timeout=60)
except ProgramFailed as error: found = error
for each in taken: os.close(each)
print(found, found.hint)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)

    assert "could not be started: Too many open files" in done.stdout
    assert "Try again later" in done.stdout


@pytest.mark.parametrize("flags", FLAGS)
def test_report_of_refused_flags_has_no_secret(rclone_binary, tmp_path, flags):
    client = local_rclone(rclone_binary, tmp_path, flags=FLAGS[flags], env={"RCLONE_CONFIG_X_PASS": SECRET})

    error, page = report(lambda _: client.entries("db"), None)

    assert isinstance(error, UsageError)

    assert SECRET not in page


LONG_LINE = (
    "import sys\nfor _ in range(40): sys.stderr.write('x' * (1 << 20))\nsys.stderr.write('\\nthe end\\n')"
)


def test_endless_line_of_error_output_takes_no_memory():
    lines = []
    tracemalloc.start()
    try:
        follow(python(LONG_LINE), Control(), lines.append)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()

    assert [len(line) > 10 for line in lines] == [True, False]
    assert lines[1] == "the end"
    assert peak < 5 << 20


def test_failure_after_an_endless_line_is_explained_by_its_end():
    with pytest.raises(ProgramFailed, match="the end"):
        run(python(LONG_LINE + "\nsys.exit(1)"), timeout=60).check()
