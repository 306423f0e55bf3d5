"""Checks SQLite files for damage."""

from __future__ import annotations

import os
import re
import sqlite3
from pathlib import Path

from ...exceptions import BackupDamaged, gettext_noop
from .opening import is_wal

LINES = 100
"""The largest number of problems that SQLite reports."""
IN_PAGES = "*** in database"
"""The prefix of SQLite's messages about the file itself; others are about expressions on rows."""
MISSING = re.compile(r"(?:unknown|no such) (function|collation) ?(?:sequence)?: (.+?)(?:\(\))?")
DAMAGE = (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB)


def is_damage(error: sqlite3.Error) -> bool:
    """Whether SQLite reports that a file is damaged, or not a database."""
    return getattr(error, "sqlite_errorcode", 0) & 0xFF in DAMAGE


def missing_name(error: sqlite3.Error) -> str:
    """Return the function or collation that SQLite lacks; an empty string for another error."""
    found = MISSING.fullmatch(str(error))
    return found[2] if found else ""


def check(connection: sqlite3.Connection, damaged: str, *, is_full: bool = False) -> list[str]:
    """Read the whole database and check it for damage.

    Every page is read, and the order of the entries in every table and index. A row that violates a CHECK constraint is
    not damage: it is copied unchanged.

    :param damaged: the message for a damaged database.
    :param is_full: also compare each index with its table, which takes about ten times as long.
    :returns: the functions and collations that the connection lacks, whose results were not compared.
    :raises BackupDamaged: SQLite reports a problem.
    """
    connection.execute("PRAGMA ignore_check_constraints=ON")
    missing: list[str] = []
    try:
        refuse_cut(connection, damaged)
        complaints = _complaints(connection, "integrity_check" if is_full else "quick_check", missing)
        if complaints and not missing and not complaints[0].startswith(IN_PAGES):
            # SQLite 3.40's quick_check reports NULLs in tables WITHOUT ROWID that do not exist.
            complaints = _complaints(connection, "integrity_check", missing)
    except sqlite3.DatabaseError as error:
        if not is_damage(error):
            raise
        complaints, missing = [str(error)], []
    wrong = [each for each in complaints if not missing or each.startswith(IN_PAGES)]
    if wrong:
        raise BackupDamaged(
            damaged, hint=gettext_noop("SQLite says: %(answer)s"), answer=" ".join(wrong[0].split())
        )
    return missing


def refuse_cut(connection: sqlite3.Connection, damaged: str) -> None:
    """Refuse a file that ends within its last page. SQLite would read the missing bytes as zeros.

    It notices by itself when a whole page is missing, and ignores what follows the last page.

    :raises BackupDamaged: the last page is incomplete.
    """
    if is_wal(connection):  # the end may be in the log
        return
    file = _file_of(connection)
    [(pages, page_size)] = connection.execute(
        "SELECT page_count, page_size FROM pragma_page_count, pragma_page_size"
    )
    try:
        size = Path(file).stat().st_size
    except FileNotFoundError:  # our own copy, whose name was removed
        return
    if file and 0 < pages * page_size - size < page_size:
        raise BackupDamaged(
            damaged, hint=gettext_noop("SQLite says: %(answer)s"), answer="the last page is not complete"
        )


def _file_of(connection: sqlite3.Connection) -> str:
    """Return the path of the file, which need not be valid UTF-8."""
    usual, connection.text_factory = connection.text_factory, os.fsdecode
    try:
        return next((row[2] for row in connection.execute("PRAGMA database_list") if row[1] == "main"), "")
    finally:
        connection.text_factory = usual


def _complaints(connection: sqlite3.Connection, kind: str, missing: list[str]) -> list[str]:
    """Return the problems that a check reports; unknown functions and collations are added to ``missing``."""
    while True:
        try:
            lines = [row[0] for row in connection.execute(f"PRAGMA main.{kind}({LINES})")]
        except sqlite3.OperationalError as error:
            if not _stand_in(connection, error):
                raise
            kind = "quick_check"  # the full check would compare an index with a stand-in's results
            missing.append(missing_name(error))
        else:
            return [] if lines == ["ok"] else lines


def _stand_in(connection: sqlite3.Connection, error: sqlite3.Error) -> bool:
    """Register a stand-in for the missing function or collation, so that the pages can still be checked."""
    found = MISSING.fullmatch(str(error))
    if found and found[1] == "function":
        connection.create_function(found[2], -1, lambda *_values: None, deterministic=True)
    elif found:
        connection.create_collation(found[2], lambda _one, _other: 0)
    return found is not None
