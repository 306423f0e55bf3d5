"""Administers a PostgreSQL server: creates databases like existing ones, renames and drops them."""

from __future__ import annotations

import contextlib
import csv
import hashlib
import json
import re
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from django.db import DatabaseError, connections

from ...exceptions import OutcomeUnknown, ProgramFailed, gettext_noop
from .libpq import literal, quote
from .outcome import PAUSE, SECONDS
from .ownership import unmovable

MAINTENANCE = "postgres"
"""The maintenance database that Django connects to."""
LOCK_SECONDS = 30
NAME_BYTES = 63 - len("_dra_kept_12345678")
"""The part of PostgreSQL's 63 bytes that remains for the name of the live database."""
DIGITS = 8
"""The number of digits at the end of a derived name."""
IN_PLACE = gettext_noop("Nothing was changed. The strategy in_place needs no such database.")

LISTS = frozenset({"search_path", "temp_tablespaces", "local_preload_libraries", "session_preload_libraries"})
"""Settings whose value is a list of quoted names. Source: ``GUC_LIST_QUOTE`` in PostgreSQL's guc_tables.c."""

RIGHTS = """
SELECT rolsuper OR rolcreatedb, pg_has_role(datdba, 'USAGE'), live.oid
FROM pg_catalog.pg_roles, pg_catalog.pg_database AS live WHERE rolname = current_user AND datname = %s
"""
"""Whether our role may create databases, and owns the live one."""

EXTENSIONS = """
SELECT NOT rolsuper AND EXISTS (
    SELECT FROM pg_catalog.pg_extension JOIN pg_catalog.pg_available_extension_versions AS available
        ON name = extname AND version = extversion
    WHERE superuser AND extname <> 'plpgsql'
        AND NOT coalesce((to_jsonb(available) ->> 'trusted')::boolean, false))
FROM pg_catalog.pg_roles WHERE rolname = current_user
"""
"""Whether the database has an extension that our role may not create in another one."""


