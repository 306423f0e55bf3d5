"""Checks backups, chooses backups to check, and lists the records."""

from __future__ import annotations

import functools
from collections.abc import Collection
from datetime import timedelta

from .. import clock
from ..core.catalog import StoredObject, latest
from ..core.check_marks import LEVELS, Level
from ..core.naming import MEDIA
from ..core.records import Record, read_beside
from ..core.rotation import due
from ..core.states import BACKUPS
from ..exceptions import BackupNotFound, UsageError, gettext_noop
from ..jobs.at_once import run_now
from ..jobs.dispatch import enqueue
from ..jobs.job import Progress
from ..jobs.options import VerifyOptions
from ..jobs.verify import verify
from ..models.runs import API, BackupRun, Kind, Origin
from ..remote import find_backups, find_listed, get_catalogs, inspect, list_objects
from .backups import list_backups
from .media import list_media

WITHIN = 30
"""The default number of days after which a check is old."""


def verify_backup(
    path: str | StoredObject,
    *,
    level: str = Level.STRUCTURE,
    origin: Origin = API,
    progress: Progress | None = None,
) -> BackupRun:
    """Check a backup, store the record next to it, and return the run.

    :param path: name or path of the backup in the backup list; or the backup itself, from a list.
    :param level: ``checksum``, ``structure``, ``restore`` or ``site``; each includes those before it.
    :raises CheckFailed: it failed.
    :raises NotChecked: a level could not be carried out; the earlier ones have passed.
    :raises RunInProgress: another run reads a backup of this database.
    :raises BackupError: the check was interrupted; nothing was recorded.
    """
    backup = path if isinstance(path, StoredObject) else find_for_check([path])[0]
    return run_now(_verify_run(backup, level, origin), functools.partial(verify, backup=backup), progress)


def start_verify_backup(
    path: str, *, level: str = Level.STRUCTURE, then: Collection[str] = (), origin: Origin = API
) -> BackupRun:
    """Queue the check of a backup and return its run at once; see :func:`verify_backup`.

    :param then: paths of further backups of the same database, which are checked afterwards by separate runs.
    """
    [backup] = find_listed(get_catalogs(), [path])
    run = _verify_run(backup, level, origin)
    run.options = VerifyOptions(level=_level(level), then=list(then) or None).as_dict()
    return enqueue(run)


def choose_for_check(
    which: str = "latest",
    *,
    databases: Collection[str] = (),
    level: str = Level.STRUCTURE,
    within: float = WITHIN,
    limit: int | None = None,
) -> list[StoredObject]:
    """Return backups to check, the most important first.

    :param which: ``latest`` of each database, ``all``, or ``due``: of each the newest that has not reached the level,
        and then those that have not passed it for ``within`` days, the longest unchecked first.
    :param databases: only those of these aliases; ``media`` stands for the media files.
    :param limit: the largest number to return.
    :raises UsageError: an alias is neither configured nor that of any backup.
    """
    wanted = _level(level)
    objects = [each for alias in databases for each in _list(alias)] if databases else _list_all()
    if which == "due":
        found = due(objects, wanted, within=timedelta(days=within), now=clock.now())
    elif which == "latest":
        names = dict.fromkeys((each.kind, each.database) for each in objects)
        newest = [latest([each for each in objects if each.kind == kind], name) for kind, name in names]
        found = [each for each in newest if each]
    else:
        found = objects
    return found[:limit]


def find_for_check(names: Collection[str]) -> list[StoredObject]:
    """Return the backups of these names or paths.

    :raises BackupNotFound: one of them is not in the backup list.
    """
    return find_backups(get_catalogs(), names)


def list_checks(path: str) -> list[Record]:
    """Return the check records stored next to a backup, newest first.

    :raises BackupNotFound: the backup is not in the backup list.
    """
    catalogs = get_catalogs()
    [backup] = find_listed(catalogs, [path])
    return read_beside(catalogs[0].rclone, backup)


def _list(alias: str) -> list[StoredObject]:
    return list_media() if alias == MEDIA else list_backups(alias)


def _list_all() -> list[StoredObject]:
    """Return the backups of all aliases and of the media files, newest of each kind first."""
    catalogs = get_catalogs()
    listed = [each for objects in list_objects(catalogs) for each in objects]
    return inspect(catalogs, [each for each in listed if each.state in BACKUPS])


def _level(name: str) -> Level:
    try:
        return Level(name)
    except ValueError:
        raise UsageError(
            gettext_noop("There is no level “%(level)s”."),
            hint=gettext_noop("The levels are: %(levels)s."),
            level=name,
            levels=", ".join(LEVELS),
        ) from None


def _verify_run(backup: StoredObject, level: str, origin: Origin) -> BackupRun:
    if backup.state not in BACKUPS:
        raise BackupNotFound(gettext_noop("%(name)s is not a complete backup."), name=backup.name)
    options = VerifyOptions(level=_level(level))
    return BackupRun(
        kind=Kind.VERIFY,
        database=backup.database,
        path=backup.path,
        options=options.as_dict(),
        **origin.as_fields(),
    )
