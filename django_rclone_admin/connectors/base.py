"""The base class of all connectors, also for those of other packages."""

from __future__ import annotations

import os
import shutil
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar

from django.db import connections

from ..core import findings
from ..core.command import Command, find_program
from ..core.control import Control
from ..core.findings import Finding
from ..core.transfer import CommandSink, CommandSource, Sink, Source
from ..exceptions import NotChecked, gettext_noop
from .examiners import TROUBLE, Examiner
from .options import OPTIONS, check_options, text_list
from .places import Places


@dataclass(frozen=True, slots=True, kw_only=True)
class Facts:
    """Facts about a database that a dump records and a restore plan shows."""

    server_version: str = ""
    tool_version: str = ""
    """Of the dump program, where a dump does not tell it; see :class:`Contents`."""
    tables: list[str] = field(default_factory=list)


@dataclass(frozen=True, slots=True, kw_only=True)
class Contents:
    """The contents of a dump, as far as the dump tells."""

    objects: dict[str, list[str]] = field(default_factory=dict)
    """Names by kind, such as ``tables``, ``views``, ``triggers``. Empty where the connector can't tell."""
    rows: dict[str, int] = field(default_factory=dict)
    """Rows of each table, where they were counted."""
    left_out: dict[str, list[str]] = field(default_factory=dict)
    """Names by kind of the objects that the options of the site exclude."""
    warnings: list[str] = field(default_factory=list)
    """English sentences: what can't be restored into the source database, and the remedy."""
    tool_version: str = ""
    """Of the dump program, where the dump tells it."""


