"""Opened backups: restored into a separate place, read-only, with a Django alias of their own."""

from __future__ import annotations

import contextlib
import functools
from collections.abc import Iterator
from datetime import timedelta

from django.db import connections

from .. import clock
from ..conf import get_settings
from ..connectors.registry import get_connector
from ..core import identity
from ..core.catalog import StoredObject
from ..exceptions import BackupError, BackupNotFound, ProgramFailed, ProgramMissing, UsageError, gettext_noop
from ..impossible_values import HIGHEST
from ..jobs import aliases, closing, history
from ..jobs.at_once import run_now
from ..jobs.comparing import OpenedDifference, compare
from ..jobs.dispatch import enqueue
from ..jobs.job import Progress
from ..jobs.opening import find_places
from ..jobs.opening import open_backup as carry_out_opening
from ..jobs.options import OpenOptions, RestoreOptions
from ..jobs.put_live import put_live as carry_out_switch
from ..jobs.put_live import refuse
from ..models.opened import OpenedBackup
from ..models.runs import API, BackupRun, Kind, Origin
from ..remote import find_backup, get_catalog
from .backups import find_latest


def open_backup(
    path: str | None = None,
    *,
    database: str | None = None,
    hours: float | None = None,
    origin: Origin = API,
    progress: Progress | None = None,
) -> OpenedBackup:
    """Restore a backup into a separate place, read-only, and return it with its alias.

    :param path: name or path of a backup; by default the latest of ``database``.
    :param database: the database that the backup must be of.
    :param hours: how long it stays; by default ``OPEN_HOURS``.
    :raises RunInProgress: another run reads backups of this database.
    :raises BackupError: it failed, and left nothing behind.
    """
    backup = _find(path, database)
    run = _open_run(backup, hours, origin)
    run_now(run, functools.partial(carry_out_opening, backup=backup), progress)
    return _use(OpenedBackup.objects.get(pk=run.pk))


def start_open_backup(
    path: str | None = None,
    *,
    database: str | None = None,
    hours: float | None = None,
    origin: Origin = API,
) -> BackupRun:
    """Queue the opening of a backup and return its run at once; the opened backup will have the id of the run.

    :raises RunInProgress: another run reads backups of this database.
    """
    return enqueue(_open_run(_find(path, database), hours, origin))


@contextlib.contextmanager
def opened(path: str | None = None, *, database: str | None = None, origin: Origin = API) -> Iterator[str]:
    """Open a backup for the duration of the block, and give its alias.

    :raises BackupError: it can't be opened.
    """
    backup = _find(path, database)
    run = _open_run(backup, None, origin)
    found: list[OpenedBackup] = []
    process = str(identity.current() or "here")
    run_now(run, functools.partial(carry_out_opening, backup=backup, process=process, found=found))
    try:
        yield found[0].alias
    finally:
        closing.close(found[0])


def compare_opened_backup(opened: OpenedBackup) -> OpenedDifference:
    """Return the differences between an opened backup and the current live database."""
    return compare(opened)


def why_not_live(opened: OpenedBackup) -> str:
    """Return why an opened backup can't be put live, as a sentence; an empty string when it can."""
    try:
        refuse(opened, get_connector(opened.database))
    except BackupError as error:
        return str(error)
    return ""


def makes_safety_backup() -> bool:
    """Whether a restore makes a safety backup by default; see ``SAFETY_BACKUP``."""
    return get_settings().safety_backup


def put_live(
    opened: OpenedBackup,
    *,
    safety_backup: bool | None = None,
    origin: Origin = API,
    progress: Progress | None = None,
) -> BackupRun:
    """Replace the live database with an opened backup, all-or-nothing, and return the run.

    It is a restore like any other: it makes a safety backup first, and can be undone.

    :raises RunInProgress: another run locks the database.
    :raises BackupError: it failed, and the database is unchanged.
    """
    return run_now(_live_run(opened, safety_backup, origin), carry_out_switch, progress)


def start_put_live(
    opened: OpenedBackup, *, safety_backup: bool | None = None, origin: Origin = API
) -> BackupRun:
    """Queue :func:`put_live` and return its run at once."""
    return enqueue(_live_run(opened, safety_backup, origin))


def keep_open(opened: OpenedBackup, hours: float | None = None) -> OpenedBackup:
    """Keep an opened backup longer: for ``hours`` from now on, by default ``OPEN_HOURS``."""
    wanted = _checked(hours)
    opened.expires_at = clock.now() + timedelta(hours=get_settings().open_hours if wanted is None else wanted)
    opened.save(update_fields=["expires_at"])
    return opened


