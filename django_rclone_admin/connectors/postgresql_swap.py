"""Restore PostgreSQL beside the live database, then swap the two by renaming them in one transaction.

The site keeps working until the swap, and what was replaced is kept under another name: undo is a rename. The data is
streamed once; indexes and constraints are then built in parallel, for which pg_restore needs no more than the
archive's table of contents, and that is at its head.
"""

from __future__ import annotations

import contextlib
import json
import os
import threading
import uuid
from collections.abc import Iterator, Sequence
from datetime import timedelta
from pathlib import Path
from typing import IO, Any

from django.db import DatabaseError, connections
from django.utils import timezone

from ..engine.command import run_to_end
from ..engine.control import Control
from ..engine.sqlite import private_folder
from ..engine.transfer import CommandSink
from ..exceptions import ProgramFailed
from ..exceptions import gettext_noop as _
from .libpq import literal, quote

HEAD_BYTES = 64 << 20
"""How much of the archive is kept for its table of contents; a table takes about 1 kB there."""
SWAP_SECONDS = 30
NEW, KEPT = "_dra_new_", "_dra_kept_"
"""In the names of the database that is being filled, and of the one that was replaced."""


class SwapSink:
    """Fills a new database; ``commit`` puts it in the place of the live one.

    :param connector: the :class:`~django_rclone_admin.connectors.postgresql.PgDumpConnector` it works for.
    """

    def __init__(self, connector: Any, control: Control) -> None:
        self._connector, self._control = connector, control
        self._server = Server(connector.alias)
        self._live: str = connector.live["NAME"]
        mark = uuid.uuid4().hex[:8]
        self._new, self.kept = _name(self._live, NEW, mark), _name(self._live, KEPT, mark)
        self.vanished: list[str] = []
        self._loader: CommandSink | None = None
        self._folder: Path | None = None
        self._head: IO[bytes] | None = None
        self._room = HEAD_BYTES
        self._is_done = False

    def open(self) -> None:
        for left in self._server.names_like(self._live, NEW):
            self._server.drop(left)
        self._server.create_like(self._live, self._new)
        self._folder = private_folder()
        self._head = (self._folder / "head").open("wb")
        self._loader = CommandSink(self._restore("--section=pre-data", "--section=data"))
        self._loader.open()

    def write(self, data: bytes) -> None:
        assert self._loader is not None
        assert self._head is not None
        if self._room > 0:
            self._room -= self._head.write(data[: self._room])
        self._loader.write(data)

    def commit(self) -> None:
        assert self._loader is not None
        assert self._head is not None
        self._head.close()
        self._loader.commit()
        jobs = max(1, min(4, os.cpu_count() or 1))
        run_to_end(self._restore("--section=post-data", f"--jobs={jobs}", self._head.name), self._control)
        run_to_end(self._connector.psql(self._new, "--command=ANALYZE"), self._control)
        history = History(self._connector, self._server)
        history.copy(self._live, self._new)
        before, after = (set(self._server.tables(each)) for each in (self._live, self._new))
        self.vanished = sorted(before - after)
        self._control.check()
        self._server.rename([(self._live, self.kept), (self._new, self._live)])
        self._is_done = True
        history.catch_up(self.kept, self._live)
        for name in self._server.names_like(self._live, KEPT):
            if name != self.kept:
                self._server.drop(name)

    def abort(self) -> None:
        if self._loader:
            self._loader.abort()

    def close(self) -> None:
        if self._loader:
            self._loader.close()
        if self._head:
            self._head.close()
        if self._folder:
            for file in self._folder.iterdir():
                file.unlink()
            self._folder.rmdir()
        if not self._is_done:
            # The next restore drops it otherwise; what has failed already is what people must hear of.
            with contextlib.suppress(DatabaseError):
                self._server.drop(self._new)

    def _restore(self, *arguments: str) -> Any:
        return self._connector.pg_restore(self._new, "--exit-on-error", *arguments)


