"""Plans, carries out and undoes restores."""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Callable
from pathlib import Path
from typing import IO

from django.apps import apps
from django.conf import settings as django_settings
from django.db import DatabaseError, connections, router

from ..conf import get_settings
from ..connectors.registry import get_connector
from ..core.catalog import StoredObject
from ..core.states import State
from ..exceptions import BackupError, BackupNotFound, gettext_noop
from ..jobs import lock, undo
from ..jobs.at_once import run_now
from ..jobs.dispatch import enqueue
from ..jobs.facts import ask
from ..jobs.job import Job, Progress
from ..jobs.media_kept import is_kept
from ..jobs.options import RestoreOptions, UndoNotes, UndoOptions
from ..jobs.plan import RestorePlan, choose_strategy, make_plan
from ..jobs.restore import restore, undo_by_kept
from ..models.runs import API, BackupRun, Kind, Origin
from ..remote import find_backup, find_listed, get_catalog
from .backups import find_latest, list_backups

RESTORES = (Kind.DB_RESTORE, Kind.MEDIA_RESTORE)


def plan_restore(
    path: str | None = None,
    *,
    database: str | None = None,
    to: str | None = None,
    strategy: str | None = None,
    safety_backup: bool | None = None,
) -> RestorePlan:
    """Return what a restore would do, without changing anything.

    :param path: name or path of a backup; by default the latest of ``database``.
    :param database: the database that the backup must be of.
    :param to: another database to restore it into.
    :raises UsageError: the database is not configured.
    :raises BackupNotFound: the backup is not in the backup list.
    :raises RestoreRefused: the backup is of another database or engine.
    """
    for alias in (database, to):
        if alias is not None:
            get_connector(alias)
    backup = find_latest(database) if path is None else find_backup(get_catalog(), path)
    target = to or database or backup.database
    return make_plan(
        backup, target, is_elsewhere=to is not None, strategy=strategy, safety_backup=safety_backup
    )


def restore_database(
    path: str | StoredObject | None = None,
    *,
    to: str | None = None,
    source: Path | IO[bytes] | None = None,
    strategy: str | None = None,
    safety_backup: bool | None = None,
    origin: Origin = API,
    progress: Progress | None = None,
) -> BackupRun:
    """Restore a backup, all-or-nothing where the strategy allows it, and return the run.

    :param path: name or path of the backup in the backup list; or the backup itself, from a plan or a list.
    :param to: the alias to restore into; by default that of the backup.
    :param source: a local file, or an open binary stream, instead of ``path``; it requires ``to``.
    :raises RunInProgress: another run locks the database.
    :raises BackupError: it failed. The message and the hint say what has changed.
    """
    backup = None
    if source is None:
        backup = path if isinstance(path, StoredObject) else find_backup(get_catalog(), path or "")
    run = _restore_run(backup, to, _options(strategy, safety_backup, to), origin)
    return run_now(run, functools.partial(restore, source=source, backup=backup), progress)


def start_restore_database(
    path: str,
    *,
    to: str | None = None,
    strategy: str | None = None,
    safety_backup: bool | None = None,
    origin: Origin = API,
) -> BackupRun:
    """Queue a restore and return its run at once.

    :raises RunInProgress: another run locks the database.
    """
    [backup] = find_listed([get_catalog()], [path])
    return enqueue(_restore_run(backup, to, _options(strategy, safety_backup, to), origin))


def undo_restore(
    database: str = "default",
    *,
    origin: Origin = API,
    progress: Progress | None = None,
) -> BackupRun:
    """Undo the last restore of a database, and return the run.

    It is a restore like any other: undoing twice returns to the restored data.

    :raises BackupNotFound: there is nothing to undo.
    :raises RunInProgress: another run locks the database.
    """
    run, work = _undo_run(database, origin)
    return run_now(run, work, progress)


def start_undo_restore(database: str = "default", *, origin: Origin = API) -> BackupRun:
    """Queue an undo and return its run at once; see :func:`undo_restore`."""
    return enqueue(_undo_run(database, origin)[0])


