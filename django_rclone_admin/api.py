"""The only door: commands, admin, schedules and integrators all call these functions.

Each ``verb_noun`` does its work before it returns and raises :class:`~django_rclone_admin.exceptions.BackupError` when
it fails; each ``start_verb_noun`` queues the run with the executor and returns it at once.
"""

from __future__ import annotations

import functools
import logging
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import IO, Any

from django.apps import apps
from django.conf import settings as django_settings
from django.db import router
from django.utils import timezone
from django.utils.translation import gettext

from .conf import get_settings
from .connectors.registry import all_databases, get_connector
from .engine.catalog import BACKUPS, State, StoredObject, latest
from .engine.retention import Decision
from .engine.store import read, remove, set_pin
from .exceptions import BackupError, BackupNotFound
from .exceptions import gettext_noop as _
from .executors import get_executor
from .health import Health, check
from .jobs import history
from .jobs.backup import back_up
from .jobs.history import RunInProgress
from .jobs.job import Job, Progress, carry_out, stop_all
from .jobs.plan import RestorePlan, choose_strategy, make_plan
from .jobs.prune import decide_all
from .jobs.prune import prune as prune_job
from .jobs.restore import restore, undo
from .models import BackupRun, Kind, Status, Trigger
from .site import find_backup, find_backups, forget_listing, get_catalog

__all__ = [
    "RunInProgress",
    "all_databases",
    "backup_database",
    "cancel",
    "carry_out_queued",
    "delete_backups",
    "health",
    "holds_sessions",
    "is_undoable",
    "list_backups",
    "list_media",
    "open_backup",
    "pin_backup",
    "plan_restore",
    "prune",
    "reap_stale",
    "refresh",
    "restore_database",
    "start_backup_database",
    "start_restore_database",
    "start_undo_restore",
    "stop_all",
    "undo_restore",
]

logger = logging.getLogger("django_rclone_admin")

WORK: dict[str, Callable[[Job], str]] = {
    Kind.DB_BACKUP: back_up,
    Kind.DB_RESTORE: restore,
    Kind.PRUNE: prune_job,
}
"""What carries out a run, by its kind; everything else that it needs is in the run's row."""


def list_backups(database: str | None = None, *, everything: bool = False) -> list[StoredObject]:
    """Return the backups on the remote, newest first.

    :param everything: unfinished uploads and foreign objects too.
    :raises RemoteError: the remote can't be listed.
    """
    found = [each for each in get_catalog().objects() if everything or each.state in BACKUPS]
    return [each for each in found if database is None or each.database == database]


def list_media() -> list[StoredObject]:
    """Return the files of the media mirror on the remote, by name.

    :raises RemoteError: the remote can't be listed.
    """
    folder = get_settings().media_backup_dir
    entries = get_catalog().rclone.entries(folder, recursive=True)
    return [
        StoredObject(
            name=each.name,
            path=f"{folder}/{each.name}",
            kind="media",
            size=each.size,
            taken_at=each.modified,
            state=State.LEGACY,
        )
        for each in sorted(entries, key=lambda each: each.name)
    ]


def backup_database(
    database: str = "default",
    *,
    label: str = "",
    trigger: str = Trigger.API,
    requested_by: str = "",
    output: Path | IO[bytes] | None = None,
    progress: Progress | None = None,
) -> BackupRun:
    """Back up a database and return the run.

    :param output: a local file, or an open binary stream, instead of the remote.
    :param progress: called with the run a few times a second, from another thread.
    :raises RunInProgress: another run holds the database.
    :raises BackupError: it failed; nothing is listed as a backup that is none.
    """
    run = _backup_run(database, label=label, trigger=trigger, requested_by=requested_by)
    return _do(run, functools.partial(back_up, output=output), progress)


def start_backup_database(
    database: str = "default",
    *,
    label: str = "",
    trigger: str = Trigger.API,
    requested_by: str = "",
    clean: bool = False,
) -> BackupRun:
    """Queue a backup and return its run at once.

    :param clean: remove what the retention does not keep, once the backup has succeeded.
    :raises RunInProgress: another run holds the database.
    """
    run = _backup_run(database, label=label, trigger=trigger, requested_by=requested_by)
    run.options = {"clean": clean}
    return _queue(run)


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
    return _do(run, functools.partial(restore, source=source), progress)


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
    return _queue(_restore_run(path, to, None, strategy, safety_backup, trigger, requested_by))


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
    return _do(run, work, progress)


def start_undo_restore(
    database: str = "default", *, trigger: str = Trigger.API, requested_by: str = ""
) -> BackupRun:
    """Queue an undo and return its run at once; see :func:`undo_restore`."""
    return _queue(_undo_run(database, trigger, requested_by)[0])


def prune(
    database: str, *, dry_run: bool = False, trigger: str = Trigger.API, requested_by: str = ""
) -> list[Decision]:
    """Remove the backups of a database that the retention does not keep; return what was decided on each, and why.

    :param dry_run: decide, and change nothing.
    :raises RunInProgress: another run holds the database.
    """
    if dry_run:
        return decide_all(list_backups(database), [database])
    decisions: list[Decision] = []
    run = BackupRun(kind=Kind.PRUNE, database=database, trigger=trigger, requested_by=requested_by)
    _do(run, functools.partial(prune_job, decisions=decisions), None)
    return decisions