class Server:
    """What we ask of the server as a whole, over a connection of our own to its maintenance database."""

    def __init__(self, alias: str) -> None:
        self._alias = alias

    @contextlib.contextmanager
    def cursor(self, database: str | None = None) -> Iterator[Any]:
        """Open a cursor in autocommit mode, in the maintenance database or in another one."""
        connection = connections[self._alias].copy()
        if database is None:
            with connection._nodb_cursor() as cursor:
                yield cursor
            return
        connection.settings_dict["NAME"] = database
        try:
            with connection.cursor() as cursor:
                yield cursor
        finally:
            connection.close()

    def may_create(self) -> bool:
        """Whether our role may create databases."""
        with self.cursor() as cursor:
            cursor.execute(
                "SELECT rolcreatedb OR rolsuper FROM pg_catalog.pg_roles WHERE rolname = current_user"
            )
            return bool(cursor.fetchone()[0])

    def names_like(self, live: str, mark: str) -> list[str]:
        """Return the databases that belong to a live one by their names."""
        with self.cursor() as cursor:
            cursor.execute(
                "SELECT datname FROM pg_catalog.pg_database WHERE starts_with(datname, %s)",
                [_name(live, mark)],
            )
            return [name for (name,) in cursor.fetchall()]

    def create_like(self, live: str, new: str) -> None:
        """Create an empty database with the owner, the locale, the settings and the grants of another one."""
        with self.cursor() as cursor:
            cursor.execute(
                "SELECT oid, pg_get_userbyid(datdba), pg_encoding_to_char(encoding), to_jsonb(d)::text"
                " FROM pg_catalog.pg_database AS d WHERE datname = %s",
                [live],
            )
            oid, owner, encoding, row = cursor.fetchone()
            values = _json(row)
            options = [
                ("ENCODING", encoding),
                ("LC_COLLATE", values["datcollate"]),
                ("LC_CTYPE", values["datctype"]),
            ]
            if values.get("datlocprovider") == "i":
                options += [("ICU_LOCALE", values.get("daticulocale") or values.get("datlocale"))]
            chosen = " ".join(f"{key} = {literal(value)}" for key, value in options)
            provider = " LOCALE_PROVIDER = icu" if values.get("datlocprovider") == "i" else ""
            cursor.execute(
                f"CREATE DATABASE {quote(new)} OWNER {quote(owner)} TEMPLATE template0 {chosen}{provider}"
            )
            self._copy_settings(cursor, oid, new)
            self._copy_grants(cursor, oid, new)

    def drop(self, name: str) -> None:
        """Drop a database and end its connections; one that is gone already is no error."""
        with self.cursor() as cursor:
            _end_connections(cursor, [name])
            cursor.execute(f"DROP DATABASE IF EXISTS {quote(name)}")

    def tables(self, database: str) -> list[str]:
        """Return the tables of a database, with their schema where it is not the usual one."""
        from .postgresql import TABLES  # that module uses this one

        with self.cursor(database) as cursor:
            cursor.execute(TABLES)
            return [name for (name,) in cursor.fetchall()]

    def rename(self, pairs: Sequence[tuple[str, str]]) -> None:
        """Rename databases, all or none, in one transaction.

        A rename takes a lock that holds off new connections and then waits 5 seconds for the old ones to end; another
        connection of ours ends them meanwhile.

        :raises ProgramFailed: somebody's connections could not be ended.
        """
        connections[self._alias].close()
        done = threading.Event()
        names = [old for old, _new in pairs]
        helper = threading.Thread(target=self._keep_ending, args=(names, done), daemon=True)
        helper.start()
        try:
            with self.cursor() as cursor:
                cursor.execute("BEGIN")
                cursor.execute(f"SET LOCAL lock_timeout = '{SWAP_SECONDS}s'")
                for old, new in pairs:
                    cursor.execute(f"ALTER DATABASE {quote(old)} RENAME TO {quote(new)}")
                cursor.execute("COMMIT")
        except DatabaseError as error:
            raise ProgramFailed(
                _("The databases could not be swapped: %(reason)s"),
                hint=_(
                    "Nothing was changed. End the connections of other users, or use the strategy in_place."
                ),
                reason=" ".join(str(error).split()),
            ) from error
        finally:
            done.set()
            helper.join()

    def _keep_ending(self, names: Sequence[str], done: threading.Event) -> None:
        try:
            with self.cursor() as cursor:
                while not done.is_set():
                    _end_connections(cursor, names)
                    done.wait(0.05)
        except DatabaseError:  # then the rename itself says what is wrong
            pass
        finally:
            connections.close_all()

    @staticmethod
    def _copy_settings(cursor: Any, oid: int, new: str) -> None:
        cursor.execute(
            "SELECT split_part(entry, '=', 1), substr(entry, strpos(entry, '=') + 1)"
            " FROM pg_catalog.pg_db_role_setting, unnest(setconfig) AS entry WHERE setdatabase = %s AND setrole = 0",
            [oid],
        )
        for name, value in cursor.fetchall():
            cursor.execute(f"ALTER DATABASE {quote(new)} SET {quote(name)} TO {literal(value)}")

    @staticmethod
    def _copy_grants(cursor: Any, oid: int, new: str) -> None:
        cursor.execute(
            "SELECT privilege_type, CASE grantee WHEN 0 THEN NULL ELSE pg_get_userbyid(grantee) END, is_grantable"
            " FROM pg_catalog.pg_database, aclexplode(datacl) WHERE oid = %s",
            [oid],
        )
        grants = cursor.fetchall()
        if grants:  # without an entry, the defaults hold for both
            cursor.execute(f"REVOKE ALL ON DATABASE {quote(new)} FROM PUBLIC")
        for privilege, grantee, is_grantable in grants:
            target = quote(grantee) if grantee else "PUBLIC"
            option = " WITH GRANT OPTION" if is_grantable else ""
            cursor.execute(f"GRANT {privilege} ON DATABASE {quote(new)} TO {target}{option}")


