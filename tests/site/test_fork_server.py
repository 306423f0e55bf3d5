"""A ``manage.py`` that the fork server starts is in all that a command can see what a new Python would be."""

import os
from signal import SIGINT, SIGKILL, SIGTERM
from subprocess import PIPE

import pytest

from tests.support import leaks
from tests.support.matrix import sampled
from tests.support.waiting import wait_for

both = pytest.mark.parametrize("new_python", sampled([False, True], False), ids=["forked", "new"])

LOOK = """
import json, locale, logging, os, resource, signal, sys, tempfile, threading, time, warnings
from django.apps import apps
from django.conf import settings
from django.core.checks.registry import registry
from django.db import connections
from django.dispatch import Signal
from django.urls import get_resolver
from django.utils import translation
import django.db.models.signals, django_rclone_admin.signals
streams = {
    each.name: [each.mode, each.encoding, each.errors, each.line_buffering, each.isatty()]
    for each in (sys.stdin, sys.stdout, sys.stderr)
}
json.dump({
    "environment": dict(os.environ),
    "arguments": sys.argv,
    "main": [sys.modules["__main__"].__name__, os.path.realpath(sys.modules["__main__"].__file__)],
    "flags": str(sys.flags),
    "path": sys.path,
    "warnings": str(warnings.filters),
    "streams": streams,
    "files": sorted(each for each in map(int, os.listdir("/proc/self/fd")) if os.path.exists(f"/proc/self/fd/{each}")),
    "folder": os.getcwd(),
    "temporary": tempfile.gettempdir(),
    "mask": os.umask(0o022),
    "signals": {each.name: str(signal.getsignal(each)) for each in signal.valid_signals() if hasattr(each, "name")},
    "blocked": list(signal.pthread_sigmask(signal.SIG_BLOCK, [])),
    "limits": [resource.getrlimit(each) for each in (resource.RLIMIT_NOFILE, resource.RLIMIT_AS)],
    "leads": [os.getpid() == os.getsid(0), os.getpid() == os.getpgrp()],
    "parent": os.getppid(),
    "threads": [each.name for each in threading.enumerate()],
    "locale": locale.setlocale(locale.LC_CTYPE),
    "zone": time.tzname,
    "databases": repr(connections.settings),  # before the settings: Django completes these in place
    "settings": {name: repr(getattr(settings, name)) for name in dir(settings) if name.isupper()},
    "models": [each._meta.label for each in apps.get_models(include_auto_created=True)],
    "checks": sorted(each.__qualname__ for each in registry.get_checks()),
    "receivers": {
        f"{module.__name__}.{name}": len(each.receivers)
        for module in (django.db.models.signals, django_rclone_admin.signals)
        for name, each in vars(module).items() if isinstance(each, Signal)
    },
    "loggers": {
        name: [each.level, each.propagate, list(map(repr, each.handlers))]
        for name, each in sorted(logging.root.manager.loggerDict.items())
        if isinstance(each, logging.Logger) and each.handlers
    },
    "language": [translation.get_language(), translation.gettext("Delete")],
    "urls": len(get_resolver().url_patterns),
}, sys.stdout)
"""


def look(shop, **options):
    result = shop.manage("shell", "-v0", "-c", LOOK, **options)
    assert (result.code, result.err) == (0, "")
    seen = result.json
    # Addresses of functions.
    seen["signals"] = {name: text.partition(" at 0x")[0] for name, text in seen["signals"].items()}
    return seen


def test_forked_process_sees_what_a_new_one_sees(shop):
    env = {"TZ": "Asia/Tokyo", "ODD": "ÿ=\n", "PATH": "/nowhere", "PYTHONPATH": "/one:/two"}
    shop.settings["TIME_ZONE"] = "Asia/Tokyo"
    forked, new = (look(shop, env=env, new_python=new_python) for new_python in (False, True))
    assert forked == new
    assert new["parent"] == os.getpid()
    assert new["zone"] == ["JST", "JST"]


