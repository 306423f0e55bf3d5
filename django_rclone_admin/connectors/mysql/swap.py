"""Restores MySQL into a new schema, then replaces the live tables by one ``RENAME TABLE``.

That statement is atomic and moves tables between schemas; their foreign keys follow them. The replaced tables go into
a third schema and are kept: undo is the same in reverse. One more table moves with the others, from the new schema
into the kept one: its place tells whether the exchange has happened, even if processes were killed meanwhile.

Views, triggers, routines and events can't be moved. Those that differ are recreated around the exchange by one client
program. It has the complete script from the start, so it finishes even if this process does not. If the client or
its connection dies, this process completes the work or reverts it.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Sequence
from typing import Any

from ...core.control import Control
from ...core.programs import Completed
from ...exceptions import BackupError, BackupNotFound, HalfDone, OutcomeUnknown, gettext_noop
from . import foreign_keys
from .definitions import Definition, difference, quote, read, store, stored, triggers
from .filling import Filling
from .server import BEFORE, KEPT, PLAN, USED, Server

logger = logging.getLogger(__name__)

LOCK_SECONDS = 30
"""How long the exchange waits for other transactions before it gives up."""
ANSWER_SECONDS = 30
"""How long an unresponsive server is queried for the outcome."""
PAUSE = 0.2
Move = tuple[str, str, str, str]
"""A table move: source schema, target schema, name, new name."""


class SwapSink(Filling):
    """Fills a new schema; ``commit`` replaces the live one with it."""

    def __init__(self, connector: Any, control: Control) -> None:
        super().__init__(connector, control)
        self.swap = Swap(self._server, self._new, self._new + KEPT, control)

    def open(self) -> None:
        self._server.sweep()
        super().open()

    def commit(self) -> None:
        super().commit()
        later = self._server.set_defaults(self._new, self._text.vetter.defaults)
        alterations = [each.alteration(self._server.live) for each in later]
        self.swap.carry_out(self.definitions(), alterations)

    def _is_kept(self) -> bool:
        return self.swap.is_done or self.swap.is_unknown


class Swap:
    """Replaces the live tables with those of a filled schema; the live tables are kept in another schema."""

    def __init__(self, server: Server, new: str, kept: str, control: Control) -> None:
        self._server, self._new, self._control = server, new, control
        self.kept = kept
        self.vanished: list[str] = []
        self.is_done = self.is_unknown = False
        """Whether the tables were exchanged; and whether that is unknown."""
        self.is_half_done = False
        """Whether views, triggers and routines match neither the previous state nor the backup."""

    def carry_out(self, definitions: list[Definition], alterations: Sequence[bytes]) -> None:
        """Exchange the tables.

        :param definitions: the future views, triggers, routines and events of the live schema.
        :param alterations: statements that need the future objects of the live schema.
        """
        server, new = self._server, self._new
        with server.cursor() as cursor:
            for each in triggers(definitions):  # a table with a trigger can't be moved
                cursor.execute(f"DROP TRIGGER IF EXISTS {quote(new)}.{quote(each.name)}")
            before, after = server.tables(cursor, server.live), server.tables(cursor, new)
        self.vanished = sorted(set(before) - set(after))
        self._control.confirm()
        self.is_unknown = True  # until the server confirms: an interrupt may come at any moment
        try:
            exchange(server, new, self.kept, definitions, alterations)
        except Exception as error:
            self.is_unknown = isinstance(error, OutcomeUnknown)
            self.is_half_done = isinstance(error, HalfDone)
            raise
        self.is_done, self.is_unknown = True, False
        _tidy(server, new, self.kept, self._control)


def put_back(connector: Any, kept: str, aside: str) -> None:
    """Exchange the live tables with kept ones; the live tables are then kept as ``aside``."""
    server = Server(connector)
    server.sweep()
    with server.cursor() as cursor:
        if not server.has_kept(cursor, kept):
            raise BackupNotFound(
                gettext_noop("The tables that the restore replaced no longer exist."),
                hint=gettext_noop("Nothing was changed. Restore the backup that was made before it."),
            )
        definitions = stored(cursor, f"{quote(kept)}.{BEFORE}")
    exchange(server, kept, aside, definitions)
    _tidy(server, kept, aside)


def exchange(
    server: Server, incoming: str, outgoing: str, new: list[Definition], alterations: Sequence[bytes] = ()
) -> None:
    """Move the live tables into a new schema, and those of ``incoming`` into the live one.

    :param new: the future views, triggers, routines and events of the live schema.
    :param alterations: statements that set column defaults, which need the new sequences of the live schema.
    :raises OutcomeUnknown: the server does not answer, and may have exchanged the tables.
    :raises BackupError: nothing was changed; or the tables were exchanged, as the message says.
    """
    server.create(outgoing)
    try:
        with server.cursor() as cursor:
            old = read(cursor, server.live, is_final=True)
            _probe(cursor, outgoing, [*old, *new])
            keys = foreign_keys.pointing_at(cursor, server.live, server.belonging())
            foreign_keys.check(cursor, server.live, incoming, outgoing, keys)
            moves = [(server.live, outgoing, name, name) for name in server.tables(cursor, server.live)]
            moves += [(incoming, server.live, name, name) for name in server.tables(cursor, incoming)]
            moves += [(incoming, outgoing, PLAN, BEFORE)]
            if server.has_table(cursor, incoming, BEFORE):
                moves += [(incoming, outgoing, BEFORE, USED)]
            store(cursor, f"{quote(incoming)}.{PLAN}", old)
    except BaseException:
        server.drop_quietly(outgoing)
        raise
    after = _after(server.live, old, new, alterations, keys)
    done, interruption = server.run_to_end(outgoing, _before(server.live, old, moves) + after)
    if done.status:
        _settle(server, done, incoming, outgoing, after)
    elif interruption:
        logger.warning("The restore had happened when it was stopped: %r", interruption)


def _before(live_schema: str, old: list[Definition], moves: Sequence[Move]) -> bytes:
    """Return the statements up to and including the exchange of the tables."""
    here = quote(live_schema)
    statements = [
        "SELECT CONNECTION_ID()",
        f"SET SESSION lock_wait_timeout = {LOCK_SECONDS}, SESSION foreign_key_checks = 1",
    ]
    if taken_off := triggers(old):
        # Lock the tables while all triggers still exist, to find out whether they are available.
        live = [name for source, _target, name, _new_name in moves if source == live_schema]
        statements += ["LOCK TABLES " + ", ".join(f"{here}.{quote(name)} WRITE" for name in live)]
        statements += ["UNLOCK TABLES"]
        statements += [f"DROP TRIGGER IF EXISTS {here}.{quote(each.name)}" for each in taken_off]
    coming = {name for _source, target, _name, name in moves if target == live_schema}
    views = sorted(each.name for each in old if each.kind == "VIEW" and each.name in coming)
    statements += [f"DROP VIEW IF EXISTS {here}.{quote(name)}" for name in views]
    return "".join(f"{each};\n" for each in [*statements, _rename(moves)]).encode()


def _after(
    live_schema: str,
    old: list[Definition],
    new: list[Definition],
    alterations: Sequence[bytes],
    keys: Sequence[foreign_keys.ForeignKey],
) -> bytes:
    """Return the statements after the exchange. Safe to execute twice."""
    statements = [f"USE {quote(live_schema)};\n".encode()]
    statements += [each + b";\n" for each in alterations]
    statements += [each.drop + each.create() for each in triggers(new)]
    statements += [difference(old, new)]
    if keys:
        # The server would copy whole tables to check the rows, and not find violations.
        statements += [b"SET SESSION foreign_key_checks = 0;\n", *(each.renewal for each in keys)]
    return b"".join(statements)


def _settle(server: Server, done: Completed, incoming: str, outgoing: str, after: bytes) -> None:
    """Find out what a failed client has done; complete it if the tables were exchanged, else revert it."""
    error = server.error(done)
    if not _has_happened(server, done, incoming, outgoing):
        try:
            server.repair(incoming)
        except BackupError as failure:
            raise HalfDone(
                gettext_noop(
                    "The restore failed. The tables are as they were, but not every trigger and view is: %(reason)s"
                ),
                hint=gettext_noop("The next restore creates them again before it does anything else."),
                reason=str(failure),
            ) from error
        server.drop_quietly(outgoing)
        raise error
    again, _interruption = server.run_to_end(server.live, after)
    if again.status:
        reason = server.error(again)
        raise HalfDone(
            gettext_noop(
                "The tables are those of the backup, but not every view, trigger and routine is: %(reason)s"
            ),
            hint=gettext_noop(
                "The replaced tables are in the schema %(kept)s. Restore again, or undo the restore with “--undo”."
            ),
            reason=str(reason),
            kept=outgoing,
        ) from reason


def _has_happened(server: Server, done: Completed, incoming: str, outgoing: str) -> bool:
    """Ask the server whether the tables were exchanged, and make sure that they will not be exchanged later.

    :raises OutcomeUnknown: the server does not answer.
    """
    number = done.output.split(b"\n", 1)[0]
    deadline = time.monotonic() + ANSWER_SECONDS
    while True:
        try:
            server.end_connections(incoming, outgoing, number=int(number) if number.isdigit() else 0)
            with server.cursor() as cursor:
                return server.has_kept(cursor, outgoing)
        except BackupError as error:
            if time.monotonic() > deadline:
                raise OutcomeUnknown(
                    gettext_noop(
                        "The connection to the database broke while the tables were changing places."
                    )
                ) from error
            time.sleep(PAUSE)


def _tidy(server: Server, done_with: str, kept: str, control: Control | None = None) -> None:
    """Drop the remains. The exchange has happened, so failures and stops are ignored here."""
    try:
        server.drop(done_with)
        if control:
            control.confirm()  # the kept data may belong to a later restore by now
            server.drop_older(kept)
    except BaseException as error:  # noqa: BLE001  (the next restore sweeps)
        logger.warning("What an earlier restore kept could not be dropped: %s", error)


def _probe(cursor: Any, schema: str, definitions: list[Definition]) -> None:
    """Check that we may create objects with each definer, before any object is dropped."""
    for definer in {each.definer for each in definitions if each.definer}:
        cursor.execute(f"CREATE DEFINER={definer} VIEW {quote(schema)}._dra_probe AS SELECT 1 AS one")
        cursor.execute(f"DROP VIEW {quote(schema)}._dra_probe")


def _rename(moves: Sequence[Move]) -> str:
    """Return the single statement that executes all moves."""
    return "RENAME TABLE " + ", ".join(
        f"{quote(source)}.{quote(name)} TO {quote(target)}.{quote(new_name)}"
        for source, target, name, new_name in moves
    )