class History:
    """Carries the history of the runs from one database to the other: it never travels in backups."""

    def __init__(self, connector: Any, server: Server) -> None:
        self._tables: tuple[str, ...] = connector.history_tables
        self._connector, self._server = connector, server
        self._copied_at = timezone.now()

    def copy(self, source: str, target: str) -> None:
        """Replace the history tables of the target by those of the source, with all their rows."""
        self._copied_at = timezone.now() - timedelta(seconds=5)
        for table in self._tables:
            if self._exists(table, source):
                self._connector.copy_table(table, source, target)

    def catch_up(self, source: str, target: str) -> None:
        """Bring over what was written since :meth:`copy`: the last heartbeats of the runs at work."""
        for table in self._tables:
            if not self._exists(table, source):
                continue
            with self._server.cursor(source) as cursor:
                cursor.execute(f"SELECT * FROM {quote(table)} WHERE heartbeat_at >= %s", [self._copied_at])
                names, rows = [column[0] for column in cursor.description], cursor.fetchall()
            columns, marks = ", ".join(map(quote, names)), ", ".join(["%s"] * len(names))
            with self._server.cursor(target) as cursor:
                for row in rows:
                    key = row[names.index("id")]
                    cursor.execute(f"DELETE FROM {quote(table)} WHERE id = %s", [key])
                    cursor.execute(f"INSERT INTO {quote(table)} ({columns}) VALUES ({marks})", row)

    def _exists(self, table: str, database: str) -> bool:
        with self._server.cursor(database) as cursor:
            cursor.execute("SELECT to_regclass(%s) IS NOT NULL", [quote(table)])
            return bool(cursor.fetchone()[0])


def put_back(connector: Any, kept: str) -> None:
    """Swap the live database with a kept one; what was live is then kept under that name."""
    server, live = Server(connector.alias), connector.live["NAME"]
    history = History(connector, server)
    history.copy(live, kept)
    aside = _name(live, NEW, uuid.uuid4().hex[:8])
    server.rename([(live, aside), (kept, live), (aside, kept)])
    history.catch_up(kept, live)


def _end_connections(cursor: Any, names: Sequence[str]) -> None:
    cursor.execute(
        "SELECT pg_terminate_backend(pid) FROM pg_catalog.pg_stat_activity"
        " WHERE datname = ANY (%s) AND pid <> pg_backend_pid() AND usesysid IN"
        " (SELECT oid FROM pg_catalog.pg_roles WHERE pg_has_role(oid, 'USAGE'))",
        [list(names)],
    )


def _name(live: str, mark: str, suffix: str = "") -> str:
    """Return a name that belongs to a live database; PostgreSQL cuts names at 63 bytes."""
    return f"{live[:40]}{mark}{suffix}"


def _json(text: str) -> dict[str, Any]:

    found: dict[str, Any] = json.loads(text)
    return found
