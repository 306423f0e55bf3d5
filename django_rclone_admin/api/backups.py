"""Makes, lists, reads, pins and deletes backups."""

from __future__ import annotations

import functools
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import IO

from ..cached_listing import forget_listing
from ..connectors.registry import get_connector, is_database, no_database
from ..core.catalog import StoredObject, latest
from ..core.states import BACKUPS
from ..core.store import read, remove, set_pin
from ..exceptions import BackupError, BackupNotFound, gettext_noop
from ..jobs.at_once import run_now
from ..jobs.backup import back_up
from ..jobs.dispatch import enqueue
from ..jobs.job import Progress
from ..jobs.options import BackupOptions
from ..jobs.reading import refuse_being_read
from ..models.runs import API, BackupRun, Kind, Origin
from ..remote import find_backups, find_listed, get_catalog, get_catalogs


def list_backups(database: str | None = None, *, everything: bool = False) -> list[StoredObject]:
    """Return the backups on the remote, newest first.

    :param database: only those of this alias, which need not be configured any more.
    :param everything: also partial uploads and unknown files.
    :raises UsageError: the alias is neither configured nor that of any backup.
    :raises RemoteError: the remote can't be listed.
    """
    objects = get_catalog().objects()
    known = {each.database for each in objects}
    if database is not None and database not in known and not is_database(database):
        raise no_database(database, known)
    found = [each for each in objects if everything or each.state in BACKUPS]
    return [each for each in found if database is None or each.database == database]


def list_databases() -> set[str]:
    """Return the aliases that backups on the remote are of, whether they are configured or not.

    :raises RemoteError: the remote can't be listed.
    """
    return {each.database for each in get_catalog().objects(manifests=False) if each.state in BACKUPS}


def find_latest(database: str | None = None) -> StoredObject:
    """Return the latest backup of a database that can be restored.

    :param database: by default “default”.
    :raises UsageError: the database is not configured.
    :raises BackupNotFound: it lacks such a backup.
    """
    wanted = "default" if database is None else database
    get_connector(wanted)
    found = latest(get_catalog().objects(), wanted)
    if found is None:
        raise BackupNotFound(gettext_noop("There is no backup of “%(database)s”."), database=wanted)
    return found


def backup_database(
    database: str = "default",
    *,
    label: str = "",
    origin: Origin = API,
    output: Path | IO[bytes] | None = None,
    group: str = "",
    progress: Progress | None = None,
) -> BackupRun:
    """Back up a database and return the run.

    :param output: a local file, or an open binary stream, instead of the remote.
    :param group: shared by all backups that are made together.
    :param origin: the trigger, and the person who requests it.
    :param progress: called with the run a few times a second, from another thread.
    :raises RunInProgress: another run locks the database.
    :raises BackupError: it failed; no incomplete backup is listed.
    """
    run = _backup_run(database, label=label, origin=origin)
    run.options = BackupOptions(group=group).as_dict()
    return run_now(run, functools.partial(back_up, output=output), progress)


def start_backup_database(
    database: str = "default",
    *,
    label: str = "",
    origin: Origin = API,
    clean: bool = False,
    level: str = "",
    group: str = "",
) -> BackupRun:
    """Queue a backup and return its run at once.

    :param clean: after a successful backup, remove backups by the retention rules.
    :param level: check the backup up to this level before any removal. After a failed check, nothing is removed.
    :param group: shared by all backups that are started together.
    :raises RunInProgress: another run locks the database.
    """
    run = _backup_run(database, label=label, origin=origin)
    run.options = BackupOptions(clean=clean, level=level, group=group).as_dict()
    return enqueue(run)


def delete_backups(paths: Iterable[str], *, wait: bool = True, origin: Origin = API) -> int:
    """Delete backups from the remote, with their manifests and pins; return their number.

    Deleting a media backup also removes the file versions that only it needs, in a separate run.

    :param wait: wait for that run; otherwise it is queued.
    :raises BackupNotFound: one of them is not in the backup list; nothing was deleted then.
    :raises BackupInUse: a run is reading one of them.
    """
    catalogs = get_catalogs()
    found = find_listed(catalogs, paths)
    refuse_being_read(each.path for each in found)
    try:
        for each in found:
            refuse_being_read([each.path])
            remove(catalogs[0], each)
    except BackupError as error:
        error.changed = gettext_noop("Some of these backups may have been deleted before that.")
        raise
    finally:
        forget_listing()
    if any(each.kind == "media" for each in found):
        from .media import prune_media_versions  # with all that media files need: few delete backups of them

        prune_media_versions(wait=wait, origin=origin)
    return len(found)


def pin_backup(path: str, *, pinned: bool = True) -> None:
    """Pin a backup, so that the retention rules keep it, or unpin it.

    :raises BackupNotFound: it is not in the backup list.
    """
    catalogs = get_catalogs()
    [backup] = find_listed(catalogs, [path])
    set_pin(catalogs[0], backup, pinned=pinned)
    forget_listing()


def read_backup(path: str) -> tuple[StoredObject, Iterator[bytes]]:
    """Return a backup and its stored bytes as a stream; for a media backup these are its file list.

    :raises BackupNotFound: it is not in the backup list.
    """
    catalogs = get_catalogs()
    [backup] = find_backups(catalogs, [path])
    return backup, read(catalogs[0], backup)


def refresh() -> None:
    """Discard the cached backup list, so that the remote is listed again."""
    forget_listing()


def _backup_run(database: str, label: str, origin: Origin) -> BackupRun:
    get_connector(database)
    return BackupRun(kind=Kind.DB_BACKUP, database=database, **origin.as_fields(label))
