"""Fills a new schema on the server of the live one, for a swap or an opened backup."""

from __future__ import annotations

import dataclasses
import logging
from typing import Any

from ...core.control import Control
from ...exceptions import BackupError
from .definitions import Definition, read
from .examiner import Examiner
from .key_adder import KeyAdder
from .server import Server
from .streams import LoaderSink
from .text import DumpText

logger = logging.getLogger(__name__)


class Filling:
    """Creates a schema and fills it; after ``commit`` it is complete. ``close`` drops a schema that is not kept.

    :param connector: the :class:`~django_rclone_admin.connectors.mysql.MysqlDumpConnector` it works for.
    :param name: of the new schema.
    """

    def __init__(self, connector: Any, control: Control, name: str = "") -> None:
        self._connector, self._control = connector, control
        self._server = Server(connector)
        self._new = name or self._server.new_name()
        self._text = DumpText(
            left_out=connector.history_tables, packet=self._server.packet(), is_empty_before=True
        )
        self._loader = LoaderSink(connector.load(self._new))
        self._keys = KeyAdder(lambda: LoaderSink(connector.load(self._new), control), control)
        self._carried: list[Definition] = []
        self._is_created = False
        self._examiner: Examiner | None = None
        """The examiner that reads the text for this sink, too."""

    def open(self) -> None:
        self._server.create(self._new)
        self._is_created = True
        self._loader.open()

    def examiner(self) -> Examiner:
        """See :class:`~django_rclone_admin.connectors.examiners.Sharing`."""
        self._examiner = Examiner(self._text)
        return self._examiner

    def write(self, data: bytes) -> None:
        for piece in self._examiner.passed_on if self._examiner else self._text.feed(data):
            self._loader.write(piece)

    def commit(self) -> None:
        for piece in self._examiner.passed_on if self._examiner else [self._text.finish()]:
            self._loader.write(piece)
        self._loader.commit()
        self._keys.add(self._text.vetter.late_keys.values(), self._text.sizes)
        self._create_definitions()

    def _create_definitions(self) -> None:
        """Create views, triggers, routines and events, after the rows so that loading does not trigger them."""
        server, unknown = self._server, self._text.unknown_kinds
        if unknown:  # kinds that were not requested for the dump keep their live definitions
            with server.cursor() as cursor:
                live = read(cursor, server.live, is_final=True)
            self._carried = [each for each in live if each.kind in unknown]
        # Views may need them.
        server.create_in(self._new, [each for each in self._carried if each.kind != "EVENT"])
        server.create_definitions(self._new, self._text.vetter.definitions.values(), lambda each: each.silent)

    def definitions(self) -> list[Definition]:
        """Return the views, triggers, routines and events of the new schema, as they would be in the live one."""
        written = self._text.vetter.definitions
        enabled = [each.name for each in written.values() if each.kind == "EVENT" and each.is_enabled]
        with self._server.cursor() as cursor:
            found = read(cursor, self._new, enabled=enabled)
        if self._text.vetter.source == self._server.live:
            found = [
                dataclasses.replace(each, statement=written[each.key].typed.decode())
                if each.kind == "TRIGGER" and each.charset.startswith("utf8")
                else each
                for each in found
            ]
        return [*found, *(each for each in self._carried if each.kind == "EVENT")]

    def _is_kept(self) -> bool:
        """Whether the schema stays."""
        return False

    def abort(self) -> None:
        self._loader.abort()
        self._keys.abort()

    def close(self) -> None:
        self._loader.close()
        if self._is_created and not self._is_kept():
            # Only logged: the next sweep drops the schema, and the first error is more important.
            try:
                self._server.clear(self._new)
            except BackupError as error:
                logger.warning("The schema of a failed restore could not be dropped: %s", error)