class Server:
    """The server of one alias, over our own connections.

    :param changes: changes to the alias's settings, for another server.
    """

    def __init__(self, alias: str, changes: Mapping[str, Any] | None = None) -> None:
        self._alias = alias
        self._changes = changes or {}

    @contextlib.contextmanager
    def cursor(self, database: str | None = None) -> Iterator[Any]:
        """Open a cursor in autocommit mode, in the maintenance database or another one."""
        connection = connections[self._alias].copy()
        connection.settings_dict.update(self._changes)
        # A pool belongs to the alias, regardless of the database.
        options = {key: value for key, value in connection.settings_dict["OPTIONS"].items() if key != "pool"}
        connection.settings_dict.update(NAME=database or MAINTENANCE, OPTIONS=options)
        try:
            with connection.cursor() as cursor:
                yield cursor
        finally:
            connection.close()

    def why_no_swap(self, live: str, *, may_have_extensions: bool) -> str:
        """Return why our role can't swap this database, as a sentence; an empty string when it can.

        :param may_have_extensions: ignore extensions that our role may not create.
        """
        if live == MAINTENANCE:
            return gettext_noop(
                "The database is the maintenance database of its server, so there can be no swap."
            )
        return self.why_none_beside(live, may_have_extensions=may_have_extensions)

    def why_none_beside(self, live: str, *, may_have_extensions: bool) -> str:
        """Return why our role can't restore into a second database, as a sentence; an empty string when it can."""
        try:
            with self.cursor() as cursor:
                cursor.execute(RIGHTS, [live])
                may_create, is_owner, oid = cursor.fetchone()
                may_set = _may_set(cursor, oid, live)
            with self.cursor(live) as cursor:
                cursor.execute(EXTENSIONS)
                (needs_superuser,) = cursor.fetchone()
                other = unmovable(cursor)
        except (DatabaseError, TypeError) as error:  # a pooler uses its own database names
            return f"The server's maintenance database can't be reached ({_one_line(error)})."
        if not may_create:
            return gettext_noop("The role of the database may not create databases.")
        if not is_owner:
            return gettext_noop("The role of the database does not own it.")
        if not may_set:
            return gettext_noop("The database has settings that only a superuser can copy.")
        if other:
            return (
                f"The database contains an object that only a superuser can create in another one ({other})."
            )
        if needs_superuser and not may_have_extensions:
            return gettext_noop("The database has an extension that only a superuser can create.")
        return ""

    def exists(self, name: str) -> bool:
        """Whether a database of this name exists."""
        with self.cursor() as cursor:
            return _oid(cursor, name) is not None

    def names_like(self, live: str, mark: str) -> list[str]:
        """Return the databases whose names were derived by :func:`name_beside`."""
        start = name_beside(live, mark)
        with self.cursor() as cursor:
            cursor.execute(
                "SELECT datname FROM pg_catalog.pg_database WHERE starts_with(datname, %s)", [start]
            )
            names = [name for (name,) in cursor.fetchall()]
        return [name for name in names if re.fullmatch(rf"[0-9a-f]{{{DIGITS}}}", name.removeprefix(start))]

    def set_read_only(self, name: str, *, is_on: bool) -> None:
        """Make transactions of a database read-only by default, or reset that."""
        change = "SET default_transaction_read_only TO on" if is_on else "RESET default_transaction_read_only"
        with self.cursor() as cursor:
            cursor.execute(f"ALTER DATABASE {quote(name)} {change}")

    def create_like(self, live: str, new: str) -> None:
        """Create an empty database with the owner, locale, settings and grants of another one."""
        with self.cursor() as cursor:
            cursor.execute(
                "SELECT oid, pg_get_userbyid(datdba), pg_encoding_to_char(encoding), to_jsonb(d)::text,"
                " (SELECT spcname FROM pg_catalog.pg_tablespace AS t WHERE t.oid = dattablespace)"
                " FROM pg_catalog.pg_database AS d WHERE datname = %s",
                [live],
            )
            oid, owner, encoding, row, tablespace = cursor.fetchone()
            values = json.loads(row)
            words = [
                f"OWNER {quote(owner)} TEMPLATE template0 ENCODING {literal(encoding)}",
                *_locale(values),
            ]
            if tablespace != "pg_default":
                words.append(f"TABLESPACE {quote(tablespace)}")
            words.append(f"CONNECTION LIMIT {int(values['datconnlimit'])}")
            cursor.execute(f"CREATE DATABASE {quote(new)} {' '.join(words)}")
            _copy_settings(cursor, oid, new)
            _copy_grants(cursor, oid, new)

    def drop(self, name: str) -> None:
        """Drop a database and end its connections; a missing database is not an error."""
        with self.cursor() as cursor:
            _end_connections(cursor, [name])
            cursor.execute(f"DROP DATABASE IF EXISTS {quote(name)}")

    def rename(self, pairs: Sequence[tuple[str, str]]) -> None:
        """Rename databases in one transaction, all or none.

        A rename takes a lock that blocks new connections, and then waits 5 seconds for the old ones to end; another
        connection of ours ends them meanwhile.

        :raises ProgramFailed: connections of other users could not be ended.
        """
        _close_ours(self._alias)
        done = threading.Event()
        names = [old for old, _new in pairs]
        helper = threading.Thread(target=self._keep_ending, args=(names, done), daemon=True)
        try:
            with self.cursor() as cursor:
                before = _oid(cursor, names[0])
                helper.start()
                cursor.execute("BEGIN")
                cursor.execute(f"SET LOCAL lock_timeout = '{LOCK_SECONDS}s'")
                for old, new in pairs:
                    cursor.execute(f"ALTER DATABASE {quote(old)} RENAME TO {quote(new)}")
                cursor.execute("COMMIT")
        except DatabaseError as error:
            if not self._was_renamed(names[0], before, error):
                raise ProgramFailed(
                    gettext_noop("The databases could not be swapped: %(reason)s"),
                    hint=gettext_noop(
                        "Nothing was changed. End the connections of other users, or use the strategy in_place."
                    ),
                    reason=_one_line(error),
                ) from error
        finally:
            done.set()
            if helper.ident:
                helper.join()

    def _was_renamed(self, name: str, before: int | None, error: DatabaseError) -> bool:
        """Whether the transaction was committed although the server did not confirm it."""
        deadline = time.monotonic() + SECONDS
        while True:
            try:
                with self.cursor() as cursor:
                    return _oid(cursor, name) != before
            except DatabaseError:
                if time.monotonic() > deadline:
                    break
                time.sleep(PAUSE)
        raise OutcomeUnknown(
            gettext_noop("The connection broke while the databases were swapped: %(reason)s"),
            reason=_one_line(error),
        ) from error

    def _keep_ending(self, names: Sequence[str], done: threading.Event) -> None:
        try:
            with self.cursor() as cursor:
                while not done.is_set():
                    _end_connections(cursor, names)
                    done.wait(0.02)
        except DatabaseError:  # the rename itself reports the problem
            pass
        finally:
            connections.close_all()


