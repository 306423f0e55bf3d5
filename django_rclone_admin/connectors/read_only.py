"""Prevents all writes in the sessions of opened backups.

Each session is read-only, so the server refuses writes. A session could turn that off; so only statements that read are
passed on, and the session is made read-only again before each query.
"""

from __future__ import annotations

import contextlib
import re
from collections.abc import Callable
from typing import Any

from django.db import NotSupportedError
from django.db.backends.base.base import BaseDatabaseWrapper

READS = frozenset(
    [
        "SELECT",
        "WITH",
        "VALUES",
        "TABLE",
        "SHOW",
        "EXPLAIN",
        "DESC",
        "DESCRIBE",
        "PRAGMA",
        "DECLARE",
        "FETCH",
        "MOVE",
        "CLOSE",
        "SET",
        "RESET",
        "BEGIN",
        "START",
        "COMMIT",
        "END",
        "ROLLBACK",
        "ABORT",
        "SAVEPOINT",
        "RELEASE",
    ]
)
"""The words that statements may begin with. The server refuses those that write nevertheless."""
TEXTS = re.compile(
    r"""
    '(?:[^'\\]|\\.|'')*' | "(?:[^"\\]|\\.|"")*" | `[^`]*` | (?P<dollar>\$\w*\$).*?(?P=dollar)
    | --[^\n]* | /\*(?![!M]).*?\*/
    """,
    re.VERBOSE | re.DOTALL,
)
"""The parts of a statement that are ignored: strings, quoted names, and comments except MySQL's executable ones."""


WRITE = re.compile(
    r"\bREAD\s+WRITE\b|READ_ONLY|QUERY_ONLY"  # the session, or a transaction, could write
    # Even a read-only session of MySQL may change the server or the account.
    r"|\b(GLOBAL|PERSIST|PERSIST_ONLY|PASSWORD|RESOURCE)\b|\bDEFAULT\s+ROLE\b"
    r"|^\s*RESET\s+(MASTER|SLAVE|REPLICA|BINARY|QUERY)\b|^\s*START\s+(?!TRANSACTION\b)"
)
"""Words that a statement that begins or sets something may not contain."""
FILE = re.compile(r"\bINTO\s+(OUTFILE|DUMPFILE)\b")
"""Words with which a statement writes a file on the server of MySQL."""
SETS = frozenset({"SET", "RESET", "BEGIN", "START", "COMMIT", "ROLLBACK", "PRAGMA"})


class Guard:
    """An execute wrapper for the connections of opened backups.

    :param statements: SQL that makes a session read-only.
    """

    def __init__(self, statements: tuple[str, ...]) -> None:
        self._statements = statements

    def __call__(
        self, execute: Callable[..., Any], sql: Any, params: Any, many: bool, context: dict[str, Any]
    ) -> Any:
        connection = context["connection"]
        text = sql.as_string(connection.connection) if hasattr(sql, "as_string") else str(sql)
        refuse_writing(text)
        self.enforce(connection)
        return execute(sql, params, many, context)

    def enforce(self, connection: BaseDatabaseWrapper) -> None:
        """Make the session of a connection read-only."""
        with connection.wrap_database_errors, contextlib.closing(connection.connection.cursor()) as cursor:
            for each in self._statements:
                cursor.execute(each)


def refuse_writing(text: str) -> None:
    """Refuse statements that do not only read.

    :raises NotSupportedError: a statement may write.
    """
    bare = TEXTS.sub(" ", text).upper()
    statements = [each.split() for each in bare.replace("(", " ").split(";") if each.strip()]
    words = [each[0] for each in statements]
    if SETS.intersection(words) and WRITE.search(bare):
        raise NotSupportedError("This is an opened backup: its session stays read-only.")
    # Several statements at once could make the session read-write and then write: only one is checked.
    is_one = len(words) < 2 or set(words) == {"SET"}
    if not READS.issuperset(words) or not is_one or "/*" in bare or FILE.search(bare):
        raise NotSupportedError("This is an opened backup: it can only be read.")
