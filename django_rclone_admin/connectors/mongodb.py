"""MongoDB, by mongodump and mongorestore. Not all-or-nothing: MongoDB does not support transactions of that size."""

from __future__ import annotations

import contextlib
import functools
import json
import re
from collections.abc import Collection, Iterator, Mapping
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from django.db import connections

from ..core.command import Command, program_failed
from ..core.control import Control
from ..core.programs import run
from ..core.secret_file import Make, SecretSink, SecretSource
from ..core.transfer import Sink, Source
from ..exceptions import (
    BackupDamaged,
    BackupError,
    NotChecked,
    ProgramFailed,
    UsageError,
    WrongFormat,
    gettext_noop,
)
from .base import Connector, Facts

MAGIC = b"\x6d\xe2\x99\x81"
"""The first bytes of an archive. Source: mongo-tools, ``common/archive/archive.go``, ``MagicNumber``."""

PARTIAL = frozenset(
    {
        "dryRun", "nsInclude", "nsExclude", "nsFrom", "nsTo", "db", "d", "collection", "c", "excludeCollection",
        "excludeCollectionsWithPrefix", "archive", "dir", "config", "help", "version",
    }
)  # fmt: skip
"""Arguments of mongorestore that make it restore only a part, something else, or nothing, and exit with 0."""

PROBLEMS: tuple[tuple[str, str], ...] = (
    (
        r"AuthenticationFailed|auth error|Authentication failed",
        gettext_noop("Check USER, PASSWORD and authSource."),
    ),
    (
        r"server selection error|connection refused|no reachable servers|no such host",
        gettext_noop("Check HOST and PORT, and that the database server is running."),
    ),
    (r"[Uu]nauthorized|not authorized", gettext_noop("The database user lacks a right; see the message.")),
)


def explain(name: str, status: int, output: str) -> BackupError:
    """Explain a failure of MongoDB's programs by the end of their error output."""
    error = program_failed(
        name, status, "\n".join(re.sub(r"^\S+\t", "", each) for each in output.splitlines())
    )
    for pattern, hint in PROBLEMS:
        if re.search(pattern, output):
            error.hint_template = hint
    return error


class RestoreSink(SecretSink):
    """The input of mongorestore, which drops and fills each collection as it arrives."""

    is_begun = False
    """Whether it has received any data."""

    def write(self, data: bytes) -> None:
        self.is_begun = self.is_begun or bool(data)
        super().write(data)


class DryRun(SecretSink):
    """The input of a mongorestore that reads a whole archive and changes nothing. It does not count rows.

    :param tables: the collections in the manifest.
    """

    def __init__(self, make: Make, content: str, tables: Collection[str]) -> None:
        super().__init__(make, content)
        self.rows: dict[str, int | None] = dict.fromkeys(tables)

    def write(self, data: bytes) -> None:
        with _judged():
            super().write(data)

    def commit(self) -> None:
        with _judged():
            super().commit()


@contextlib.contextmanager
def _judged() -> Iterator[None]:
    """Distinguish a damaged archive from an unreachable server, which mongorestore needs even for a dry run."""
    try:
        yield
    except ProgramFailed as error:
        if "signal" in error.params:
            raise
        values = {"reason": error.params.get("output", error)}
        if any(re.search(pattern, str(error)) for pattern, _hint in PROBLEMS):
            raise NotChecked(
                gettext_noop("mongorestore needs a server to check the structure: %(reason)s"),
                hint=error.hint.replace("%", "%%"),
                **values,
            ) from error
        raise BackupDamaged(
            gettext_noop("mongorestore can't read the archive to its end: %(reason)s"), **values
        ) from error


