"""Starts ``manage.py`` in a process that has Django imported already.

The server imports Django, and what else needs no settings, once. For each request it forks a process, which does all
that a new ``manage.py`` does after its imports: it reads its settings, sets up its apps, and ends as Python ends.

The new process is a child of the test process, not of this server: the process that forks it ends at once, and the
test process adopts orphans. So tests wait for it, kill it and miss it like any other child. That needs Linux.
"""

import gc
import importlib
import json
import os
import runpy
import socket
import struct
import sys
import time
from contextlib import suppress
from pkgutil import walk_packages
from typing import Any

from django.core.exceptions import ImproperlyConfigured

from django_rclone_admin import core

PRELOADED = (
    "django.contrib.admin.options",
    "django.contrib.auth.management",
    "django.contrib.messages.storage.fallback",
    "django.contrib.staticfiles.storage",
    "django.core.cache.backends.locmem",
    "django.core.management.commands.check",
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

LENGTH = struct.Struct("!I")
"""What a message begins with: the number of its bytes."""


def main() -> None:
    """Serve the socket that is our standard input until its other end is closed, and then end."""
    for name in (*PRELOADED, *(each.name for each in walk_packages(core.__path__, f"{core.__name__}."))):
        with suppress(
            ImproperlyConfigured
        ):  # in Django 4.2, some need settings: they are imported after the fork
            importlib.import_module(name)
    gc.collect()
    gc.freeze()  # a collection in a forked process would copy all that they share
    with socket.socket(fileno=os.dup(0)) as connection:
        while (request := receive(connection)) is not None:
            message, streams = request
            if fork(connection):
                break
            for stream in streams:
                os.close(stream)
        else:
            return
    become(message, streams)


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
            pid = answer.read()
        # Only when the process between is gone has the new one the parent that will wait for it.
        os.waitpid(between, 0)
        connection.sendall(LENGTH.pack(int(pid)))
        return False
    os.close(reader)
    if pid := os.fork():
        os.write(writer, str(pid).encode())
        os._exit(0)
    os.close(writer)
    return True


def become(request: dict[str, Any], streams: list[int]) -> None:
    """Make this process what the request asks for, and carry it out."""
    os.setsid()
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
    sys.argv = request["argv"]
    runpy.run_path("manage.py", run_name="__main__")


if __name__ == "__main__":
    main()
