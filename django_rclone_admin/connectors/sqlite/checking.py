"""Checks SQLite files for damage."""

from __future__ import annotations

import re
import sqlite3
from pathlib import Path

from ...exceptions import BackupDamaged, gettext_noop

LINES = 100
"""How many complaints SQLite gives at most."""
IN_PAGES = "*** in database"
"""With this SQLite begins a complaint about the file itself; others are about what expressions say of rows."""
MISSING = re.compile(r"(?:unknown|no such) (function|collation) ?(?:sequence)?: (.+?)(?:\(\))?")
DAMAGE = (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB)


def is_damage(error: sqlite3.Error) -> bool:
    """Whether SQLite says that a file is damaged, or is no database."""
    return getattr(error, "sqlite_errorcode", 0) & 0xFF in DAMAGE


def missing_name(error: sqlite3.Error) -> str:
    """Return the function or collation that SQLite misses; an empty string for another error."""
    found = MISSING.fullmatch(str(error))
    return found[2] if found else ""


def check(connection: sqlite3.Connection, damaged: str, *, is_full: bool = False) -> list[str]:
    """Read the whole database and look for damage.

    Every page is read, and the order of the entries in every table and index. A row that breaks a CHECK constraint is
    no damage: it is copied as it is.

    :param damaged: the sentence to say of a damaged one.
    :param is_full: also compare each index with its table, which takes about ten times as long.
    :returns: the functions and collations that the connection lacks, so that what they say was not compared.
    :raises BackupDamaged: SQLite finds anything wrong.
    """
    connection.execute("PRAGMA ignore_check_constraints=ON")
    missing: list[str] = []
    try:
        _refuse_cut(connection, damaged)
        complaints = _complaints(connection, "integrity_check" if is_full else "quick_check", missing)
        if complaints and not missing and not complaints[0].startswith(IN_PAGES):
            # SQLite 3.40's quick_check finds NULLs in tables WITHOUT ROWID where there are none.
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


def _refuse_cut(connection: sqlite3.Connection, damaged: str) -> None:
    """Refuse a file that ends within a page. SQLite takes what is missing there for zeros.

    :raises BackupDamaged: it does.
    """
    file = next((row[2] for row in connection.execute("PRAGMA database_list") if row[1] == "main"), "")
    (page_size,) = connection.execute("PRAGMA page_size").fetchone()
    try:
        size = Path(file).stat().st_size
    except FileNotFoundError:  # a copy of our own, which has no name any more while it is read
        return
    if file and size % int(page_size):
        raise BackupDamaged(
            damaged, hint=gettext_noop("SQLite says: %(answer)s"), answer="the last page is not complete"
        )


def _complaints(connection: sqlite3.Connection, kind: str, missing: list[str]) -> list[str]:
    """Return what a check complains of; what it calls and nobody knows is added to ``missing``."""
    while True:
        try:
            lines = [row[0] for row in connection.execute(f"PRAGMA main.{kind}({LINES})")]
        except sqlite3.OperationalError as error:
            if not _stand_in(connection, error):
                raise
            kind = "quick_check"  # the other one would compare an index with what the stand-in says
            missing.append(missing_name(error))
        else:
            return [] if lines == ["ok"] else lines


def _stand_in(connection: sqlite3.Connection, error: sqlite3.Error) -> bool:
    """Give the connection the function or collation that SQLite misses, so that the pages can be checked all the same."""
    found = MISSING.fullmatch(str(error))
    if found and found[1] == "function":
        connection.create_function(found[2], -1, lambda *_values: None, deterministic=True)
    elif found:
        connection.create_collation(found[2], lambda _one, _other: 0)
    return found is not None
