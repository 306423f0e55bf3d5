"""Turns errors of the server and the client programs into errors with hints."""

from __future__ import annotations

import re

from ...core.command import program_failed
from ...exceptions import BackupError, gettext_noop

HINTS: tuple[tuple[tuple[int, ...], str], ...] = (
    ((1045, 1698), gettext_noop("Nothing was changed. Check USER and PASSWORD.")),
    (
        (2002, 2003, 2005),
        gettext_noop("Nothing was changed. Check HOST and PORT, and that the database server is running."),
    ),
    (
        (2006, 2013, 1927, 1053),
        gettext_noop("Nothing was changed. The connection to the server broke; look into the server's log."),
    ),
    (
        (1227,),
        gettext_noop(
            "Nothing was changed. A view, trigger, routine or event belongs to another account: "
            "grant SET USER (MariaDB) or SET_USER_ID (MySQL)."
        ),
    ),
    ((1418, 1419), gettext_noop("Nothing was changed. Set log_bin_trust_function_creators on the server.")),
    (
        (1356, 1449),
        gettext_noop(
            "Nothing was changed. Repair or drop the view that the message names: a table or column that it needs, or the "
            "account that owns it, is gone, or that account lacks rights. To back up without the view, add it to "
            "EXCLUDE_TABLES in CONNECTOR_OPTIONS."
        ),
    ),
    (
        (1044, 1142, 1143, 1370),
        gettext_noop("Nothing was changed. The database user lacks a right; see the message."),
    ),
    ((1205,), gettext_noop("Nothing was changed. Another connection holds a table; end long transactions.")),
    ((1153, 2020), gettext_noop("Nothing was changed. Raise max_allowed_packet on the server.")),
    (
        (1115, 1273),
        gettext_noop(
            "Nothing was changed. This server does not know a character set or collation of the backup."
        ),
    ),
)
"""Error numbers of server and client → hint."""
NUMBER = re.compile(r"(?:ERROR|[Ee]rror:?) (\d{4})\b|\((\d{4})\)$|^(\d{4}) ", re.MULTILINE)
UNSEEN = re.compile(r"insuffi\w+ privileges to SHOW CREATE")
"""The dump programs' message about a routine whose body they may not read; the spelling differs by version."""


def explain(name: str, status: int, output: str) -> BackupError:
    """Explain a failure of the programs. Their messages repeat the statement before the error, with rows in it."""
    errors = [
        line
        for line in output.splitlines()
        if re.match(r"ERROR \d|\S*dump: ", line) and "[Warning]" not in line
    ]
    told = "\n".join(errors[-2:]) or "\n".join(output.splitlines()[-3:])
    error = program_failed(name, status, told)
    if hint := hint_for(told):
        error.hint_template = hint
    return error


def hint_for(told: str) -> str:
    """Return the hint for an error by the number in its message; an empty string for an unknown number."""
    if UNSEEN.search(told):
        return gettext_noop(
            "Nothing was changed. The user that dumps may not read a routine of another account: grant SHOW CREATE ROUTINE, or "
            "SELECT on mysql.proc before MariaDB 11.3 (MySQL 8: SHOW_ROUTINE)."
        )
    found = NUMBER.search(told)
    number = int(found[1] or found[2] or found[3]) if found else 0
    return next((hint for numbers, hint in HINTS if number in numbers), "")