class MongoDumpConnector(Connector):
    """Stores mongodump's archive.

    A password, or an address that contains one, is passed in a private ``--config`` file: the only alternative of these
    programs are arguments, which every user of the machine can read.
    """

    engine = "mongodb"
    vendor_name = "MongoDB"
    extension = "archive"

    def check_head(self, head: bytes) -> None:
        if not head.startswith(MAGIC):
            raise WrongFormat(gettext_noop("The backup is not an archive of mongodump."))

    def source(self) -> Source:
        left_out = [*self.history_tables, *self.list_option("EXCLUDE_TABLES")]
        arguments = [f"--db={database_name(self.replica)}"]
        arguments += [f"--excludeCollection={each}" for each in left_out]
        arguments += self.list_option("DUMP_ARGS")
        make = functools.partial(self._command, "mongodump", self.replica, arguments)
        return SecretSource(make, secret(self.replica))

    def check_restore_options(self) -> None:
        for argument in self.list_option("RESTORE_ARGS"):
            if argument.partition("=")[0].strip("-") in PARTIAL:
                raise UsageError(
                    gettext_noop(
                        "RESTORE_ARGS of “%(database)s” contains %(argument)s, which could restore only part of the backup."
                    ),
                    hint=gettext_noop("Remove it; a restore always replaces the whole database."),
                    database=self.alias,
                    argument=argument.partition("=")[0],
                )

    def examiner(self, head: bytes, control: Control, tables: Collection[str]) -> DryRun:
        self.check_head(head)
        arguments = ["--dryRun", "--stopOnError", f"--nsInclude={database_name(self.live)}.*"]
        make = functools.partial(self._command, "mongorestore", self.live, arguments)
        return DryRun(make, secret(self.live), tables)

    def sink(self, head: bytes, control: Control, strategy: str) -> Sink:
        self.check_head(head)
        arguments = ["--drop", "--stopOnError", f"--nsInclude={database_name(self.live)}.*"]
        arguments += [f"--nsExclude={database_name(self.live)}.{each}" for each in self.history_tables]
        arguments += self.list_option("RESTORE_ARGS")
        make = functools.partial(self._command, "mongorestore", self.live, arguments)
        return RestoreSink(make, secret(self.live))

    def is_atomic(self, strategy: str) -> bool:
        return False

    def is_half_done(self, sink: Sink) -> bool:
        return isinstance(sink, RestoreSink) and sink.is_begun

    def facts(self) -> Facts:
        connection, version = connections[self.alias], ""
        names = connection.introspection.table_names()
        with contextlib.suppress(AttributeError, NotImplementedError):  # not every backend supports it
            version = ".".join(map(str, connection.get_database_version()))
        tool = run(self.command("mongodump", "--version", env={}), timeout=30).output.decode(errors="replace")
        found = re.search(r"\d+(\.\d+)+", tool)
        return Facts(
            server_version=version,
            tool_version=found[0] if found else "",
            tables=sorted(set(names) - set(self.history_tables)),
        )

    @property
    def secrets(self) -> frozenset[str]:
        found = set(super().secrets)
        for each in (self.live, self.replica):
            address = uri(each)
            found |= {str(_client(each).get("password") or ""), urlsplit(address).password or ""}
        return frozenset(found - {""})

    def _command(
        self, program: str, settings: Mapping[str, Any], arguments: list[str], file: Path | None
    ) -> Command:
        config = [f"--config={file}"] if file else []
        return self.command(
            program, *config, *address(settings), "--archive", *arguments, env={}, explain=explain
        )


def _client(settings: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return djongo's ``CLIENT``: the keyword arguments of pymongo's client."""
    client: Mapping[str, Any] = settings.get("CLIENT") or {}
    return client


def uri(settings: Mapping[str, Any]) -> str:
    """Return the server's address if it is a complete one, ``mongodb://…`` or ``mongodb+srv://…``."""
    host = settings.get("HOST") or _client(settings).get("host") or ""
    return host if isinstance(host, str) and "://" in host else ""


def database_name(settings: Mapping[str, Any]) -> str:
    """Return the name of the database on the server."""
    return str(settings.get("NAME") or urlsplit(uri(settings)).path.strip("/"))


def secret(settings: Mapping[str, Any]) -> str:
    """Return the content of the private file, in YAML, which includes JSON syntax."""
    client = _client(settings)
    password = settings.get("PASSWORD") or client.get("password")
    values = {"uri": uri(settings), "password": str(password or "")}
    return "".join(f"{name}: {json.dumps(value)}\n" for name, value in values.items() if value)


def address(settings: Mapping[str, Any]) -> list[str]:
    """Return the arguments that name the server and the user, in the absence of a complete address."""
    client, options = _client(settings), settings.get("OPTIONS") or {}
    values = {
        "host": "" if uri(settings) else settings.get("HOST") or client.get("host"),
        "port": "" if uri(settings) else settings.get("PORT") or client.get("port"),
        "username": settings.get("USER") or client.get("username"),
        "authenticationDatabase": client.get("authSource") or options.get("authSource"),
        "authenticationMechanism": client.get("authMechanism") or options.get("authMechanism"),
    }
    given = [f"--{name}={value}" for name, value in values.items() if value]
    return [*given, "--ssl"] if client.get("ssl") or client.get("tls") or options.get("tls") else given