def is_undoable(run: BackupRun) -> bool:
    """Whether this run is the last restore of its database, or of the media files, and the replaced data was kept."""
    if run.kind not in RESTORES or run.is_active:
        return False
    notes = UndoNotes.from_run(run)
    if (
        run.kind == Kind.MEDIA_RESTORE
    ):  # the next restore removes it, and only the machine that has kept it can restore it
        return bool(notes.kept) and is_kept(Path(notes.kept))
    if not (notes.kept or notes.safety):
        return False
    try:
        return run == undo.last_restore(run.database)
    except (BackupError, DatabaseError):  # the database server does not answer
        return False


def is_undo(run: BackupRun) -> bool:
    """Whether a run undoes a restore."""
    return run.kind in RESTORES and RestoreOptions.from_run(run).undoes is not None


def undone_run(run: BackupRun) -> BackupRun | None:
    """Return the restore that an undo reverts, if the history contains it."""
    number = RestoreOptions.from_run(run).undoes
    return BackupRun.objects.filter(pk=number).first() if number else None


def is_tenant() -> bool:
    """Whether a connection uses the schema of one tenant, whose staff must not see the backups of all.

    django-tenants and its like set ``schema_name`` on the connection for each request.
    """
    public = getattr(django_settings, "PUBLIC_SCHEMA_NAME", "public")
    schemas = {getattr(each, "schema_name", None) for each in connections.all(initialized_only=True)}
    return not schemas <= {None, public}


def may_restore() -> bool:
    """Whether the settings allow restores in the admin; see ``ADMIN_RESTORE``."""
    return get_settings().admin_restore


def holds_sessions(database: str) -> bool:
    """Whether the sessions of logged-in users are stored in this database, so that a restore may log them out."""
    if not apps.is_installed("django.contrib.sessions") or "db" not in django_settings.SESSION_ENGINE:
        return False
    return router.db_for_write(apps.get_model("sessions", "Session")) == database


def _options(strategy: str | None, safety_backup: bool | None, to: str | None) -> RestoreOptions:
    wanted = get_settings().safety_backup if safety_backup is None else safety_backup
    return RestoreOptions(strategy=strategy, safety_backup=wanted, elsewhere=to is not None)


def _restore_run(
    backup: StoredObject | None, to: str | None, options: RestoreOptions, origin: Origin
) -> BackupRun:
    """Return the run of a restore; without a backup, for a local file or stream."""
    database = to if to is not None else backup.database if backup else "default"
    chosen = dataclasses.replace(options, strategy=choose_strategy(database, options.strategy))
    return BackupRun(
        kind=Kind.DB_RESTORE,
        database=database,
        path=backup.path if backup else "",
        options=chosen.as_dict(),
        **origin.as_fields(),
    )


def _undo_run(database: str, origin: Origin) -> tuple[BackupRun, Callable[[Job], str]]:
    """Find what the last restore kept: the replaced data on the server, or else its safety backup."""
    # Otherwise an unreachable server would be reported as “nothing to undo”.
    ask(get_connector(database))
    lock.release(database)
    last = undo.last_restore(database)
    notes = UndoNotes.from_run(last) if last else UndoNotes()
    undone = str(last.pk) if last else ""
    if notes.kept:
        run = BackupRun(kind=Kind.DB_RESTORE, database=database, **origin.as_fields())
        run.options = UndoOptions(put_back=notes.kept, undoes=undone).as_dict()
        return run, undo_by_kept
    backup = (
        find_backup(get_catalog(), notes.safety) if notes.safety else _newest_safety_backup(database, last)
    )
    # The strategy of that restore is used again: another one may not be possible here.
    strategy = RestoreOptions.from_run(last).strategy if last else None
    options = dataclasses.replace(_options(strategy, None, None), undoes=undone)
    run = _restore_run(backup, None, options, origin)
    return run, functools.partial(restore, backup=backup)


def _newest_safety_backup(database: str, last: BackupRun | None) -> StoredObject:
    """Return the safety backup of the last restore, from the remote alone.

    A new server lacks the history, but the remote has the backup. Where the history has a restore that took effect, an
    older safety backup would be wrong. That of a restore that changed nothing is always wrong.

    :raises BackupNotFound: there is nothing to undo.
    """
    unneeded = undo.unneeded_safety_backups(database)
    for each in [] if last else list_backups(database):
        if each.is_safety and each.state is State.COMPLETE and each.path not in unneeded:
            return each
    raise BackupNotFound(
        gettext_noop("There is nothing to undo for “%(database)s”."),
        hint=gettext_noop("Restore any backup with “dbrestore --input-path NAME”."),
        database=database,
    )
