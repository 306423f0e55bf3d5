"""Restores: planned, done, undone."""

from __future__ import annotations

import functools
from collections.abc import Callable
from pathlib import Path
from typing import IO

from django.apps import apps
from django.conf import settings as django_settings
from django.db import DatabaseError, router

from ..conf import get_settings
from ..connectors.registry import get_connector
from ..engine.catalog import State, latest
from ..exceptions import BackupError, BackupNotFound
from ..exceptions import gettext_noop as _
from ..jobs import history, undo
from ..jobs.facts import ask
from ..jobs.job import Job, Progress
from ..jobs.plan import RestorePlan, choose_strategy, make_plan
from ..jobs.restore import put_back, restore
from ..models import BackupRun, Kind, Trigger
from ..site import find_backup, get_catalog
from .backups import list_backups
from .runs import do, queue


def plan_restore(
    path: str | None = None,
    *,
    database: str | None = None,
    to: str | None = None,
    strategy: str | None = None,
    safety_backup: bool | None = None,
) -> RestorePlan:
    """Say what a restore would do, and change nothing.

    :param path: name or path of a backup; without one, the latest of ``database``.
    :param database: the database that the backup must be of.
    :param to: another database to restore it into.
    :raises BackupNotFound: there is no such backup.
    :raises RestoreRefused: it is of another database or engine.
    """
    catalog = get_catalog()
    if path is None:
        found = latest(catalog.objects(), database or "default")
        if found is None:
            raise BackupNotFound(_("There is no backup of “%(database)s”."), database=database or "default")
        backup = found
    else:
        backup = find_backup(catalog, path)
    target = to or database or backup.database
    return make_plan(
        backup, target, is_elsewhere=to is not None, strategy=strategy, safety_backup=safety_backup
    )


def restore_database(
    path: str | None = None,
    *,
    to: str | None = None,
    source: Path | IO[bytes] | None = None,
    strategy: str | None = None,
    safety_backup: bool | None = None,
    trigger: str = Trigger.API,
    requested_by: str = "",
    progress: Progress | None = None,
) -> BackupRun:
    """Restore a backup, all of it or nothing, and return the run.

    :param path: name or path of the backup, as it is listed.
    :param to: the alias to restore into; by default the one it was taken from.
    :param source: a local file, or an open binary stream, instead of ``path``; it needs ``to``.
    :raises RunInProgress: another run holds the database.
    :raises BackupError: it failed, and the database is as it was.
    """
    run = _restore_run(path, to, source, strategy, safety_backup, trigger, requested_by)
    return do(run, functools.partial(restore, source=source), progress)


def start_restore_database(
    path: str,
    *,
    to: str | None = None,
    strategy: str | None = None,
    safety_backup: bool | None = None,
    trigger: str = Trigger.API,
    requested_by: str = "",
) -> BackupRun:
    """Queue a restore and return its run at once.

    :raises RunInProgress: another run holds the database.
    """
    return queue(_restore_run(path, to, None, strategy, safety_backup, trigger, requested_by))


def undo_restore(
    database: str = "default",
    *,
    trigger: str = Trigger.API,
    requested_by: str = "",
    progress: Progress | None = None,
) -> BackupRun:
    """Put back what the last restore of a database replaced, and return the run.

    It is a restore like any other: doing it twice leads back again.

    :raises BackupNotFound: nothing was kept that could be put back.
    :raises RunInProgress: another run holds the database.
    """
    run, work = _undo_run(database, trigger, requested_by)
    return do(run, work, progress)


def start_undo_restore(
    database: str = "default", *, trigger: str = Trigger.API, requested_by: str = ""
) -> BackupRun:
    """Queue an undo and return its run at once; see :func:`undo_restore`."""
    return queue(_undo_run(database, trigger, requested_by)[0])


def is_undoable(run: BackupRun) -> bool:
    """Whether this run is the last restore of its database, and what it replaced was kept."""
    if run.kind != Kind.DB_RESTORE or run.is_active:
        return False
    if not (run.options.get(undo.KEPT) or run.options.get(undo.SAFETY)):
        return False
    try:
        return run == undo.last_restore(run.database)
    except (BackupError, DatabaseError):  # its server is asked, and does not answer
        return False


def holds_sessions(database: str) -> bool:
    """Whether the sessions of signed-in people live in this database, so that its restore may sign them out."""
    if not apps.is_installed("django.contrib.sessions") or "db" not in django_settings.SESSION_ENGINE:
        return False
    return router.db_for_write(apps.get_model("sessions", "Session")) == database


def _restore_run(
    path: str | None,
    to: str | None,
    source: Path | IO[bytes] | None,
    strategy: str | None,
    safety_backup: bool | None,
    trigger: str,
    requested_by: str,
) -> BackupRun:
    if source is None:
        backup = find_backup(get_catalog(), path or "")
        path, database = backup.path, to or backup.database
    else:
        path, database = "", to or "default"
    safety = get_settings().safety_backup if safety_backup is None else safety_backup
    options = {
        "strategy": choose_strategy(database, strategy),
        "safety_backup": safety,
        "elsewhere": to is not None,
    }
    return BackupRun(
        kind=Kind.DB_RESTORE,
        database=database,
        path=path,
        trigger=trigger,
        requested_by=requested_by,
        options=options,
    )


def _undo_run(database: str, trigger: str, requested_by: str) -> tuple[BackupRun, Callable[[Job], str]]:
    """Find what the last restore kept: the replaced data itself on the server, else the backup made before it."""
    # Otherwise “nothing was kept” is all that there were to say of a server that is gone.
    ask(get_connector(database))
    history.release(database)
    last = undo.last_restore(database)
    if last and last.options.get(undo.KEPT):
        run = BackupRun(kind=Kind.DB_RESTORE, database=database, trigger=trigger, requested_by=requested_by)
        run.options = {undo.PUT_BACK: last.options[undo.KEPT]}
        return run, put_back
    path = last.options.get(undo.SAFETY) if last else None
    if path is None:
        # A new server has no history, but the remote knows. Where there is a history, an older one would be wrong.
        found = [] if last else list_backups(database)
        kept = [each for each in found if each.is_safety and each.state is State.COMPLETE]
        if not kept:
            raise BackupNotFound(
                _("Nothing was kept of “%(database)s” that could be put back."),
                hint=_("Restore any backup with “dbrestore --input-path NAME”."),
                database=database,
            )
        path = kept[0].path
    # Who could not restore in another way can't undo in another way either.
    strategy = last.options.get("strategy") if last else None
    return _restore_run(path, None, None, strategy, None, trigger, requested_by), restore