@contextlib.contextmanager
def explained(hint: str = IN_PLACE) -> Iterator[None]:
    """Turn errors of the server before the swap into typed errors."""
    try:
        yield
    except DatabaseError as error:
        raise ProgramFailed(
            gettext_noop("The new database could not be created: %(reason)s"),
            hint=hint,
            reason=_one_line(error),
        ) from error


def name_beside(live: str, mark: str, suffix: str = "") -> str:
    """Return a name that belongs to a live database; a long name is truncated, and made unique by its digest.

    :param suffix: eight digits; without them, the prefix of all such names is returned.
    """
    name, room = live.encode(), min(NAME_BYTES, 63 - len(mark) - DIGITS)
    if len(name) > room:
        live = f"{name[: room - 9].decode(errors='ignore')}_{hashlib.sha256(name).hexdigest()[:8]}"
    return f"{live}{mark}{suffix}"


def _close_ours(alias: str) -> None:
    """Close the connections of this thread and of this process that would be ended otherwise."""
    connection = connections[alias]
    connection.close()
    if close_pool := getattr(connection, "close_pool", None):
        close_pool()


def _oid(cursor: Any, name: str) -> int | None:
    cursor.execute("SELECT oid FROM pg_catalog.pg_database WHERE datname = %s", [name])
    row = cursor.fetchone()
    return int(row[0]) if row else None


def _locale(values: dict[str, Any]) -> list[str]:
    """Return the options of ``CREATE DATABASE`` for a row of ``pg_database``, whose columns differ by version."""
    words = [f"LC_COLLATE {literal(values['datcollate'])}", f"LC_CTYPE {literal(values['datctype'])}"]
    locale = values.get("daticulocale") or values.get("datlocale")
    provider = {"i": "ICU", "b": "BUILTIN"}.get(values.get("datlocprovider", ""))
    if provider:
        words.append(f"LOCALE_PROVIDER {provider} {provider}_LOCALE {literal(str(locale))}")
    if values.get("daticurules"):
        words.append(f"ICU_RULES {literal(values['daticurules'])}")
    return words


def _copy_settings(cursor: Any, oid: int, new: str) -> None:
    cursor.execute(
        "SELECT CASE setrole WHEN 0 THEN NULL ELSE pg_get_userbyid(setrole) END,"
        " split_part(entry, '=', 1), substr(entry, strpos(entry, '=') + 1)"
        " FROM pg_catalog.pg_db_role_setting, unnest(setconfig) AS entry WHERE setdatabase = %s",
        [oid],
    )
    for role, name, value in cursor.fetchall():
        target = f"ROLE {quote(role)} IN DATABASE {quote(new)}" if role else f"DATABASE {quote(new)}"
        values = next(csv.reader([value], skipinitialspace=True)) if name in LISTS else [value]
        # The name of an extension's setting contains a dot.
        setting = ".".join(map(quote, name.split(".")))
        cursor.execute(f"ALTER {target} SET {setting} TO {', '.join(literal(each) for each in values)}")


def _may_set(cursor: Any, oid: int, live: str) -> bool:
    """Whether our role may copy the settings of a database: some, and those of other roles, require a superuser."""
    cursor.execute("BEGIN")
    try:
        _copy_settings(cursor, oid, live)
    except DatabaseError:
        return False
    finally:
        cursor.execute("ROLLBACK")
    return True


def _copy_grants(cursor: Any, oid: int, new: str) -> None:
    cursor.execute(
        "SELECT privilege_type, CASE grantee WHEN 0 THEN NULL ELSE pg_get_userbyid(grantee) END, is_grantable"
        " FROM pg_catalog.pg_database, aclexplode(datacl) WHERE oid = %s",
        [oid],
    )
    grants = cursor.fetchall()
    if grants:  # without an entry, both have the defaults
        cursor.execute(f"REVOKE ALL ON DATABASE {quote(new)} FROM PUBLIC")
    for privilege, grantee, is_grantable in grants:
        target = quote(grantee) if grantee else "PUBLIC"
        option = " WITH GRANT OPTION" if is_grantable else ""
        cursor.execute(f"GRANT {privilege} ON DATABASE {quote(new)} TO {target}{option}")


def _end_connections(cursor: Any, names: Sequence[str]) -> None:
    cursor.execute(
        "SELECT pg_terminate_backend(pid) FROM pg_catalog.pg_stat_activity"
        " WHERE datname = ANY (%s) AND pid <> pg_backend_pid() AND usesysid IN"
        " (SELECT oid FROM pg_catalog.pg_roles WHERE pg_has_role(oid, 'USAGE'))",
        [list(names)],
    )


def _one_line(error: Exception) -> str:
    return " ".join(str(error).split())