def test_two_forked_processes_share_nothing(shop, make_shop):
    other = make_shop()
    first, second = look(shop, env={"ONLY_FIRST": "1"}), look(other)
    assert first["environment"]["HOME"] != second["environment"]["HOME"]
    assert "ONLY_FIRST" not in second["environment"]
    assert shop.manage("shell", "-v0", "-c", "import django; django.left = 1").code == 0
    assert shop.manage("shell", "-v0", "-c", "import django; print(hasattr(django, 'left'))").out == "False\n"


def test_what_python_reads_at_its_start_is_given_to_a_new_one(shop):
    code = "import sys; print(sys.flags.hash_randomization, sys.flags.dev_mode)"
    result = shop.manage("shell", "-v0", "-c", code, env={"PYTHONHASHSEED": "0", "PYTHONDEVMODE": ""})
    assert result.out == "0 False\n"


@both
@pytest.mark.parametrize(
    "code, status",
    [
        ("raise SystemExit(7)", 7),
        ("raise SystemExit('a reason')", 1),
        ("raise KeyboardInterrupt", -SIGINT),
        ("import os; os.abort()", -6),
        ("import os; os._exit(9)", 9),
        ("import atexit; atexit.register(print, 'the end')", 0),
        ("import threading; threading.Timer(0.2, print, ['the end']).start()", 0),
        ("print('no newline', end='')", 0),
    ],
    ids=["code", "reason", "interrupt", "abort", "at-once", "atexit", "thread", "unflushed"],
)
def test_end_is_that_of_python(shop, new_python, code, status):
    result = shop.manage("shell", "-v0", "-c", code, new_python=new_python)
    assert result.code == status
    assert ("the end" in result.out) == ("the end" in code)
    assert ("no newline" in result.out) == ("no newline" in code)
    assert ("a reason" in result.err) == ("a reason" in code)


@both
def test_file_that_is_left_open_shows(shop, new_python):
    code = "import os; os.left = open(os.devnull)"
    with pytest.raises(AssertionError, match="ResourceWarning: unclosed"):
        shop.manage("shell", "-v0", "-c", code, new_python=new_python)


def test_reader_that_is_gone_is_noticed_as_by_python(shop):
    codes = []
    for new_python in False, True:
        process = shop.start(
            "shell", "-v0", "-c", "input(); print('lost', end='')", stdin=PIPE, new_python=new_python
        )
        process.stdout.close()
        process.stdin.write(b"\n")
        process.stdin.flush()
        codes.append(process.wait())
        assert b"BrokenPipeError" in process.stderr.read()
    assert codes == [120, 120]


@both
@pytest.mark.parametrize("number", [SIGINT, SIGTERM, SIGKILL])
def test_process_is_killed_and_waited_for_as_any_child(shop, new_python, number):
    process = shop.start(
        "shell", "-v0", "-c", "print('here', flush=True); input()", stdin=PIPE, new_python=new_python
    )
    assert process.stdout.readline() == b"here\n"
    assert process.poll() is None
    assert process.pid in leaks.children()
    process.send_signal(number)
    assert shop.finish(process).code in (-number, 1)  # our app ends with 1 when it is told to
    assert process.pid not in leaks.children()


@both
def test_input_and_output_are_pipes(shop, new_python):
    process = shop.start("shell", "-v0", "-c", "print(input().upper())", stdin=PIPE, new_python=new_python)
    assert shop.finish(process, "grüße\n".encode()).out == "GRÜSSE\n"


@both
def test_leak_shows(shop, new_python):
    code = "import os; os.spawnlp(os.P_NOWAIT, 'sh', 'sh', '-c', 'exec sleep 60 >&- 2>&-')"
    with pytest.raises(pytest.fail.Exception, match="sleep 60"), leaks.no_process_left(grace=0.1):
        shop.manage("shell", "-v0", "-c", code, new_python=new_python)


def test_process_outlives_no_test(make_shop):
    shop = make_shop()
    process = shop.start("shell", "-v0", "-c", "input()", stdin=PIPE)
    wait_for(lambda: process.pid in leaks.children())
    shop.close()
    assert process.returncode == -SIGKILL
