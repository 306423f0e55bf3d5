"""Opened backups: restored beside everything live, read-only, with a Django alias of their own."""

from __future__ import annotations

import contextlib
import functools
from collections.abc import Iterator

from django.db import connections

from ..core import identity
from ..core.catalog import StoredObject
from ..exceptions import BackupError, BackupNotFound, ProgramFailed, ProgramMissing, UsageError, gettext_noop
from ..jobs import aliases, closing
from ..jobs.dispatch import enqueue, run_now
from ..jobs.job import Progress
from ..jobs.opening import find_places
from ..jobs.opening import open_backup as carry_out_opening
from ..jobs.options import OpenOptions
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
    """Restore a backup beside everything live, read-only, and return it with its alias.

    :param path: name or path of a backup; without one, the latest of ``database``.
    :param database: the database that the backup must be of.
    :param hours: how long it stays; by default ``OPEN_HOURS``.
    :raises RunInProgress: another run reads backups of this database.
    :raises BackupError: it failed, and nothing is left of it.
    """
    run = _open_run(_find(path, database), hours, origin)
    run_now(run, carry_out_opening, progress)
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
    """Open a backup for the time of the block, and give its alias.

    :raises BackupError: it can't be opened.
    """
    run = _open_run(_find(path, database), None, origin)
    found: list[OpenedBackup] = []
    run_now(run, functools.partial(carry_out_opening, process=str(identity.current() or "here"), found=found))
    try:
        yield found[0].alias
    finally:
        closing.close(found[0])


def close_backup(opened: OpenedBackup | str) -> None:
    """Remove an opened backup.

    :param opened: itself, its alias, or its id.
    :raises BackupNotFound: there is none.
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


def list_opened_backups() -> list[OpenedBackup]:
    """Return the opened backups, newest first, when what has expired is removed."""
    closing.sweep()
    return list(OpenedBackup.objects.staying()) if closing.has_table() else []


def close_expired_backups() -> list[OpenedBackup]:
    """Remove the opened backups that have expired, and what processes that died have left; return those."""
    return closing.sweep()


def get_opened_backup(name: str) -> OpenedBackup:
    """Find an opened backup by its alias or its id, and make its alias known to this process.

    :raises BackupNotFound: there is none, or it has expired.
    """
    for each in OpenedBackup.objects.staying() if closing.has_table() else ():
        if name in (each.alias, str(each.pk), each.pk.hex) and not closing.is_over(each):
            return _use(each)
    raise BackupNotFound(
        gettext_noop("There is no opened backup “%(name)s”."),
        hint=gettext_noop("“manage.py openbackup --list” shows what there is."),
        name=name,
    )


def open_shell(opened: OpenedBackup) -> None:
    """Start the database's own client on an opened backup, and wait for its end.

    :raises BackupError: there is no such client, or it failed.
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
            gettext_noop("%(program)s ended with %(status)s."), program=client.executable_name, status=status
        ) from error


def _use(opened: OpenedBackup) -> OpenedBackup:
    with contextlib.suppress(BackupError):  # its server does not answer now: so does whoever uses the alias
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
    """Return the run that opens a backup. Whether the backup can be opened is found out by the run."""
    if hours is not None and not 0 < hours < 24 * 3650:
        raise UsageError(
            gettext_noop("“%(hours)s” is no number of hours that a backup can stay open."),
            hint=gettext_noop("Give a positive number."),
            hours=hours,
        )
    return BackupRun(
        kind=Kind.OPEN,
        database=backup.database,
        path=backup.path,
        options=OpenOptions(hours=hours).as_dict(),
        **origin.as_fields(),
    )