def delete_backups(paths: Iterable[str]) -> int:
    """Take backups off the remote, with their manifests and pins; return how many there were.

    :raises BackupNotFound: one of them is not in the listing; nothing was removed then.
    """
    catalog = get_catalog()
    found = find_backups(catalog, paths)
    try:
        for each in found:
            remove(catalog, each)
    finally:
        forget_listing()
    return len(found)


def pin_backup(path: str, *, pinned: bool = True) -> None:
    """Pin a backup, so that the retention keeps it, or unpin it.

    :raises BackupNotFound: it is not in the listing.
    """
    catalog = get_catalog()
    set_pin(catalog, find_backup(catalog, path), pinned=pinned)
    forget_listing()


def open_backup(path: str) -> tuple[StoredObject, Iterator[bytes]]:
    """Return a backup and its stored bytes, as a stream.

    :raises BackupNotFound: it is not in the listing.
    """
    catalog = get_catalog()
    backup = find_backup(catalog, path)
    return backup, read(catalog, backup)


def cancel(run: BackupRun) -> None:
    """Ask a run to stop, on whichever machine it works; one that still waits ends at once."""
    now = timezone.now()
    waiting = BackupRun.objects.filter(pk=run.pk, status=Status.QUEUED)
    if waiting.update(
        status=Status.CANCELLED,
        lock=None,
        cancel_requested_at=now,
        finished_at=now,
        message=gettext("Cancelled."),
    ):
        return
    BackupRun.objects.filter(pk=run.pk, status=Status.RUNNING).update(cancel_requested_at=now)


def health() -> Health:
    """Say whether the site is safe; a remote that does not answer is part of the answer."""
    return check()


def refresh() -> None:
    """Have the next listing ask the remote again, whatever was remembered of it."""
    forget_listing()


def reap_stale() -> None:
    """Mark the runs whose process is gone as interrupted, and free their locks."""
    history.reap_stale()


def holds_sessions(database: str) -> bool:
    """Whether the sessions of signed-in people live in this database, so that its restore may sign them out."""
    if not apps.is_installed("django.contrib.sessions") or "db" not in django_settings.SESSION_ENGINE:
        return False
    return router.db_for_write(apps.get_model("sessions", "Session")) == database


def carry_out_queued(run_id: str) -> bool:
    """Carry out one queued run; what executors call. Its outcome is in its row; false when no such run is queued."""
    if not history.begin_queued(run_id):
        return False
    run = BackupRun.objects.get(pk=run_id)
    try:
        carry_out(run, undo if "kept" in run.options else WORK[run.kind])
        if run.options.get("clean"):
            prune(run.database, trigger=run.trigger, requested_by=run.requested_by)
    except BackupError as error:
        logger.warning("%s failed: %s", run, error)
    return True


def is_undoable(run: BackupRun) -> bool:
    """Whether this run is the last restore of its database, and what it replaced was kept."""
    if run.kind != Kind.DB_RESTORE or run.status != Status.SUCCEEDED:
        return False
    return run == history.last_restore(run.database) and bool(
        run.options.get("kept") or run.options.get("safety")
    )


def _undo_run(database: str, trigger: str, requested_by: str) -> tuple[BackupRun, Callable[[Job], str]]:
    """Find what the last restore kept: the replaced data itself on the server, else the backup made before it."""
    get_connector(database)
    last = history.last_restore(database)
    if last and last.options.get("kept"):
        run = BackupRun(kind=Kind.DB_RESTORE, database=database, trigger=trigger, requested_by=requested_by)
        run.options = {"kept": last.options["kept"]}
        return run, undo
    path = last.options.get("safety") if last else None
    if path is None:
        # A new server has no history, but the remote knows.
        kept = [each for each in list_backups(database) if each.is_safety and each.state is State.COMPLETE]
        if not kept:
            raise BackupNotFound(
                _("Nothing was kept of “%(database)s” that could be put back."),
                hint=_("Restore any backup with “dbrestore --input-path NAME”."),
                database=database,
            )
        path = kept[0].path
    return _restore_run(path, None, None, None, None, trigger, requested_by), restore


def _backup_run(database: str, **values: Any) -> BackupRun:
    get_connector(database)
    return BackupRun(kind=Kind.DB_BACKUP, database=database, **values)


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


def _do(run: BackupRun, work: Callable[[Job], str], progress: Progress | None) -> BackupRun:
    run.status, run.lock = Status.RUNNING, f"db:{run.database}"
    recorded = history.has_table()
    if not recorded:
        logger.warning(
            "The run is not recorded: the table of the history does not exist. Run “manage.py migrate”."
        )
    history.begin(run, recorded=recorded)
    return carry_out(run, work, progress=progress)


def _queue(run: BackupRun) -> BackupRun:
    run.status, run.lock = Status.QUEUED, f"db:{run.database}"
    history.claim(run)
    get_executor().submit(carry_out_queued, str(run.pk))
    return run
