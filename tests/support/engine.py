"""Parts for tests of the engine alone: small programs, and the client of a remote that is a plain folder."""

import sys
from pathlib import Path

from django_rclone_admin.core.catalog import Catalog
from django_rclone_admin.core.command import Command
from django_rclone_admin.core.naming import Naming
from django_rclone_admin.core.rclone import Rclone
from tests.support.remotes import environment

NAMING = Naming("{database}-{datetime}.{ext}", "%Y-%m-%d-%H%M%S")

SOURCE = "import os, pathlib, signal, sys\nout = sys.stdout.buffer\n"
SINK = "import os, pathlib, signal, sys\nfile = pathlib.Path(sys.argv[1])\nread = sys.stdin.buffer.read\n"
KEEP = SINK + "file.write_bytes(read())"
"""A sink that keeps what it got, in the file that is its argument, only when it has seen end-of-file."""


def python(code: str, *arguments: object, name: str = "program") -> Command:
    """Return a small Python program as a command."""
    return Command(argv=(sys.executable, "-IS", "-c", code, *map(str, arguments)), env={}, name=name)


def local_rclone(binary: str, root: Path, **options: object) -> Rclone:
    """Return the client of a folder, in an environment without anybody's configuration."""
    return Rclone(binary=binary, remote=str(root), inherited=environment(), **options)


def local_catalog(binary: str, root: Path, folder: str = "db") -> Catalog:
    """Return the catalog of a folder of that folder."""
    return Catalog(local_rclone(binary, root), NAMING, folder)
