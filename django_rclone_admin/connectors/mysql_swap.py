"""Restore MySQL into a schema of its own, then put its tables in the place of the live ones by one ``RENAME TABLE``.

That statement is atomic, and moves tables between schemas; their foreign keys follow them. What was replaced lands in
a third schema and is kept: undo is the same the other way round. One more table travels with the others, from the new
schema into the kept one: where it is tells whether the exchange has happened, whoever was killed meanwhile.

Views, triggers, routines and events can't be moved. Those that differ are created anew around the exchange, all of it
by one client program that has its whole script from the start, and so comes to its end if we do not. If the client or
its connection is what dies, we finish the work, or take it back.
"""

from __future__ import annotations

import contextlib
import hashlib
import re
import time
import uuid
from collections.abc import Iterator, Sequence
from typing import Any

from django.db import DatabaseError, connections

from ..engine.command import Completed
from ..engine.mysql import DumpText, run_script
from ..engine.transfer import CommandSink
from ..exceptions import BackupError, BackupNotFound, ProgramFailed, RestoreRefused
from ..exceptions import gettext_noop as _
from .mysql_definitions import Definition, difference, quote, read, store, stored, triggers

LOCK_SECONDS = 30
"""How long the exchange waits for the transactions of others before it gives up."""
GONE_SECONDS = 60
"""How long to wait for the end of a connection that was killed."""
BEFORE = "_dra_before"
"""The table that travels: the definitions of what was live before the exchange."""
PLAN = "_dra_plan"
"""The same table before the exchange."""
USED = "_dra_used"
"""What became of it when the kept tables were put back: they can't be put back twice."""
KEPT = "_kept"
NOT_ALLOWED = (1044, 1142, 1227)
"""Error numbers of the server."""
Move = tuple[str, str, str, str]
"""Of a table: from a schema, into a schema, by name, under a name."""
NAME_BYTES = 64 - len("_dra_12345678_kept")


class SwapSink:
    """Fills a new schema; ``commit`` puts it in the place of the live one.

    :param connector: the :class:`~django_rclone_admin.connectors.mysql.MysqlDumpConnector` it works for.
    """

    def __init__(self, connector: Any) -> None:
        self._connector = connector
        self._server = Server(connector)
        self._new = self._server.new_name()
        self._text = DumpText(silence_events=True)
        self._loader = CommandSink(connector.load(self._new))
        self._is_done = False
        self.kept = self._new + KEPT
        self.vanished: list[str] = []

    def open(self) -> None:
        self._server.sweep()
        self._server.create(self._new)
        self._loader.open()

    def write(self, data: bytes) -> None:
        for piece in self._text.feed(data):
            self._loader.write(piece)

    def commit(self) -> None:
        self._loader.write(self._text.finish())
        self._loader.commit()
        server, new = self._server, self._new
        with server.cursor() as cursor:
            definitions = read(cursor, new, self._text.enabled_events)
            for each in triggers(definitions):  # a table that has one can't be moved
                cursor.execute(each.drop)
            before, after = server.tables(cursor, server.live), server.tables(cursor, new)
        self.vanished = sorted(set(before) - set(after))
        server.exchange(new, self.kept, definitions)
        self._is_done = True
        with contextlib.suppress(BackupError):  # the restore has succeeded; the next one sweeps
            server.drop(new)
            server.drop_older(self.kept)

    def abort(self) -> None:
        self._loader.abort()

    def close(self) -> None:
        self._loader.close()
        if not self._is_done:
            # The next restore drops it otherwise; what has failed already is what people must hear of.
            with contextlib.suppress(BackupError):
                self._server.clear(self._new)


