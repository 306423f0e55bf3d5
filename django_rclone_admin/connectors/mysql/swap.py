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
from collections.abc import Sequence
from typing import Any

from ...core.control import Control
from ...core.programs import Completed
from ...exceptions import BackupError, BackupNotFound, ProgramFailed, gettext_noop
from .definitions import Definition, difference, quote, read, store, stored, triggers
from .server import BEFORE, KEPT, PLAN, USED, Server
from .streams import DumpText, LoaderSink

LOCK_SECONDS = 30
"""How long the exchange waits for the transactions of others before it gives up."""
Move = tuple[str, str, str, str]
"""Of a table: from a schema, into a schema, by name, under a name."""


class SwapSink:
    """Fills a new schema; ``commit`` puts it in the place of the live one.

    :param connector: the :class:`~django_rclone_admin.connectors.mysql.MysqlDumpConnector` it works for.
    """

    def __init__(self, connector: Any, control: Control) -> None:
        self._connector, self._control = connector, control
        self._server = Server(connector)
        self._new = self._server.new_name()
        self._text = DumpText(silence_events=True)
        self._loader = LoaderSink(connector.load(self._new))
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
        self._control.confirm()
        exchange(server, new, self.kept, definitions)
        self._is_done = True
        with contextlib.suppress(BackupError):  # the restore has succeeded; the next one sweeps
            server.drop(new)
            self._control.confirm()  # what is kept now may be what a later restore kept
            server.drop_older(self.kept)

    def abort(self) -> None:
        self._loader.abort()

    def close(self) -> None:
        self._loader.close()
        if not self._is_done:
            # The next restore drops it otherwise; what has failed already is what people must hear of.
            with contextlib.suppress(BackupError):
                self._server.clear(self._new)


def put_back(connector: Any, kept: str, aside: str) -> None:
    """Exchange the live tables with kept ones; what was live is then kept as ``aside``."""
    server = Server(connector)
    server.sweep()
    with server.cursor() as cursor:
        if not server.has_kept(cursor, kept):
            raise BackupNotFound(
                gettext_noop("The tables that the restore replaced are not there any more."),
                hint=gettext_noop("Nothing was changed. Restore the backup that was made before it."),
            )
        definitions = stored(cursor, f"{quote(kept)}.{BEFORE}")
    exchange(server, kept, aside, definitions)
    with contextlib.suppress(BackupError):  # the undo has succeeded; the next restore sweeps
        server.drop(kept)


def exchange(server: Server, incoming: str, outgoing: str, new: list[Definition]) -> None:
    """Move the live tables into a new schema, and those of ``incoming`` into the live one.

    :param new: the views, triggers, routines and events that the live schema shall have.
    :raises BackupError: nothing was changed; or the tables were exchanged, and the message says so.
    """
    server.create(outgoing)
    try:
        with server.cursor() as cursor:
            old = read(cursor, server.live)
            _probe(cursor, outgoing, [*old, *new])
            moves = [(server.live, outgoing, name, name) for name in server.tables(cursor, server.live)]
            moves += [(incoming, server.live, name, name) for name in server.tables(cursor, incoming)]
            moves += [(incoming, outgoing, PLAN, BEFORE)]
            if server.has_table(cursor, incoming, BEFORE):
                moves += [(incoming, outgoing, BEFORE, USED)]
            store(cursor, f"{quote(incoming)}.{PLAN}", old)
    except BaseException:
        with contextlib.suppress(BackupError):
            server.drop(outgoing)
        raise
    after = _after(server.live, old, new)
    done = server.run(outgoing, _before(server.live, old, moves) + after)
    if done.status:
        _settle(server, done, incoming, outgoing, after)


def _before(live_schema: str, old: list[Definition], moves: Sequence[Move]) -> str:
    """Return the statements up to the exchange of the tables, that included."""
    here = quote(live_schema)
    statements = [
        "SELECT CONNECTION_ID()",
        f"SET SESSION lock_wait_timeout = {LOCK_SECONDS}, SESSION foreign_key_checks = 1",
    ]
    if taken_off := triggers(old):
        # Whether the tables are to be had is found out while all their triggers are still there.
        live = [name for source, _target, name, _new_name in moves if source == live_schema]
        statements += ["LOCK TABLES " + ", ".join(f"{here}.{quote(name)} WRITE" for name in live)]
        statements += ["UNLOCK TABLES"]
        statements += [f"DROP TRIGGER IF EXISTS {here}.{quote(each.name)}" for each in taken_off]
    coming = {name for _source, target, _name, name in moves if target == live_schema}
    views = sorted(each.name for each in old if each.kind == "VIEW" and each.name in coming)
    statements += [f"DROP VIEW IF EXISTS {here}.{quote(name)}" for name in views]
    return "".join(f"{each};\n" for each in [*statements, _rename(moves)])


def _after(live_schema: str, old: list[Definition], new: list[Definition]) -> str:
    """Return the statements after the exchange. They may be carried out twice."""
    ours = "".join(each.drop + each.create() for each in triggers(new))
    return f"USE {quote(live_schema)};\n{ours}{difference(old, new)}"


def _settle(server: Server, done: Completed, incoming: str, outgoing: str, after: str) -> None:
    """Find out what a client that failed has done; finish it if the tables were exchanged, else take it back."""
    error = server.error(done)
    number = done.output.split(b"\n", 1)[0]
    server.end_connections(incoming, outgoing, number=int(number) if number.isdigit() else 0)
    with server.cursor() as cursor:
        has_happened = server.has_kept(cursor, outgoing)
    if not has_happened:
        server.repair(incoming)
        server.drop(outgoing)
        raise error
    if (again := server.run(server.live, after)).status:
        reason = server.error(again)
        raise ProgramFailed(
            gettext_noop(
                "The tables are those of the backup, but not every view, trigger and routine is: %(reason)s"
            ),
            hint=gettext_noop("The replaced tables are in the schema %(kept)s. Restore again."),
            reason=str(reason),
            kept=outgoing,
        ) from reason


def _probe(cursor: Any, schema: str, definitions: list[Definition]) -> None:
    """Find out whether we may create things in the name of everybody who owns one, before any is taken away."""
    for definer in {each.definer for each in definitions if each.definer}:
        cursor.execute(f"CREATE DEFINER={definer} VIEW {quote(schema)}._dra_probe AS SELECT 1 AS one")
        cursor.execute(f"DROP VIEW {quote(schema)}._dra_probe")


def _rename(moves: Sequence[Move]) -> str:
    """Return the one statement that carries out all moves."""
    return "RENAME TABLE " + ", ".join(
        f"{quote(source)}.{quote(name)} TO {quote(target)}.{quote(new_name)}"
        for source, target, name, new_name in moves
    )
