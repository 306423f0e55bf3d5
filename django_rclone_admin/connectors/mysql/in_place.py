"""Restore MySQL into the live schema itself, for those who may not create another. Not all or nothing."""

from __future__ import annotations

from typing import Any

from .definitions import quote, read
from .server import Server
from .streams import DumpText, LoaderSink

ASIDE = "_dra_aside_"
"""Begins the name that a table of the dump gets where it must not touch the live one; it is dropped in the end."""


class InPlaceSink:
    """Loads the text into the live schema, then drops the tables that it did not create.

    Every statement about a table commits by itself, so a failure leaves what was loaded until then.

    :param connector: the :class:`~django_rclone_admin.connectors.mysql.MysqlDumpConnector` it works for.
    """

    def __init__(self, connector: Any) -> None:
        self._connector = connector
        self._server = Server(connector)
        # A dump of another program may have our history; it must not take the place of the live one.
        self._text = DumpText(renamed={name: ASIDE + name[-40:] for name in connector.history_tables})
        self._loader = LoaderSink(connector.load(self._server.live))
        self.is_begun = False
        """Whether the client has had anything to carry out."""
        self.vanished: list[str] = []

    def open(self) -> None:
        self._loader.open()

    def write(self, data: bytes) -> None:
        for piece in self._text.feed(data):
            self.is_begun = True
            self._loader.write(piece)

    def commit(self) -> None:
        self.is_begun = True
        self._loader.write(self._text.finish())
        self._loader.commit()
        self._drop_others()

    def _drop_others(self) -> None:
        """Drop the tables and views that the backup does not know."""
        live = self._server.live
        with self._server.cursor() as cursor:
            wanted = {name for name in self._text.tables if not name.startswith(ASIDE)}
            others = sorted(set(self._server.tables(cursor, live)) - wanted)
            self.vanished = [name for name in others if not name.startswith(ASIDE)]
            views = [each.name for each in read(cursor, live) if each.kind == "VIEW"]
            cursor.execute("SET SESSION foreign_key_checks = 0")
            for name in sorted(set(views) - self._text.tables):
                cursor.execute(f"DROP VIEW {quote(name)}")
            for name in others:
                cursor.execute(f"DROP TABLE {quote(name)}")

    def abort(self) -> None:
        self._loader.abort()

    def close(self) -> None:
        self._loader.close()
