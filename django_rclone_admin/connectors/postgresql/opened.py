"""Databases of opened backups, on the server of the live one: filled like the new database of a swap, then
read-only."""

from __future__ import annotations

import contextlib
from functools import partial
from pathlib import Path
from typing import Any

from django.db import DatabaseError

from ...core.control import Control
from ...core.transfer import Sink
from ...exceptions import gettext_noop
from ..places import MARK, count_rows, free_space, is_here
from .filling import Filling
from .server import Server, explained, name_beside
from .swap import Swap

HINT = gettext_noop("Nothing was changed. Check that the database server is running and its disk has room.")


class Places:
    """See :class:`~django_rclone_admin.connectors.places.Places`.

    :param connector: the :class:`~django_rclone_admin.connectors.postgresql.PgDumpConnector` of a database of the
        server.
    """

    read_only = ("SET default_transaction_read_only = on", "SET transaction_read_only = on")
    keeps = True
    shell_arguments = ()  # read-only is the default of the database itself
    hint = gettext_noop(
        "Nothing was changed. Run ALTER ROLE … CREATEDB, or name in OPEN_ON a database whose role may create others."
    )

    def __init__(self, connector: Any) -> None:
        self._connector, self._server = connector, Server(connector.alias)

    def why_not(self) -> str:
        return self._server.why_none_beside(
            self._connector.database_name, may_have_extensions=self._connector.may_have_extensions
        )

    def name(self, site: str, number: str) -> str:
        return name_beside(self._connector.database_name, MARK + site, number)

    def names(self, site: str) -> list[str]:
        return self._server.names_like(self._connector.database_name, MARK + site)

    def free(self) -> int | None:
        if not is_here(self._connector.live.get("HOST")):
            return None
        with (
            self._server.cursor() as cursor
        ):  # visible only to superusers and members of pg_read_all_settings
            cursor.execute("SELECT setting FROM pg_catalog.pg_settings WHERE name = 'data_directory'")
            row = cursor.fetchone()
        return free_space(Path(row[0])) if row and row[0] else None

    def sink(self, head: bytes, control: Control, place: str) -> Sink:
        self._connector.check_head(head)
        return ReadOnly(self._connector, control, place)

    def settings(self, place: str) -> dict[str, Any]:
        live = self._connector.live
        # A pool belongs to the alias, regardless of the database.
        options = {key: value for key, value in live.get("OPTIONS", {}).items() if key != "pool"}
        return {**live, "NAME": place, "OPTIONS": options}

    def rows(self, place: str = "", *, seconds: float | None = None) -> dict[str, int | None]:
        database = place or self._connector.database_name
        with self._server.cursor(database) as cursor:
            tables = self._connector.identifiers(cursor)
            return count_rows(cursor, tables, seconds, limit=partial(limit_statements, cursor))

    def drop(self, place: str) -> None:
        self._server.drop(place)

    def put_live(self, place: str, kept: str, control: Control) -> list[str]:
        with explained(hint=HINT):
            self._server.set_read_only(place, is_on=False)
        try:
            swap = Swap(self._connector, place, kept, control)
            swap.carry_out()
        except BaseException:
            with contextlib.suppress(DatabaseError):  # it may be the live one by now
                if self._server.exists(place):
                    self._server.set_read_only(place, is_on=True)
            raise
        return swap.vanished


class ReadOnly(Filling):
    """Fills a database and makes it read-only."""

    hint = HINT
    is_whole = False

    def commit(self) -> None:
        super().commit()
        with explained(self.hint):
            self._server.set_read_only(self._new, is_on=True)
        self.is_whole = True

    def _is_kept(self) -> bool:
        return self.is_whole


def limit_statements(cursor: Any, seconds: float) -> None:
    """Have the server end each further statement of a session that takes longer."""
    cursor.execute(f"SET statement_timeout = {max(1, int(seconds * 1000))}")
