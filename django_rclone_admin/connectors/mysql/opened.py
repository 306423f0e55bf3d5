"""Schemas of opened backups, on the server of the live one, filled like the new schema of a swap."""

from __future__ import annotations

import re
import socket
from functools import partial
from pathlib import Path
from typing import Any

from django.db import DatabaseError

from ...core.control import Control
from ...core.transfer import Sink
from ...exceptions import gettext_noop
from ..places import MARK, count_rows, free_space, is_here
from .definitions import Definition, quote, store, stored
from .filling import Filling
from .server import OPENED, Server
from .swap import Swap

NAME_CHARACTERS = 64 - len(f"{MARK}1234567812345678")
DEFAULT = "DEFAULT"
"""The kind of a stored column default that uses a sequence."""


class Places:
    """See :class:`~django_rclone_admin.connectors.places.Places`.

    :param connector: the :class:`~django_rclone_admin.connectors.mysql.MysqlDumpConnector` of a database of the server.
    """

    read_only = ("SET SESSION TRANSACTION READ ONLY",)
    keeps = True
    shell_arguments = ("--init-command=SET SESSION TRANSACTION READ ONLY",)
    hint = gettext_noop("Nothing was changed.")

    def __init__(self, connector: Any) -> None:
        self._connector, self._server = connector, Server(connector)

    def why_not(self) -> str:
        return ""  # a missing right is reported when a schema is created

    def name(self, site: str, number: str) -> str:
        return f"{self._server.prefix(NAME_CHARACTERS)}{MARK}{site}{number}"

    def names(self, site: str) -> list[str]:
        return self._server.matching(re.escape(self.name(site, "")) + "[0-9a-f]{8}")

    def free(self) -> int | None:
        if not is_here(self._connector.live.get("HOST")):
            return None
        with self._server.cursor() as cursor:
            cursor.execute("SELECT @@hostname, @@datadir")
            host, folder = cursor.fetchone()
        return free_space(Path(folder)) if host == socket.gethostname() else None

    def sink(self, head: bytes, control: Control, place: str) -> Sink:
        self._connector.check_head(head)
        return Kept(self._connector, control, place)

    def settings(self, place: str) -> dict[str, Any]:
        live = self._connector.live
        options = {
            key: value for key, value in live.get("OPTIONS", {}).items() if key not in ("database", "db")
        }
        return {**live, "NAME": place, "OPTIONS": options}

    def rows(self, place: str = "", *, seconds: float | None = None) -> dict[str, int | None]:
        schema = place or self._server.live
        with self._server.cursor() as cursor:
            found = self._server.tables(cursor, schema)
            tables = {each: f"{quote(schema)}.{quote(each)}" for each in found}
            return count_rows(cursor, tables, seconds, limit=partial(limit_statements, cursor))

    def drop(self, place: str) -> None:
        self._server.end_connections(place)
        self._server.drop(place)

    def put_live(self, place: str, kept: str, control: Control) -> list[str]:
        with self._server.cursor() as cursor:
            found = stored(cursor, f"{quote(place)}.{OPENED}")
        definitions = [each for each in found if each.kind != DEFAULT]
        alterations = [each.statement.encode() for each in found if each.kind == DEFAULT]
        self._server.sweep()
        swap = Swap(self._server, place, kept, control)
        swap.carry_out(definitions, alterations)
        return swap.vanished


class Kept(Filling):
    """Fills a schema, and stores in it what its tables do not contain, for the time when it becomes live."""

    is_whole = False

    def commit(self) -> None:
        super().commit()
        alterations = [
            Definition(kind=DEFAULT, name=each.table, statement=each.alteration(self._server.live).decode())
            for each in self._text.vetter.defaults
        ]
        found = self.definitions()
        with self._server.cursor() as cursor:
            store(cursor, f"{quote(self._new)}.{OPENED}", [*found, *alterations])
        self.is_whole = True

    def _is_kept(self) -> bool:
        return self.is_whole


def limit_statements(cursor: Any, seconds: float) -> None:
    """Make the server end further queries of a session that exceed the limit, or wait longer for a lock.

    MariaDB and MySQL use different variables.
    """
    try:
        cursor.execute(f"SET SESSION max_statement_time = {seconds:.3f}")
    except DatabaseError:
        cursor.execute(f"SET SESSION max_execution_time = {max(1, int(seconds * 1000))}")
    cursor.execute(f"SET SESSION lock_wait_timeout = {max(1, int(seconds))}")