def close_backup(opened: OpenedBackup | str) -> None:
    """Remove an opened backup.

    :param opened: the object, its alias, or its id.
    :raises BackupNotFound: it does not exist.
    :raises BackupError: its server does not answer.
    """
    found = get_opened_backup(opened) if isinstance(opened, str) else opened
    if found.run and not closing.is_over(found):
        raise UsageError(
            gettext_noop("“%(alias)s” is in use by a run."),
            hint=gettext_noop("Wait until the run ends, or cancel it."),
            alias=found.alias,
        )
    closing.close(found)
    closing.sweep([found.server])


def list_opened_backups(*, everywhere: bool = True) -> list[OpenedBackup]:
    """Return the opened backups, newest first, after removing expired ones.

    :param everywhere: also search the servers of all databases for remains of killed processes.
    """
    closing.sweep(None if everywhere else ())
    has_table = history.has_table(OpenedBackup, must_answer=everywhere)
    return list(OpenedBackup.objects.staying()) if has_table else []


def close_expired_backups() -> list[OpenedBackup]:
    """Remove expired opened backups, and those that killed processes left behind; return them.

    :raises ProgramFailed: the database of the run history can't be reached.
    """
    history.has_table(OpenedBackup, must_answer=True)
    return closing.sweep()


def get_opened_backup(name: str) -> OpenedBackup:
    """Find an opened backup by its alias or its id, and register its alias in this process.

    :raises BackupNotFound: it does not exist, or has expired.
    """
    for each in OpenedBackup.objects.staying() if history.has_table(OpenedBackup, must_answer=True) else ():
        if name in (each.alias, str(each.pk), each.pk.hex) and not closing.is_over(each):
            return _use(each)
    raise BackupNotFound(
        gettext_noop("There is no opened backup “%(name)s”."),
        hint=gettext_noop("“manage.py openbackup --list” lists the opened backups."),
        name=name,
    )


def open_shell(opened: OpenedBackup) -> None:
    """Start the database's own client on an opened backup, and wait for its end.

    :raises BackupError: the client is not installed, or failed.
    """
    _connector, places = find_places(opened.server)
    client = connections[aliases.register(opened, places)].client
    try:
        client.runshell(list(places.shell_arguments))
    except FileNotFoundError as error:
        raise ProgramMissing(
            gettext_noop("The program %(program)s is not installed."),
            hint=gettext_noop("Install the client programs of the database."),
            program=client.executable_name,
        ) from error
    except Exception as error:
        status = getattr(error, "returncode", None)
        if status is None:
            raise
        raise ProgramFailed(
            gettext_noop("%(program)s ended with %(status)s."),
            hint=gettext_noop("Its messages are above. Nothing can be written to an opened backup."),
            program=client.executable_name,
            status=status,
        ) from error


def _use(opened: OpenedBackup) -> OpenedBackup:
    with contextlib.suppress(BackupError):  # its server does not answer now: using the alias reports that
        aliases.register(opened, find_places(opened.server)[1])
    return opened


def _find(path: str | None, database: str | None) -> StoredObject:
    if path is None:
        return find_latest(database)
    found = find_backup(get_catalog(), path)
    if database not in (None, found.database):
        raise UsageError(
            gettext_noop("%(name)s is a backup of “%(source)s”, not of “%(target)s”."),
            hint=gettext_noop("Nothing was changed. Leave --database out, or name another backup."),
            name=found.name,
            source=found.database,
            target=database,
        )
    return found


def _open_run(backup: StoredObject, hours: float | None, origin: Origin) -> BackupRun:
    """Return the run that opens a backup. The run itself finds out whether that is possible."""
    return BackupRun(
        kind=Kind.OPEN,
        database=backup.database,
        path=backup.path,
        options=OpenOptions(hours=_checked(hours)).as_dict(),
        **origin.as_fields(),
    )


def _checked(hours: float | None) -> float | None:
    if hours is not None and not 0 < hours <= HIGHEST["OPEN_HOURS"]:
        raise UsageError(
            gettext_noop("“%(hours)s” is not a number of hours that a backup can stay open."),
            hint=gettext_noop("Give a number above 0 and at most %(most)s."),
            hours=hours,
            most=HIGHEST["OPEN_HOURS"],
        )
    return hours


def _live_run(opened: OpenedBackup, safety_backup: bool | None, origin: Origin) -> BackupRun:
    get_connector(opened.database)
    wanted = get_settings().safety_backup if safety_backup is None else safety_backup
    options = RestoreOptions(strategy="swap", safety_backup=wanted, opened=str(opened.pk))
    return BackupRun(
        kind=Kind.DB_RESTORE,
        database=opened.database,
        path=opened.path,
        options=options.as_dict(),
        **origin.as_fields(),
    )
