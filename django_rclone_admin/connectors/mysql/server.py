"""What we ask of a server of MySQL beside the loading: schemas, tables, connections, and statements of our own."""

from __future__ import annotations

import contextlib
import hashlib
import re
import time
import uuid
from collections.abc import Iterator
from typing import Any

from django.db import DatabaseError, connections

from ...core.programs import Completed
from ...exceptions import BackupError, ProgramFailed, RestoreRefused, gettext_noop
from .definitions import names, quote, stored
from .streams import run_script

GONE_SECONDS = 60
"""How long to wait for the end of a connection that was killed."""
BEFORE = "_dra_before"
"""The table that travels when tables change places: the definitions of what was live before."""
PLAN = "_dra_plan"
"""The same table before that."""
USED = "_dra_used"
"""What became of it when the kept tables were put back: they can't be put back twice."""
KEPT = "_kept"
"""Ends the name of a schema that holds what a restore replaced."""
NAME_BYTES = 64 - len("_dra_12345678_kept")
NOT_ALLOWED = (1044, 1142, 1227)
"""Error numbers of the server."""


class Server:
    """What we ask of the server beside the loading, by short connections of our own.

    :param connector: the :class:`~django_rclone_admin.connectors.mysql.MysqlDumpConnector` it works for.
    """

    def __init__(self, connector: Any) -> None:
        self._connector = connector
        with self.cursor() as cursor:
            cursor.execute("SELECT DATABASE()")
            self.live: str = cursor.fetchone()[0]

    @contextlib.contextmanager
    def cursor(self) -> Iterator[Any]:
        """Open a cursor in autocommit mode.

        :raises ProgramFailed: the server refuses or does not answer.
        """
        connection = connections.create_connection(self._connector.alias)
        # Older versions of Django speak an utf8 that has no emoji; a definition may have some.
        options = {**connection.settings_dict.get("OPTIONS", {}), "charset": "utf8mb4"}
        connection.settings_dict = {**connection.settings_dict, "AUTOCOMMIT": True, "OPTIONS": options}
        try:
            with connection.cursor() as cursor:
                yield cursor
        except DatabaseError as error:
            told = " ".join(map(str, error.args))
            explained: BackupError = self._connector.script("").explain("MySQL", 1, told)
            raise ProgramFailed(
                gettext_noop("The database server said: %(reason)s"),
                hint=explained.hint_template,
                reason=told,
            ) from error
        finally:
            connection.close()

    # -- schemas ----------------------------------------------------------------------------------------------------

    def new_name(self) -> str:
        """Return a name for a schema that belongs to the live one."""
        return f"{self._prefix}_dra_{uuid.uuid4().hex[:8]}"

    @property
    def _prefix(self) -> str:
        digest = hashlib.sha256(self.live.encode()).hexdigest()[:8]
        return self.live if len(self.live) <= NAME_BYTES else f"{self.live[: NAME_BYTES - 9]}_{digest}"

    def create(self, schema: str) -> None:
        """Create an empty schema with the character set of the live one.

        :raises RestoreRefused: the user may not.
        """
        with self.cursor() as cursor:
            cursor.execute(
                "SELECT DEFAULT_CHARACTER_SET_NAME, DEFAULT_COLLATION_NAME FROM information_schema.SCHEMATA"
                " WHERE SCHEMA_NAME = %s",
                [self.live],
            )
            charset, collation = cursor.fetchone()
            try:
                cursor.execute(f"CREATE DATABASE {quote(schema)} CHARACTER SET {charset} COLLATE {collation}")
            except DatabaseError as error:
                if error.args[0] not in NOT_ALLOWED:
                    raise
                raise RestoreRefused(
                    gettext_noop(
                        "The database user may not create the schema that a restore is loaded into first."
                    ),
                    hint=gettext_noop(
                        "Nothing was changed. Run GRANT ALL ON `%(pattern)s`.* for it, or say "
                        "“--strategy in_place”, which is not all-or-nothing."
                    ),
                    pattern=self._prefix.replace("_", "\\_") + "\\_dra\\_%",
                ) from error

    def drop(self, schema: str) -> None:
        """Drop a schema with all that is in it."""
        with self.cursor() as cursor:
            cursor.execute(f"DROP DATABASE IF EXISTS {quote(schema)}")

    def tables(self, cursor: Any, schema: str) -> list[str]:
        """Return the tables of a schema, without ours and without views."""
        cursor.execute(
            "SELECT TABLE_NAME FROM information_schema.TABLES WHERE TABLE_SCHEMA = %s"
            " AND TABLE_TYPE <> 'VIEW' ORDER BY TABLE_NAME",
            [schema],
        )
        ours = {*self._connector.history_tables, BEFORE, PLAN, USED}
        return [name for (name,) in cursor.fetchall() if name not in ours]

    def has_table(self, cursor: Any, schema: str, table: str) -> bool:
        """Whether there is such a table; false where there is no such schema."""
        cursor.execute(
            "SELECT 1 FROM information_schema.TABLES WHERE TABLE_SCHEMA = %s AND TABLE_NAME = %s",
            [schema, table],
        )
        return cursor.fetchone() is not None

    def has_kept(self, cursor: Any, schema: str) -> bool:
        """Whether a schema holds what was live before an exchange: that is what has put this table there."""
        return self.has_table(cursor, schema, BEFORE)

    # -- what runs that died have left ------------------------------------------------------------------------------

    def sweep(self) -> None:
        """Undo what was not finished, and drop the schemas of runs that have ended without doing so."""
        for schema in self._belonging():
            with self.cursor() as cursor:
                is_kept = schema.endswith(KEPT) and self.has_kept(cursor, schema)
            if is_kept:
                self.repair(schema)
            else:
                self.clear(schema)

    def clear(self, schema: str) -> None:
        """Drop a schema that did not become live, with what waits to happen to it."""
        self.end_connections(schema)
        self.repair(schema)
        self.drop(schema)

    def drop_older(self, kept: str) -> None:
        """Drop what was kept by restores before this one."""
        for schema in self._belonging():
            if schema.endswith(KEPT) and schema != kept:
                self.drop(schema)

    def _belonging(self) -> list[str]:
        pattern = re.compile(re.escape(self._prefix) + rf"_dra_[0-9a-f]{{8}}({KEPT})?", re.IGNORECASE)
        with self.cursor() as cursor:
            cursor.execute("SELECT SCHEMA_NAME FROM information_schema.SCHEMATA")
            return [name for (name,) in cursor.fetchall() if pattern.fullmatch(name)]

    def end_connections(self, *schemas: str, number: int = 0) -> None:
        """Kill our user's connections to these schemas, and the one of this number, and wait for their end.

        A server goes on with a statement, and waits for its locks, when the client is gone.
        """
        deadline = time.monotonic() + GONE_SECONDS
        marks = ", ".join(["%s"] * len(schemas))
        while True:
            with self.cursor() as cursor:
                cursor.execute(
                    f"SELECT ID FROM information_schema.PROCESSLIST WHERE ID = %s OR DB IN ({marks})",
                    [number, *schemas],
                )
                left = [each for (each,) in cursor.fetchall()]
                for each in left:
                    with contextlib.suppress(DatabaseError):  # it has ended just now
                        cursor.execute(f"KILL {each:d}")
            if not left or time.monotonic() > deadline:
                return
            time.sleep(0.05)

    def repair(self, schema: str) -> None:
        """Create those triggers and views anew that an exchange, which then did not happen, had taken away."""
        plan = f"{quote(schema)}.{PLAN}"
        with self.cursor() as cursor:
            if not self.has_table(cursor, schema, PLAN):
                return
            there = set(names(cursor, self.live))
            missing = [
                each
                for each in stored(cursor, plan)
                if each.kind in ("TRIGGER", "VIEW") and each.key not in there
            ]
        if missing:
            self.check(self.run(self.live, "".join(each.create() for each in missing)))
        with self.cursor() as cursor:
            cursor.execute(f"DROP TABLE {plan}")

    # -- statements of our own ---------------------------------------------------------------------------------------

    def run(self, schema: str, script: str) -> Completed:
        """Carry out a script of statements by the client program, which stops at the first that fails."""
        return run_script(self._connector.script(schema), script)

    def check(self, done: Completed) -> None:
        """Raise the error of a script that failed."""
        if done.status:
            raise self.error(done)

    def error(self, done: Completed) -> BackupError:
        """Return the error of a script that failed."""
        command = self._connector.script("")
        error: BackupError = command.explain(command.name, done.status, done.errors)
        return error