class Connector:
    """Knows how one engine is dumped and restored.

    A connector whose engine has command-line programs defines :meth:`dump_command` and :meth:`restore_command`; others
    define :meth:`source` and :meth:`sink`.

    :param alias: the alias in ``DATABASES``.
    :param database: its settings, with Django's defaults.
    :param options: its entry in ``CONNECTOR_OPTIONS``.
    :param history_tables: tables that a backup must not contain and a restore must not touch.
    """

    engine: ClassVar[str]
    """The engine's name in manifests; a backup is restored only into the same engine."""
    vendor_name: ClassVar[str]
    """The engine's display name."""
    extension: ClassVar[str]
    """The extension of the backup's name, without compression."""
    unreachable_hint: ClassVar[str] = gettext_noop(
        "Check that the database server is running and that DATABASES is right."
    )
    """What to do when the database does not answer."""
    needs_server_of_dump: ClassVar[bool] = False
    """Whether a server of a lower major version can't load the dump."""
    strategies: ClassVar[tuple[str, ...]] = ("in_place",)
    """The supported restore strategies; the first is the default."""
    known_options: ClassVar[frozenset[str]] = OPTIONS
    """The allowed keys of its entry in ``CONNECTOR_OPTIONS``."""

    def __init__(
        self,
        alias: str,
        database: Mapping[str, Any],
        options: Mapping[str, Any] | None = None,
        *,
        history_tables: tuple[str, ...] = (),
    ) -> None:
        self.alias = alias
        self.options = options or {}
        check_options(alias, self.options, self.known_options)
        self.live = database
        """The settings of the live database, which a restore writes to."""
        self.replica = {**database, **self.options.get("CONNECTION", {})}
        """The settings of the database that a dump reads."""
        self.history_tables = history_tables

    @classmethod
    def safety_options(cls, options: Mapping[str, Any]) -> dict[str, Any]:
        """Return the options for a safety backup and its restore, without those that make a dump incomplete.

        By default these are the options that exclude objects or name another server to dump from. A connector that
        knows which arguments are harmless keeps those.
        """
        narrowing = {"EXCLUDE_TABLES", "SCHEMAS", "DUMP_ARGS", "CONNECTION"}
        return {key: value for key, value in options.items() if key not in narrowing}

    # -- for subclasses ---------------------------------------------------------------------------------------------

    def dump_command(self) -> Command:
        """Return the command that writes a dump to its standard output."""
        raise NotImplementedError

    def restore_command(self) -> Command:
        """Return the command that loads a dump from its standard input, all-or-nothing."""
        raise NotImplementedError

    def check_head(self, head: bytes) -> None:
        """Refuse data that this connector can't load, by its first bytes.

        :raises WrongFormat: the data is in another format.
        """

    def source(self) -> Source:
        """Return the source of the dump."""
        return CommandSource(self.dump_command())

    def contents(self, source: Source) -> Contents:
        """Return the contents of the finished dump. If an object is missing unintentionally, ``source.finish`` has
        raised.

        :param source: the return value of :meth:`source`, read to its end.
        """
        return Contents()

    def sink(self, head: bytes, control: Control, strategy: str) -> Sink:
        """Return the sink for a dump that begins with ``head``. Its ``commit`` replaces the live data or changes
        nothing.

        :param strategy: one of ``strategies``.
        :raises WrongFormat: the dump is in another format.
        """
        self.check_head(head)
        return CommandSink(self.restore_command())

    def examiner(self, head: bytes, control: Control, tables: Collection[str]) -> Examiner:
        """Return a sink that reads a dump that begins with ``head`` and counts its rows. It needs no server.

        :param tables: the names in the manifest, by which the rows are counted.
        :raises WrongFormat: the dump is in another format.
        :raises NotChecked: this connector can't examine dumps, or not on this machine.
        """
        raise NotChecked(
            gettext_noop("The connector of “%(database)s” can't check the structure of a backup."),
            hint=gettext_noop("The level “checksum” works with every connector."),
            database=self.alias,
        )

    def count_rows(self, using: str) -> dict[str, int]:
        """Count the rows of each table of an opened backup in the same way as in the dump.

        :param using: its alias.
        """
        connection = connections[using]
        quote, found = connection.ops.quote_name, {}
        with connection.cursor() as cursor:
            for name in sorted(set(connection.introspection.table_names(cursor)) - {*self.history_tables}):
                cursor.execute(f"SELECT count(*) FROM {quote(name)}")  # noqa: S608 (a quoted name)
                found[name] = int(cursor.fetchone()[0])
        return found

    def broken(self, using: str) -> list[str]:
        """Return the names of constraints and indexes that are violated in an opened backup."""
        return []

    def behind(self, using: str, columns: Iterable[tuple[str, str]]) -> list[str]:
        """Return those columns of an opened backup, as ``table.column``, whose next generated key already exists.

        :param columns: tables with the column that a sequence or a counter fills.
        """
        return []

    def is_trouble_of_server(self, error: Exception) -> bool:
        """Whether loading a dump failed because of the server, not the dump: a missing right, a full disk."""
        return TROUBLE.search(str(error)) is not None

    def check_restore_options(self) -> None:
        """Refuse options with which a restore would be incomplete.

        :raises UsageError: such an option is set.
        """

    def check_room(self, size: int) -> None:
        """Refuse a restore when the disk space does not suffice.

        :param size: bytes of the dump.
        :raises RestoreRefused: a disk is too full.
        """

    def why_not(self, strategy: str) -> str:
        """Return why one of ``strategies`` is not possible, as a sentence; an empty string when it is possible."""
        return ""

    def vanished(self, sink: Sink) -> list[str]:
        """Return the tables that the committed restore dropped because the backup does not contain them."""
        return []

    def is_atomic(self, strategy: str) -> bool:
        """Whether a failed restore by one of ``strategies`` has changed nothing."""
        return True

    def is_half_done(self, sink: Sink) -> bool:
        """Whether a failed restore may have changed something, or its outcome is unknown."""
        return False

    def is_committed(self, sink: Sink) -> bool:
        """Whether the live data is known to be replaced although ``commit`` has raised."""
        return False

    def kept(self, sink: Sink) -> str:
        """Return the name under which the server will keep the replaced data, or an empty string.

        The caller records it before it opens the sink, because a killed process can't record it later.
        """
        return ""

    def has_kept(self, name: str) -> bool:
        """Whether the server has kept data under this name, which proves that the restore or undo has happened."""
        return False

    def name_to_keep(self) -> str:
        """Return a new name under which :meth:`put_back` can keep the live data."""
        raise NotImplementedError

    def put_back(self, kept: str, aside: str) -> None:
        """Undo a restore, all-or-nothing: make the data kept as ``kept`` live, and keep the live data as ``aside``."""
        raise NotImplementedError

    def discard(self, kept: str) -> None:
        """Drop the data kept as ``kept``; does nothing when it is gone already."""

    def places(self) -> Places | None:
        """Return the place of opened backups; ``None`` where the connector does not support them.

        Called only when an opened backup is used.
        """
        return None

    def facts(self) -> Facts:
        """Query the live database and the client programs for their facts."""
        connection = connections[self.alias]
        with connection.cursor() as cursor:
            names = connection.introspection.table_names(cursor)
        version = ".".join(map(str, connection.get_database_version()))
        return Facts(server_version=version, tables=sorted(set(names) - set(self.history_tables)))

    def exists(self) -> bool:
        """Whether the database contains anything that a restore would overwrite."""
        return bool(self.facts().tables)

    # -- for “manage.py rclonedoctor” ------------------------------------------------------------------------------

    def examine_programs(self) -> Finding:
        """Check that the engine's programs are installed and not older than the server."""
        try:
            commands = [self.dump_command(), self.restore_command()]
        except NotImplementedError:
            return findings.passed(gettext_noop("This engine needs no programs."))
        missing = [each.name for each in commands if shutil.which(each.argv[0]) is None]
        if missing:
            return findings.failed(
                gettext_noop("The program %(programs)s was not found."),
                hint=commands[0].missing_hint,
                programs=", ".join(dict.fromkeys(missing)),
            )
        return findings.passed(
            gettext_noop("The programs were found: %(programs)s."),
            programs=", ".join(dict.fromkeys(each.name for each in commands)),
        )

    def examine_rights(self, strategy: str | None) -> Finding:
        """Check that the database user has the rights for opened backups and swaps.

        :param strategy: the configured restore strategy, if any.
        """
        return findings.unchecked(gettext_noop("For this engine, rights are not checked."))

    def examine_contents(self, strategy: str | None) -> Finding:
        """Check whether the database contains objects that can't be restored into it."""
        return findings.unchecked(gettext_noop("For this engine, the contents are not checked beforehand."))

    def copy_size(self) -> int:
        """Return how many bytes a backup needs in the folder for temporary files."""
        return 0

    # -- shared helpers --------------------------------------------------------------------------------------------

    @property
    def secrets(self) -> frozenset[str]:
        """Strings that must never be shown."""
        return frozenset(str(each["PASSWORD"]) for each in (self.live, self.replica) if each.get("PASSWORD"))

    def command(self, program: str, *arguments: str, env: Mapping[str, str], **details: Any) -> Command:
        """Return a command of the engine's own tools, found in ``BIN_DIR`` or on the PATH."""
        return Command(
            argv=(find_program(program, self.options.get("BIN_DIR")), *arguments),
            env={**os.environ, **env, **self.options.get("ENV", {})},
            name=program,
            secrets=self.secrets,
            missing_hint=gettext_noop(
                "Install the client programs of the database, or set BIN_DIR in CONNECTOR_OPTIONS."
            ),
            **details,
        )

    def list_option(self, key: str) -> list[str]:
        """Return an option that is a list."""
        return text_list(self.alias, self.options, key)
