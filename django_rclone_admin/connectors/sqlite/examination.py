"""Checks of a SQLite database, for the doctor."""

from __future__ import annotations

import contextlib
import os
from pathlib import Path
from urllib.parse import unquote

from ...core import findings
from ...core.findings import Finding
from ...exceptions import gettext_noop
from .checking import check
from .copying import Copier
from .opening import SiteOpener, connect
from .streams import LIVE_DAMAGED, explained

CHECKED_BYTES = 256 << 20
"""Larger files are not checked here, because the site would wait; each backup checks them."""


def file_of(path: str) -> Path:
    """Return the file that a name or a ``file:`` URI denotes."""
    return Path(unquote(path.removeprefix("file:").partition("?")[0]) if path.startswith("file:") else path)


def size(path: str) -> int:
    """Return the bytes of a database with its log; 0 if it does not exist."""
    file = file_of(path)
    there = [each for each in (file, Path(f"{file}-wal")) if each.exists()]
    return sum(each.stat().st_size for each in there)


def rights(path: str) -> Finding:
    """Check that a restore may write to the file, and to the folder of its journal."""
    file = file_of(path)
    closed = [each for each in (file, file.absolute().parent) if not os.access(each, os.R_OK | os.W_OK)]
    if not file.exists():
        return findings.failed(
            gettext_noop("The file of the SQLite database does not exist."),
            hint=gettext_noop("Check NAME in DATABASES, or run “manage.py migrate” first."),
        )
    if closed:
        return findings.failed(
            gettext_noop("A restore could not write to %(path)s."),
            hint=gettext_noop(
                "Check its owner and permissions: SQLite puts its journal into the same folder."
            ),
            path=closed[0],
        )
    return findings.passed(gettext_noop("The file and its folder can be written to."))


def contents(path: str, open_copy: SiteOpener) -> Finding:
    """Check that the file is not damaged, and that it is the only one that the site uses."""
    open_copy(":memory:").close()  # shows what the site attaches
    if open_copy.attached:
        return findings.warning(
            gettext_noop("The site attaches other database files, which are not in the backups: %(files)s."),
            hint=gettext_noop("Give each of them an alias in DATABASES."),
            files=", ".join(sorted(open_copy.attached)),
        )
    if size(path) > CHECKED_BYTES:
        return findings.unchecked(gettext_noop("The file is large; each backup checks it for damage."))
    reading = explained(gettext_noop("The SQLite database could not be read: %(reason)s."))
    with reading, contextlib.closing(connect(path)) as connection, Copier().reading(connection):
        check(connection, LIVE_DAMAGED)
    return findings.passed(gettext_noop("The file is not damaged, and a backup contains all of it."))
