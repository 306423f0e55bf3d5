"""Starts ``manage.py`` in a process that has Django imported already.

The server imports Django, and what else needs no settings, once. For each request it forks a process, which does all
that a new ``manage.py`` does after its imports: it reads its settings and sets up its apps. At its end it waits for its
threads, calls what ``atexit`` knows, flushes its streams, and warns of what is left open. What Python does then, taking
every module apart, is left out: that would copy all memory that the process shares with this server.

With the argument ``set-up`` the server also sets up the apps of the shop, once. A forked process still reads its own
settings. So its first message is a list of the settings that the apps have read until then: a process for which one of
these differs has to come from a server that has set up nothing.

The new process is a child of the test process, not of this server: the process that forks it ends at once, and the
test process adopts orphans. So tests wait for it, kill it and miss it like any other child. That needs Linux.
"""

import atexit
import gc
import importlib
import json
import os
import runpy
import socket
import struct
import sys
import tempfile
import threading
import time
from contextlib import suppress
from io import FileIO
from pkgutil import walk_packages
from typing import Any

import django
import sqlparse
from django.apps import apps
from django.conf import settings
from django.core.exceptions import ImproperlyConfigured
from django.core.management import get_commands, load_command_class
from django.db import connections
from django.utils.functional import empty

import django_rclone_admin
from django_rclone_admin import core

PRELOADED = (
    "_strptime",
    "django.conf.locale.en.formats",
    "django.contrib.admin.options",
    "django.contrib.auth.management",
    "django.contrib.messages.storage.fallback",
    "django.contrib.staticfiles.storage",
    "django.core.cache.backends.locmem",
    "django.core.management.commands.check",
    "django.core.management.commands.migrate",
    "django.core.management.sql",
    "django.core.servers.basehttp",
    "django.db.backends.postgresql.base",
    "django.db.backends.sqlite3.base",
    "django.db.migrations.executor",
    "django.middleware.csrf",
    "django.template.loader_tags",
    "django.views.generic",
    "django.views.i18n",
    "django_htmx.middleware",
    "tests.site",
    "tqdm",
)
"""What all commands need of Django and of other packages. All of ``core``, which needs no Django, comes on top."""

SETTINGS = "tests.site.settings"
READ_AGAIN = {
    "DATABASES",  # forgotten below; a model asks how long the name of a table may be, and ours are shorter
    "DEBUG",  # each connection of a signal asks
    "DEFAULT_EXCEPTION_REPORTER",
    "FORCE_SCRIPT_NAME",
    "LOGGING",
    "LOGGING_CONFIG",
}
"""Settings that each process reads anew although the apps are set up: most of them in ``django.setup``."""

LENGTH = struct.Struct("!I")
"""What a message begins with: the number of its bytes."""


def main(arguments: list[str]) -> None:
    """Serve the socket that is our standard input until its other end is closed, and then end."""
    for name in (*PRELOADED, *(each.name for each in walk_packages(core.__path__, f"{core.__name__}."))):
        with suppress(
            ImproperlyConfigured
        ):  # in Django 4.2, some need settings: they are imported after the fork
            importlib.import_module(name)
    sqlparse.parse("SELECT 1")  # it compiles its expressions only now
    read = set_up() if arguments else []
    gc.collect()
    gc.freeze()  # a collection in a forked process would copy all that they share
    with socket.socket(fileno=os.dup(0)) as connection:
        send(connection, json.dumps(read).encode())
        while (request := receive(connection)) is not None:
            message, streams = request
            if fork(connection):
                break
            for stream in streams:
                os.close(stream)
        else:
            return
    become(message, streams)


