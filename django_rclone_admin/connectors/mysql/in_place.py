"""Restores MySQL into the live schema, for accounts that may not create another one. Not all-or-nothing."""

from __future__ import annotations

from typing import Any

from .definitions import names, needed_mode, quote
from .server import Server
from .streams import LoaderSink
from .text import DumpText


class InPlaceSink:
    """Loads the text into the live schema, then drops the objects that it did not create.

    Every DDL statement commits implicitly, so a failure keeps what was loaded until then.

    :param connector: the :class:`~django_rclone_admin.connectors.mysql.MysqlDumpConnector` it works for.
    """

    def __init__(self, connector: Any) -> None:
        self._connector = connector
        self._server = Server(connector)
        # A dump of another program may contain our history tables; they must not replace the live ones.
        self._text = DumpText(left_out=connector.history_tables, packet=self._server.packet())
        self._loader = LoaderSink(connector.load(self._server.live))
        self.is_begun = False
        """Whether the client has received anything to execute."""
        self.vanished: list[str] = []

    def open(self) -> None:
        self._loader.open()

    def write(self, data: bytes) -> None:
        for piece in self._text.feed(data):
            self.is_begun = True
            self._loader.write(piece)

    def commit(self) -> None:
        rest = self._text.finish()
        self.is_begun = True
        self._loader.write(rest)
        self._loader.commit()
        server, vetter = self._server, self._text.vetter
        is_same = vetter.source == server.live
        server.create_definitions(
            server.live, vetter.definitions.values(), lambda each: each.typed if is_same else each.statement
        )
        server.set_defaults(server.live, vetter.defaults)
        self._drop_others()

    def _drop_others(self) -> None:
        """Drop the objects that the backup does not contain."""
        live, vetter = self._server.live, self._text.vetter
        with self._server.cursor() as cursor:
            cursor.execute(f"USE {quote(live)}")
            for kind, name in names(cursor, live):
                if (kind, name) not in vetter.definitions and kind not in self._text.unknown_kinds:
                    for statement in (*needed_mode(kind), f"DROP {kind} IF EXISTS {quote(name)}"):
                        cursor.execute(statement)
            self.vanished = sorted(
                set(self._server.tables(cursor, live)) - {*vetter.tables, *vetter.sequences}
            )
            cursor.execute("SET SESSION foreign_key_checks = 0")
            for name in self.vanished:
                cursor.execute(f"DROP TABLE {quote(name)}")

    def abort(self) -> None:
        self._loader.abort()

    def close(self) -> None:
        self._loader.close()