def put_back(connector: Any, kept: str) -> None:
    """Exchange the live tables with kept ones; what was live is then kept under that name."""
    server = Server(connector)
    server.sweep()
    with server.cursor() as cursor:
        if not server.has_table(cursor, kept, BEFORE):
            raise BackupNotFound(
                _("The tables that the restore replaced are not there any more."),
                hint=_("Nothing was changed. Restore the backup that was made before it."),
            )
        definitions = stored(cursor, f"{quote(kept)}.{BEFORE}")
    aside = server.new_name()
    server.exchange(kept, aside, definitions)
    with contextlib.suppress(BackupError), server.cursor() as cursor:
        cursor.execute(
            _rename([(aside, kept, each, each) for each in [*server.tables(cursor, aside), BEFORE]])
        )
        server.drop(aside)


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
        try:
            with connection.cursor() as cursor:
                yield cursor
        except DatabaseError as error:
            told = " ".join(map(str, error.args))
            explained: BackupError = self._connector.script("").explain("MySQL", 1, told)
            raise ProgramFailed(
                _("The database server said: %(reason)s"), hint=explained.hint_template, reason=told
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
                    _("The database user may not create the schema that a restore is loaded into first."),
                    hint=_(
                        "Nothing was changed. Run GRANT ALL ON `%(pattern)s`.* for it, or say "
                        "“--strategy in_place”, which is not all or nothing."
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

    # -- what runs that died have left ------------------------------------------------------------------------------

    def sweep(self) -> None:
        """Undo what was not finished, and drop the schemas of runs that have ended without doing so."""
        for schema in self._belonging():
            with self.cursor() as cursor:
                is_kept = schema.endswith(KEPT) and self.has_table(cursor, schema, BEFORE)
            if is_kept:
                self._repair(schema)
            else:
                self.clear(schema)

    def clear(self, schema: str) -> None:
        """Drop a schema that did not become live, with what waits to happen to it."""
        self._end_connections(schema)
        self._repair(schema)
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

    def _end_connections(self, *schemas: str, number: int = 0) -> None:
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

    def _repair(self, schema: str) -> None:
        """Create those triggers anew that an exchange, which then did not happen, had taken off the live tables."""
        plan = f"{quote(schema)}.{PLAN}"
        with self.cursor() as cursor:
            if not self.has_table(cursor, schema, PLAN):
                return
            wanted = triggers(stored(cursor, plan))
            cursor.execute(
                "SELECT TRIGGER_NAME FROM information_schema.TRIGGERS WHERE TRIGGER_SCHEMA = %s", [self.live]
            )
            there = {name for (name,) in cursor.fetchall()}
        if missing := [each for each in wanted if each.name not in there]:
            self._check(self._run(self.live, "".join(each.create() for each in missing)))
        with self.cursor() as cursor:
            cursor.execute(f"DROP TABLE {plan}")

    # -- the exchange -----------------------------------------------------------------------------------------------

    def exchange(self, incoming: str, outgoing: str, new: list[Definition]) -> None:
        """Move the live tables into a new schema, and those of ``incoming`` into the live one.

        :param new: the views, triggers, routines and events that the live schema shall have.
        :raises BackupError: nothing was changed; or the tables were exchanged, and the message says so.
        """
        self.create(outgoing)
        try:
            with self.cursor() as cursor:
                old = read(cursor, self.live)
                self._probe(cursor, outgoing, [*old, *new])
                moves = [(self.live, outgoing, name, name) for name in self.tables(cursor, self.live)]
                moves += [(incoming, self.live, name, name) for name in self.tables(cursor, incoming)]
                moves += [(incoming, outgoing, PLAN, BEFORE)]
                if self.has_table(cursor, incoming, BEFORE):
                    moves += [(incoming, outgoing, BEFORE, USED)]
                store(cursor, f"{quote(incoming)}.{PLAN}", old)
        except BaseException:
            with contextlib.suppress(BackupError):
                self.drop(outgoing)
            raise
        done = self._run(outgoing, self._before(old, moves) + self._after(old, new))
        if done.status:
            self._settle(done, incoming, outgoing, self._after(old, new))

    def _before(self, old: list[Definition], moves: Sequence[Move]) -> str:
        """Return the statements up to the exchange of the tables, that included."""
        here = quote(self.live)
        statements = [
            "SELECT CONNECTION_ID()",
            f"SET SESSION lock_wait_timeout = {LOCK_SECONDS}, SESSION foreign_key_checks = 1",
        ]
        if taken_off := triggers(old):
            # Whether the tables are to be had is found out while all their triggers are still there.
            live = [name for source, _target, name, _new_name in moves if source == self.live]
            statements += ["LOCK TABLES " + ", ".join(f"{here}.{quote(name)} WRITE" for name in live)]
            statements += ["UNLOCK TABLES"]
            statements += [f"DROP TRIGGER IF EXISTS {here}.{quote(each.name)}" for each in taken_off]
        coming = {name for _source, target, _name, name in moves if target == self.live}
        views = sorted(each.name for each in old if each.kind == "VIEW" and each.name in coming)
        statements += [f"DROP VIEW IF EXISTS {here}.{quote(name)}" for name in views]
        return "".join(f"{each};\n" for each in [*statements, _rename(moves)])

    def _after(self, old: list[Definition], new: list[Definition]) -> str:
        """Return the statements after the exchange. They may be carried out twice."""
        ours = "".join(each.drop + each.create() for each in triggers(new))
        return f"USE {quote(self.live)};\n{ours}{difference(old, new)}"

    def _settle(self, done: Completed, incoming: str, outgoing: str, after: str) -> None:
        """Find out what a client that failed has done; finish it if the tables were exchanged, else take it back."""
        error = self._error(done)
        number = done.output.split(b"\n", 1)[0]
        self._end_connections(incoming, outgoing, number=int(number) if number.isdigit() else 0)
        with self.cursor() as cursor:
            has_happened = self.has_table(cursor, outgoing, BEFORE)
        if not has_happened:
            self._repair(incoming)
            self.drop(outgoing)
            raise error
        if (again := self._run(self.live, after)).status:
            reason = self._error(again)
            raise ProgramFailed(
                _(
                    "The tables are those of the backup, but not every view, trigger and routine is: %(reason)s"
                ),
                hint=_("The replaced tables are in the schema %(kept)s. Restore again."),
                reason=str(reason),
                kept=outgoing,
            ) from reason

    def _probe(self, cursor: Any, schema: str, definitions: list[Definition]) -> None:
        """Find out whether we may create things in the name of everybody who owns one, before any is taken away."""
        for definer in {each.definer for each in definitions if each.definer}:
            cursor.execute(f"CREATE DEFINER={definer} VIEW {quote(schema)}._dra_probe AS SELECT 1 AS one")
            cursor.execute(f"DROP VIEW {quote(schema)}._dra_probe")

    def _run(self, schema: str, script: str) -> Completed:
        return run_script(self._connector.script(schema), script)

    def _check(self, done: Completed) -> None:
        if done.status:
            raise self._error(done)

    def _error(self, done: Completed) -> BackupError:
        command = self._connector.script("")
        error: BackupError = command.explain(command.name, done.status, done.errors)
        return error


def _rename(moves: Sequence[Move]) -> str:
    """Return the one statement that carries out all moves."""
    return "RENAME TABLE " + ", ".join(
        f"{quote(source)}.{quote(name)} TO {quote(target)}.{quote(new_name)}"
        for source, target, name, new_name in moves
    )