def set_up() -> list[str]:
    """Set up the apps of the shop, import all of our package, and return the names of the settings that this has read."""
    with tempfile.TemporaryDirectory() as home:
        os.environ |= {"DJANGO_SETTINGS_MODULE": SETTINGS, "SHOP_HOME": home}
        django.setup()
        packages = [django_rclone_admin, *(config.module for config in apps.get_app_configs())]
        for package in packages:
            for found in walk_packages(package.__path__, f"{package.__name__}."):
                if package is django_rclone_admin or ".migrations" in found.name:
                    with suppress(ImportError):  # of what an extra installs
                        importlib.import_module(found.name)
    # What each command would do again: list a folder of each app, and compile regular expressions.
    get_commands()
    load_command_class("django.core", "check").create_parser("manage.py", "check")
    importlib.import_module("django_rclone_admin.conf").problems({"REMOTE": "a remote"})
    read = set(vars(settings)) - {"_wrapped"} - READ_AGAIN
    # A forked process finds its own.
    settings._wrapped = empty
    del sys.modules[SETTINGS]
    connections.__init__()  # type: ignore[misc]
    del connections.settings
    tempfile.tempdir = None
    return sorted(read)


def send(connection: socket.socket, text: bytes) -> None:
    """Send one message."""
    connection.sendall(LENGTH.pack(len(text)) + text)


def receive(connection: socket.socket) -> tuple[dict[str, Any], list[int]] | None:
    """Return the next request and its standard streams."""
    head, streams, *_ = socket.recv_fds(connection, LENGTH.size, 3)
    if not head:
        return None
    (missing,) = LENGTH.unpack(head)
    text = bytearray()
    while len(text) < missing:
        text += connection.recv(missing - len(text))
    return json.loads(text), streams


def fork(connection: socket.socket) -> bool:
    """Fork a process that nobody here waits for, and send its id.

    :returns: whether this is the new process.
    """
    reader, writer = os.pipe()
    if between := os.fork():
        os.close(writer)
        with open(reader) as answer:  # noqa: PTH123  (a file descriptor)
            pid = answer.read().encode()
        os.waitpid(between, 0)
        send(connection, pid)
        return False
    os.close(reader)
    between = os.getpid()
    if os.fork():
        os._exit(0)
    # Whoever hears of this process can kill its group, and is its parent: the process between must be gone.
    os.setsid()
    while os.getppid() == between:
        os.sched_yield()
    os.write(writer, str(os.getpid()).encode())
    os.close(writer)
    return True


def become(request: dict[str, Any], streams: list[int]) -> None:
    """Make this process what the request asks for, and carry it out."""
    for number, stream in enumerate(streams):
        os.dup2(stream, number)
        os.close(stream)
    for number, name in enumerate(("stdin", "stdout", "stderr")):
        # As Python makes them when it starts, for what the numbers stand for now.
        old = getattr(sys, name)
        stream = open(number, old.mode, 1 if number == 2 else -1, old.encoding, old.errors, closefd=False)  # noqa: SIM115
        stream.buffer.raw.name = old.name
        setattr(sys, name, stream)
        setattr(sys, f"__{name}__", stream)
    os.environ.clear()
    os.environ.update(request["env"])
    time.tzset()
    sys.path[1:1] = filter(None, os.environ.get("PYTHONPATH", "").split(os.pathsep))
    sys.argv = request["argv"]
    try:
        runpy.run_path("manage.py", run_name="__main__")
    except SystemExit as exit_:
        end(exit_.code)
        raise
    end(None)


def end(code: object) -> None:
    """End this process at once, as Python would end it; return where only Python knows how."""
    if not isinstance(code, int | None):
        return
    try:
        threading._shutdown()  # type: ignore[attr-defined]
        atexit._run_exitfuncs()
        sys.stdout.flush()
        sys.stderr.flush()
    except (KeyboardInterrupt, OSError, ValueError):  # nobody reads any more, or a stream is closed
        return
    gc.collect()
    for each in gc.get_objects():  # none that is older than this process: those are frozen
        if isinstance(each, FileIO) and not each.closed and each.fileno() > 2:
            os.write(2, f"ResourceWarning: unclosed {each!r}\n".encode())
    os._exit((code or 0) & 0xFF)


if __name__ == "__main__":
    main(sys.argv[1:])
