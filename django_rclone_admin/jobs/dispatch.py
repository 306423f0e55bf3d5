"""Starts runs: immediately, or queued with the executor and carried out later."""

from __future__ import annotations

import functools
import logging
from collections.abc import Callable, Collection

from django.db import transaction
from django.utils.translation import gettext

from .. import signals, wording
from ..core.naming import MEDIA
from ..core.retention import Decision
from ..exceptions import BackupError, NotChecked, Stopped, gettext_noop
from ..executors import Executor, ProcessExecutor, get_executor
from ..models.runs import BackupRun, Kind, Origin, Status
from . import history, lock, stale
from .backup import back_up
from .backup_media import back_up_media
from .job import Job, Progress, carry_out
from .opening import open_backup
from .options import BackupOptions, PruneOptions, RestoreOptions, UndoOptions, VerifyOptions
from .process_exit import watch_exit
from .prune import Pruning
from .prune_media import MediaPruning, prune_versions
from .put_live import put_live
from .restore import restore, undo_by_kept
from .restore_media import restore_media
from .undo_media import undo_media
from .verify import verify
from .waiting import waiting

logger = logging.getLogger("django_rclone_admin")


WORK: dict[str, Callable[[Job], str]] = {
    Kind.DB_BACKUP: back_up,
    Kind.DB_RESTORE: restore,
    Kind.MEDIA_BACKUP: back_up_media,
    Kind.MEDIA_RESTORE: restore_media,
    Kind.OPEN: open_backup,
    Kind.VERIFY: verify,
}
"""The function that carries out a queued run, by kind. The run's row contains all other inputs."""


def run_now(run: BackupRun, work: Callable[[Job], str], progress: Progress | None = None) -> BackupRun:
    """Lock the database and do the work before returning.

    :raises RunInProgress: another run locks the database.
    :raises BackupError: it failed.
    """
    run.status, run.lock = Status.RUNNING, run.lock_name
    lock.begin(run, recorded=_will_record(run))
    return carry_out(run, work, progress=progress)


def _will_record(run: BackupRun) -> bool:
    """Whether the run will be recorded. If it can't begin, ``run_failed`` is sent."""
    try:
        return history.will_record(run)
    except BackupError as error:
        run.end(Status.FAILED, *wording.describe(error))
        signals.run_failed.send_robust(sender=BackupRun, run=run, exception=error)
        raise


def enqueue(run: BackupRun) -> BackupRun:
    """Lock the database and submit the run to the executor, once the current transaction is committed.

    :raises RunInProgress: another run locks the database.
    :raises BackupError: the executor failed.
    """
    run.lock = run.lock_name
    executor = get_executor()
    lock.enqueue(run, executor)
    # Other threads and processes don't see the row before the commit.
    transaction.on_commit(functools.partial(_submit, run, executor), using=history.database())
    return run


def _submit(run: BackupRun, executor: Executor) -> None:
    if isinstance(executor, ProcessExecutor):
        executor.ended = _process_ended
    if executor.in_process:
        watch_exit()
        waiting.add(str(run.pk))
    try:
        executor.submit(carry_out_queued, str(run.pk))
    except Exception as error:
        waiting.remove(str(run.pk))
        run.refresh_from_db()
        if run.status != Status.QUEUED:
            raise  # it was executed at once, and failed with its own error
        stale.reap(run, gettext("The run could not be queued."))
        raise BackupError(
            gettext_noop("The run could not be queued: %(reason)s"),
            hint=gettext_noop("Nothing was done. Check that the service behind EXECUTOR is running."),
            reason=" ".join(str(error).split()),
        ) from error


def _process_ended(run_id: str, status: int, words: str) -> None:
    """Close a run whose process ended early."""
    run = BackupRun.objects.filter(pk=run_id).first()
    if run is None or not run.is_active:
        return
    values = {"status": status, "words": words or "-"}
    logger.error("The process of the run %s ended with %s: %s", run_id, status, words)
    if run.status == Status.QUEUED:
        stale.reap(run, gettext("Its process ended with %(status)s before it had begun: %(words)s") % values)
    elif stale.is_gone(run):
        stale.reap(run)


def carry_out_queued(run_id: str) -> bool:
    """Carry out one queued run; executors call this.

    :returns: whether the run was queued. Its outcome is in its row.
    """
    try:
        if not lock.begin_queued(run_id):
            return False
        run = BackupRun.objects.get(pk=run_id)
        if run.kind == Kind.VERIFY:
            _check_all(run)
            return True
        carry_out(run, _work_of(run))
        if run.kind in (Kind.DB_BACKUP, Kind.MEDIA_BACKUP):
            _follow_up(run)
    except BackupError as error:
        logger.warning("%s failed: %s", run, error)
    finally:
        waiting.remove(run_id)
    return True


def _follow_up(run: BackupRun) -> None:
    """Check a backup that was made, and clean up after it, as its options say.

    :raises CheckFailed: nothing was removed.
    """
    options = BackupOptions.from_run(run)
    if options.level:
        try:
            run_now(_check_of(run, run.path, options.level), verify)
        except NotChecked as error:
            logger.warning("%s was not checked: %s", run, error)
    if options.clean:
        clean_up(run.database or MEDIA, Origin.of(run), made=[run.path])


def _check_of(run: BackupRun, path: str, level: str) -> BackupRun:
    """Return the run of a check that follows from another run of the same database, or of the media files."""
    return BackupRun(
        kind=Kind.VERIFY,
        database=run.database or MEDIA,
        path=path,
        options=VerifyOptions(level=level).as_dict(),
        **Origin.of(run).as_fields(),
    )


def _work_of(run: BackupRun) -> Callable[[Job], str]:
    if run.kind == Kind.PRUNE:
        if PruneOptions.from_run(run).versions:
            return prune_versions
        return _pruning(run.database)
    if UndoOptions.from_run(run).put_back:
        return undo_media if run.kind == Kind.MEDIA_RESTORE else undo_by_kept
    return put_live if RestoreOptions.from_run(run).opened else WORK[run.kind]


def _check_all(run: BackupRun) -> None:
    """Check the backup of a run, and then the other requested ones, whatever the results."""
    options = VerifyOptions.from_run(run)
    others = [_check_of(run, path, options.level) for path in options.then or ()]
    for each in (run, *others):
        try:
            carry_out(run, verify) if each is run else run_now(each, verify)
        except Stopped:
            raise
        except BackupError as error:
            logger.warning("%s failed: %s", each, error)


def clean_up(database: str, origin: Origin, *, made: Collection[str] = ()) -> list[Decision]:
    """Remove the backups of a database, or of the media files, that the retention rules do not keep, as a separate run.

    :param database: its alias, or ``media``.
    :param made: paths of backups just made: they are kept, and so are all that were stored later.
    """
    work = _pruning(database, made)
    run_now(BackupRun(kind=Kind.PRUNE, database=database, **origin.as_fields()), work)
    return work.decisions


def _pruning(database: str, made: Collection[str] = ()) -> Pruning:
    return MediaPruning(made) if database == MEDIA else Pruning(made)
