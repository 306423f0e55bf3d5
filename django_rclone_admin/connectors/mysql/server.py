"""Administers a MySQL server besides loading: schemas, tables, connections, and our own statements."""

from __future__ import annotations

import contextlib
import hashlib
import logging
import re
import time
import uuid
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any

from django.db import DatabaseError, connections

from ...core.programs import Completed
from ...exceptions import BackupError, ProgramFailed, RestoreRefused, gettext_noop
from .columns import Default
from .definitions import Definition, grant_pattern, names, needed_mode, quote, stored
from .streams import run_script
from .written import Written

logger = logging.getLogger(__name__)

GONE_SECONDS = 60
"""How long to wait for the end of a killed connection."""
BEFORE = "_dra_before"
"""The table that moves with the others: it contains the definitions that were live before."""
PLAN = "_dra_plan"
"""The name of that table before the exchange."""
USED = "_dra_used"
"""Its name after an undo: kept tables can't be used for a second undo."""
OPENED = "_dra_opened"
"""In the schema of an opened backup, the definitions for the time when it becomes live."""
KEPT = "_kept"
"""The suffix of a schema with the tables that a restore replaced."""
NAME_BYTES = 64 - len("_dra_12345678_kept")
MULTI_STATEMENTS_OFF = 1
"""Limit of MySQL's protocol."""
NOT_THERE_YET = (1146, 1305, 1356)
"""Error numbers of a view that needs another view, which may be created later."""
NOT_ALLOWED = (1044, 1142, 1227)
"""Error numbers of the server."""


