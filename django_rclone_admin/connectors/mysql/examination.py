"""Checks of a MySQL or MariaDB database and its programs, for the doctor."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

from ...core import findings
from ...core.findings import Finding
from ...core.programs import Completed
from ...exceptions import BackupError, ProgramFailed, gettext_noop
from .definitions import grant_pattern, quote
from .opened import limit_statements
from .server import Server

LOOK_SECONDS = 20
"""Time limit for the search through the rows of large tables."""
LONG_COLUMNS = """
    SELECT columns.TABLE_NAME, COLUMN_NAME FROM information_schema.COLUMNS AS columns
    JOIN information_schema.TABLES AS tables USING (TABLE_SCHEMA, TABLE_NAME)
    WHERE TABLE_SCHEMA = %s AND TABLE_TYPE = 'BASE TABLE'
        AND (CHARACTER_OCTET_LENGTH >= %s OR DATA_TYPE = 'json') AND DATA_LENGTH + INDEX_LENGTH >= %s / 2
    ORDER BY 1, 2
"""
"""Columns that may hold a value longer than a statement may be, in tables large enough for one. The server's table
sizes are estimates."""


def programs(ask: Callable[[str], Completed], server: tuple[int, ...], *, is_mariadb: bool) -> Finding:
    """Check that the programs are installed, of the server's kind, and not older than it.

    :param ask: returns the version output of the program of a role, ``dump`` or ``client``.
    """
    told = {role: ask(role).check().output.decode(errors="replace").strip() for role in ("dump", "client")}
    values: dict[str, Any] = {
        "server": f"{'MariaDB' if is_mariadb else 'MySQL'} {'.'.join(map(str, server))}",
        "program": told["dump"],
    }
    if ("MariaDB" in told["dump"]) is not is_mariadb:
        return findings.warning(
            gettext_noop("The dump program is not of the server's kind: %(program)s, for %(server)s."),
            hint=gettext_noop(
                "Install the client programs of the server, or set BIN_DIR in CONNECTOR_OPTIONS: what only one of the two knows "
                "is not in the dump."
            ),
            **values,
        )
    found = re.search(r"(?:Distrib|Ver|from) (\d+)\.(\d+)(?!.*(?:Distrib|from) \d)", told["dump"])
    if found and (int(found[1]), int(found[2])) < server[:2]:
        return findings.warning(
            gettext_noop("The dump program is older than the server: %(program)s, for %(server)s."),
            hint=gettext_noop(
                "Install the client programs of the server's version, or set BIN_DIR in CONNECTOR_OPTIONS."
            ),
            **values,
        )
    return findings.passed(gettext_noop("The programs are not older than %(server)s."), **values)


def rights(server: Server, strategy: str | None) -> Finding:
    """Try the rights for opened backups and swaps: create a schema with a table, and drop it again."""
    name = server.new_name()
    try:
        try:
            server.create(name)
            with server.cursor() as cursor:
                cursor.execute(f"CREATE TABLE {quote(name)}.probe (id int)")
        finally:
            server.drop(name)
    except BackupError as error:
        told = str(error.params.get("reason", error))
        return (findings.warning if strategy == "in_place" else findings.failed)(
            gettext_noop("The database user may not create and drop schemas for opened backups: %(reason)s"),
            hint=gettext_noop(
                "Opened backups and the strategy swap, which is the default here, need them. Run GRANT ALL ON `%(pattern)s`.* for it."
            ),
            reason=told,
            pattern=grant_pattern(name),
        )
    return findings.passed(
        gettext_noop("The user may create the schemas that opened backups and swaps need.")
    )


def contents(server: Server) -> Finding:
    """Check whether a value is so long that the server would not load it again."""
    packet = server.packet()
    try:
        longest = _longest(server, packet)
    except ProgramFailed as error:
        if "max_statement_time" not in str(error) and "maximum statement execution time" not in str(error):
            raise
        return findings.unchecked(
            gettext_noop("Checking all long values would take too long; each backup checks them."),
        )
    if longest and longest[0] >= packet:
        return findings.failed(
            gettext_noop(
                "The table %(table)s has a value of %(size)s bytes, and the server takes %(packet)s at most."
            ),
            hint=gettext_noop("Raise max_allowed_packet on the server before you need to restore."),
            size=longest[0],
            table=longest[1],
            packet=packet,
        )
    return findings.passed(gettext_noop("All values are short enough for the server to load them."))


def _longest(server: Server, packet: int) -> tuple[int, str] | None:
    """Return the size and the table of the longest value in columns that may hold one that is too long."""
    with server.cursor() as cursor:
        limit_statements(cursor, LOOK_SECONDS)
        cursor.execute(LONG_COLUMNS, [server.live, packet, packet])
        found = []
        for table, column in cursor.fetchall():
            cursor.execute(
                f"SELECT MAX(OCTET_LENGTH({quote(column)})) FROM {quote(server.live)}.{quote(table)}"
            )
            found.append((int(cursor.fetchone()[0] or 0), table))
    return max(found, default=None)
