"""The run history as a table: which database contains it, and whether the table exists."""

from __future__ import annotations

import logging
import sqlite3

from django.db import InterfaceError, OperationalError, connections, models, router

from ..core.store import Stored
from ..models.runs import BackupRun, Kind, Status
from .facts import unreachable

logger = logging.getLogger("django_rclone_admin")

APP = "django_rclone_admin"


def database() -> str:
    """Return the alias of the database with the history."""
    return router.db_for_write(BackupRun)


def has_table(model: type[models.Model] = BackupRun, *, must_answer: bool = False) -> bool:
    """Whether the table of a model exists, in the database of the history. On a new server, runs work without it.

    :param must_answer: do not take a database that can't be reached for one without the table.
    :raises ProgramFailed: it can't be reached.
    """
    try:
        return _is_in(database(), model)
    except Exception as error:  # not only database errors, see below
        if must_answer and isinstance(error, OperationalError | InterfaceError):
            raise unreachable(database(), error) from error
        return False


def _is_in(alias: str, model: type[models.Model] = BackupRun) -> bool:
    return model._meta.db_table in connections[alias].introspection.table_names()


def will_record(run: BackupRun) -> bool:
    """Whether a run will be recorded; if not, log why.

    :raises ProgramFailed: the history is in the run's own database, which can't be reached.
    """
    alias = database()
    try:
        if _is_in(alias):
            return _is_up_to_date(alias)
    except Exception as error:  # tests without a database, and a site with DATABASES = {}, raise other errors
        told = unreachable(alias, error)
        is_gone = isinstance(error, OperationalError | InterfaceError)
        if is_gone and run.database == alias and run.kind in (Kind.DB_BACKUP, Kind.DB_RESTORE):
            raise told from error
        logger.warning("The run is not recorded, and does not lock its database: %s", told)
        return False
    logger.warning(
        "The run is not recorded: the table of the history does not exist in “%s”. Run “manage.py migrate”.",
        alias,
    )
    return False


def _is_up_to_date(alias: str) -> bool:
    """Whether the table has all columns. Before ``migrate`` it may be that of an earlier version of this app."""
    connection = connections[alias]
    table = connection.ops.quote_name(BackupRun._meta.db_table)
    converted = connection.introspection.identifier_converter
    with connection.cursor() as cursor:
        # Not by the introspection: with SQLite it parses the SQL of the table, which takes 10 ms of processor time.
        cursor.execute(f"SELECT * FROM {table} WHERE 1 = 0")  # noqa: S608  (the quoted name of our own table)
        found = {converted(column[0]) for column in cursor.description}
    missing = {field.column for field in BackupRun._meta.fields} - found
    if missing:
        logger.warning(
            "The run is not recorded: the history is that of an earlier version. Run “manage.py migrate”."
        )
    return not missing


def is_locked(error: BaseException) -> bool:
    """Whether the history is in a SQLite file that another connection has locked."""
    cause = error.__cause__
    return isinstance(cause, sqlite3.Error) and getattr(cause, "sqlite_errorcode", 0) & 0xFF in (
        sqlite3.SQLITE_BUSY,
        sqlite3.SQLITE_LOCKED,
    )


def last_stored(database: str) -> Stored | None:
    """Return what the last backup of a database has stored, or ``None`` if the history does not contain one."""
    if not has_table():
        return None
    try:
        runs = BackupRun.objects.filter(kind=Kind.DB_BACKUP, status=Status.SUCCEEDED, database=database)
        last = runs.exclude(path="").order_by("-created_at").first()
    except Exception:  # noqa: BLE001  (as above)
        return None
    if last is None or last.size is None or last.raw_size is None:
        return None
    return Stored(size=last.size, raw_size=last.raw_size, sha256=last.sha256)