class Server:
    """Administers the server, by short connections.

    :param connector: the :class:`~django_rclone_admin.connectors.mysql.MysqlDumpConnector` it works for.
    :param settings: those of another server or user than the live database's.
    """

    def __init__(self, connector: Any, settings: Mapping[str, Any] | None = None) -> None:
        self._connector, self._settings = connector, settings
        with self.cursor() as cursor:
            cursor.execute("SELECT DATABASE()")
            self.live: str = cursor.fetchone()[0]

    @contextlib.contextmanager
    def cursor(self) -> Iterator[Any]:
        """Open a cursor in autocommit mode.

        :raises ProgramFailed: the server refuses the connection or does not answer.
        """
        connection = connections.create_connection(self._connector.alias)
        settings = {**connection.settings_dict, **(self._settings or {})}
        # Older versions of Django use a utf8 without four-byte characters; a definition may contain some.
        options = {**settings.get("OPTIONS", {}), "charset": "utf8mb4", "local_infile": False}
        connection.settings_dict = {**settings, "AUTOCOMMIT": True, "OPTIONS": options}
        try:
            with connection.cursor() as cursor:
                _allow_one_statement(connection.connection)
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

    def packet(self) -> int:
        """Return the longest statement that the server accepts, in bytes."""
        with self.cursor() as cursor:
            cursor.execute("SELECT @@max_allowed_packet")
            return int(cursor.fetchone()[0])

    # -- schemas ----------------------------------------------------------------------------------------------------

    def new_name(self) -> str:
        """Return a new name for a schema that belongs to the live one."""
        return f"{self.prefix()}_dra_{uuid.uuid4().hex[:8]}"

    def prefix(self, room: int = NAME_BYTES) -> str:
        """Return the prefix of the names of schemas that belong to the live one.

        :param room: characters; a longer name is truncated, and made unique by its digest.
        """
        digest = hashlib.sha256(self.live.encode()).hexdigest()[:8]
        return self.live if len(self.live) <= room else f"{self.live[: room - 9]}_{digest}"

    def create(self, schema: str) -> None:
        """Create an empty schema with the character set of the live one.

        :raises RestoreRefused: the user lacks the right.
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
                    gettext_noop("The database user may not create the schema for the backup."),
                    hint=gettext_noop(
                        "Nothing was changed. Run GRANT ALL ON `%(pattern)s`.* for it. A restore can also use "
                        "“--strategy in_place”, which is not all-or-nothing."
                    ),
                    pattern=grant_pattern(schema),
                    reason=" ".join(map(str, error.args)),
                ) from error

    def drop(self, schema: str) -> None:
        """Drop a schema with all its objects."""
        with self.cursor() as cursor:
            try:
                cursor.execute(f"DROP DATABASE IF EXISTS {quote(schema)}")
            except DatabaseError as error:  # without rights on it, even a missing schema can't be dropped
                if error.args[0] not in NOT_ALLOWED or self.matching(re.escape(schema)):
                    raise

    def tables(self, cursor: Any, schema: str) -> list[str]:
        """Return the tables of a schema, without this package's and without views."""
        cursor.execute(
            "SELECT TABLE_NAME FROM information_schema.TABLES WHERE TABLE_SCHEMA = %s"
            " AND TABLE_TYPE <> 'VIEW' ORDER BY TABLE_NAME",
            [schema],
        )
        ours = {*self._connector.history_tables, BEFORE, PLAN, USED, OPENED}
        return [name for (name,) in cursor.fetchall() if name not in ours]

    def has_table(self, cursor: Any, schema: str, table: str) -> bool:
        """Whether the table exists; false where the schema does not exist."""
        cursor.execute(
            "SELECT 1 FROM information_schema.TABLES WHERE TABLE_SCHEMA = %s AND TABLE_NAME = %s",
            [schema, table],
        )
        return cursor.fetchone() is not None

    def has_kept(self, cursor: Any, schema: str) -> bool:
        """Whether a schema contains the tables that an exchange replaced: the exchange has moved this table into it."""
        return self.has_table(cursor, schema, BEFORE)

    # -- remains of killed runs -------------------------------------------------------------------------------------

    def sweep(self) -> None:
        """Revert unfinished exchanges, and drop the schemas that killed runs left behind."""
        for schema in self.belonging():
            with self.cursor() as cursor:
                is_kept = schema.endswith(KEPT) and self.has_kept(cursor, schema)
            if is_kept:
                self.repair(schema)
            else:
                self.clear(schema)

    def clear(self, schema: str) -> None:
        """Drop a schema that did not become live, after ending pending statements on it."""
        self.end_connections(schema)
        self.repair(schema)
        self.drop(schema)

    def drop_older(self, kept: str) -> None:
        """Drop the tables that earlier restores kept."""
        for schema in self.belonging():
            if schema.endswith(KEPT) and schema != kept:
                self.drop(schema)

    def belonging(self) -> list[str]:
        """Return the schemas that restores of the live one created."""
        return self.matching(re.escape(self.prefix()) + rf"_dra_[0-9a-f]{{8}}({KEPT})?")

    def matching(self, pattern: str) -> list[str]:
        """Return the schemas whose full name matches a regular expression."""
        with self.cursor() as cursor:
            cursor.execute("SELECT SCHEMA_NAME FROM information_schema.SCHEMATA")
            found = [name for (name,) in cursor.fetchall()]
        return [name for name in found if re.fullmatch(pattern, name, re.IGNORECASE)]

    def end_connections(self, *schemas: str, number: int = 0) -> None:
        """Kill our user's connections to these schemas, and the connection with this number, and wait for their end.

        A server continues a statement, and waits for its locks, after the client is gone.
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
                    with contextlib.suppress(DatabaseError):  # it has ended already
                        cursor.execute(f"KILL {each:d}")
            if not left or time.monotonic() > deadline:
                return
            time.sleep(0.05)

    def repair(self, schema: str) -> None:
        """Recreate the triggers and views that were dropped for an exchange that did not happen."""
        plan = f"{quote(schema)}.{PLAN}"
        with self.cursor() as cursor:
            if not self.has_table(cursor, schema, PLAN):
                return
            there = set(names(cursor, self.live))
            wanted = [each for each in stored(cursor, plan) if each.kind in ("TRIGGER", "VIEW")]
            missing = [each for each in wanted if each.key not in there]
        if missing:
            self.create_in(self.live, missing)
        with self.cursor() as cursor:
            cursor.execute(f"DROP TABLE {plan}")

    # -- statements of our own ---------------------------------------------------------------------------------------

    def create_definitions(
        self, schema: str, written: Iterable[Written], choose: Callable[[Written], bytes]
    ) -> None:
        """Create the views, triggers, routines and events of a dump; the server receives each as one statement.

        :param choose: returns the statement.
        :raises ProgramFailed: the server refuses one.
        """
        order = ("FUNCTION", "PROCEDURE", "PACKAGE", "PACKAGE BODY", "VIEW", "TRIGGER", "EVENT")
        waiting = sorted(written, key=lambda each: order.index(each.kind))
        with self.cursor() as cursor:
            cursor.execute(f"USE {quote(schema)}")
            for each in waiting:
                for statement in (*needed_mode(each.kind), f"DROP {each.kind} IF EXISTS {quote(each.name)}"):
                    cursor.execute(statement)
            while waiting:
                later = [each for each in waiting if not _create(cursor, each, choose(each))]
                if len(later) == len(waiting):  # no progress: what they need does not exist
                    _create(cursor, later[0], choose(later[0]), may_wait=False)
                waiting = later

    def set_defaults(self, schema: str, defaults: Iterable[Default]) -> list[Default]:
        """Set defaults that use a sequence of the live schema; return those whose sequence is still missing there."""
        later = []
        with self.cursor() as cursor:
            cursor.execute(f"USE {quote(self.live)}")
            for each in defaults:
                if all(self.has_table(cursor, self.live, name) for name in each.sequences):
                    cursor.execute(each.alteration(schema).decode())
                else:
                    later.append(each)
        return later

    def create_in(self, schema: str, definitions: Sequence[Definition]) -> None:
        """Create views, triggers and routines that were read from the server before.

        :raises BackupError: one of them could not be created.
        """
        if not definitions:
            return
        done, interruption = self.run_to_end(schema, b"".join(each.create() for each in definitions))
        if done.status:
            raise self.error(done)
        if interruption:
            raise interruption

    def run_to_end(self, schema: str, script: bytes) -> tuple[Completed, BaseException | None]:
        """Execute a script by the client program to its end, even if this process is interrupted; see ``run_script``."""
        return run_script(self._connector.script(schema), script)

    def drop_quietly(self, schema: str) -> None:
        """Drop a schema, or leave it to the next restore on an error, so that an earlier error is reported."""
        try:
            self.drop(schema)
        except BackupError as error:
            logger.warning("The schema %s could not be dropped: %s", schema, error)

    def error(self, done: Completed) -> BackupError:
        """Return the error of a failed script."""
        command = self._connector.script("")
        error: BackupError = command.explain(command.name, done.status, done.errors)
        return error


def _create(cursor: Any, each: Written, statement: bytes, *, may_wait: bool = True) -> bool:
    """Create a definition of a dump; return whether it was created, and not postponed."""
    settings = {
        "sql_mode": each.session.sql_mode,
        "collation_connection": each.session.collation_connection,
        "time_zone": each.session.time_zone,
        "character_set_client": each.session.character_set_client,  # last: later text must be in that charset
    }
    given = [(name, value) for name, value in settings.items() if value or name == "sql_mode"]
    cursor.execute(
        "SET " + ", ".join(f"SESSION {name} = %s" for name, _value in given),
        [value for _name, value in given],
    )
    try:
        with cursor.db.wrap_database_errors:
            cursor.cursor.execute(statement)
    except DatabaseError as error:
        if not may_wait or each.kind != "VIEW" or error.args[0] not in NOT_THERE_YET:
            raise
        return False
    finally:
        cursor.execute("SET SESSION character_set_client = utf8mb4")
    return True


def _allow_one_statement(driver: Any) -> None:
    """Make the server refuse a second statement in one text. PyMySQL never allows it; MySQLdb has an option."""
    if hasattr(driver, "set_server_option"):
        driver.set_server_option(MULTI_STATEMENTS_OFF)
