"""Carries out queued runs, of every kind."""

from __future__ import annotations

import logging
from collections.abc import Callable

from ..core.naming import MEDIA
from ..exceptions import BackupError, NotChecked, Stopped
from ..models.runs import BackupRun, Kind, Origin
from . import lock
from .at_once import run_now
from .backup import back_up
from .backup_media import back_up_media
from .cleaning import clean_up, pruning
from .job import Job, carry_out
from .opening import open_backup
from .options import BackupOptions, PruneOptions, RestoreOptions, UndoOptions, VerifyOptions
from .prune_media import prune_versions
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
        return pruning(run.database)
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
