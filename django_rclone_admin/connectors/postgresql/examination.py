"""Checks of a PostgreSQL database and its programs, for the doctor."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

from ...core import findings
from ...core.command import Command
from ...core.findings import Finding
from ...core.programs import run
from ...exceptions import gettext_noop
from .foresight import warnings

PROGRAMS = ("pg_dump", "pg_restore", "psql")


def programs(make: Callable[..., Command], server: int) -> Finding:
    """Check that the programs are installed and not older than the server.

    :param make: returns the command of a program by its name.
    :param server: the server's major version.
    """
    versions = {name: version(make(name, "--version")) for name in PROGRAMS}
    values: dict[str, Any] = {
        "programs": ", ".join(f"{name} {'.'.join(map(str, each))}" for name, each in versions.items()),
        "server": server,
    }
    if versions["pg_dump"][:1] < (server,):
        return findings.failed(
            gettext_noop(
                "The server has version %(server)s, and pg_dump refuses newer servers: %(programs)s."
            ),
            hint=gettext_noop(
                "Install the client programs of the server's version, or set BIN_DIR in CONNECTOR_OPTIONS."
            ),
            **values,
        )
    if versions["pg_restore"][:1] < versions["pg_dump"][:1]:
        return findings.failed(
            gettext_noop("pg_restore can't read what the newer pg_dump writes: %(programs)s."),
            hint=gettext_noop("Install both from one version, or set BIN_DIR in CONNECTOR_OPTIONS."),
            **values,
        )
    return findings.passed(
        gettext_noop("The programs are not older than the server (%(server)s): %(programs)s."), **values
    )


def version(command: Command) -> tuple[int, ...]:
    """Return the version that a program prints.

    :raises ProgramMissing: it can't be started.
    """
    told = run(command, timeout=30).check().output.decode(errors="replace")
    found = re.search(r"\d+(\.\d+)*", told)
    return tuple(map(int, found[0].split("."))) if found else (0,)


def rights(no_swap: str, strategy: str | None) -> Finding:
    """Check that the role has the rights for opened backups and swaps.

    :param no_swap: why a swap is not possible; empty when it is.
    """
    if not no_swap:
        return findings.passed(
            gettext_noop("The role may create the databases that opened backups and swaps need.")
        )
    make = findings.failed if strategy == "swap" else findings.warning
    return make(
        "%(reason)s",
        hint=gettext_noop(
            "Opened backups and the strategy swap create a database next to the live one: let the role own the live one and give it "
            "CREATEDB, or name another server for opened backups in OPEN_ON."
        ),
        reason=no_swap,
    )


def contents(cursor: Any, strategy: str | None) -> Finding:
    """Check whether the database contains objects that a restore in place can't restore."""
    if found := warnings(cursor):
        make = findings.warning if strategy == "swap" else findings.failed
        return make(
            "%(first)s",
            hint=gettext_noop("The page of each backup has the whole list: %(count)d in all."),
            first=found[0],
            count=len(found),
        )
    return findings.passed(gettext_noop("All known contents can be restored in place."))
