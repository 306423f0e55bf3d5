"""Backs up, lists and restores media files."""

from __future__ import annotations

import logging
from collections.abc import Collection, Iterator, Sequence
from functools import partial

from ..cached_file_lists import limited, list_files, read_file, read_files
from ..conf import get_settings
from ..core.catalog import StoredObject
from ..core.file_lists import Difference, MediaFile
from ..core.naming import MEDIA
from ..core.retention import Decision
from ..core.states import BACKUPS
from ..jobs.at_once import run_now
from ..jobs.backup_media import back_up_media, compare_for_backup
from ..jobs.cleaning import clean_up
from ..jobs.dispatch import enqueue
from ..jobs.job import Progress
from ..jobs.lock import RunInProgress
from ..jobs.media_kept import Kept, last_kept, nothing_to_undo
from ..jobs.options import BackupOptions, MediaRestoreOptions, PruneOptions, UndoOptions
from ..jobs.prune_media import decide_media, prune_versions
from ..jobs.restore_media import MediaPlan, plan_media_restore
from ..jobs.restore_media import restore_media as restore_job
from ..jobs.undo_media import undo_media
from ..media import get_folder, get_mirror
from ..media_lists import FoundMedia, find_media
from ..models.runs import API, BackupRun, Kind, Origin
from ..remote import get_catalog, media_catalog

logger = logging.getLogger("django_rclone_admin")


def list_media(*, everything: bool = False) -> list[StoredObject]:
    """Return the media backups on the remote, newest first.

    :param everything: also partial uploads and unknown files.
    :raises RemoteError: the remote can't be listed.
    """
    return [each for each in media_catalog(get_catalog()).objects() if everything or each.state in BACKUPS]


def compare_media() -> Difference:
    """Return what a media backup would change on the remote, without changing anything.

    :raises UsageError: the backup would be refused.
    """
    return compare_for_backup(get_catalog())


def backup_media(
    *,
    label: str = "",
    full: bool = False,
    origin: Origin = API,
    group: str = "",
    progress: Progress | None = None,
) -> BackupRun:
    """Back up the media files and return the run.

    :param full: compare every file with the mirror, not with the last file list.
    :param group: shared by all backups that are made together.
    :raises UsageError: the site has none while the backup has some, or too many would be removed.
    :raises RunInProgress: another run locks the media files.
    """
    run = _run(Kind.MEDIA_BACKUP, label, origin)
    run.options = BackupOptions(full=full, group=group).as_dict()
    return run_now(run, back_up_media, progress)


def start_backup_media(
    *,
    label: str = "",
    origin: Origin = API,
    clean: bool = False,
    level: str = "",
    full: bool = False,
    group: str = "",
) -> BackupRun:
    """Queue a media backup and return its run at once.

    :param clean: after a successful backup, remove backups by the retention rules.
    :param level: check the backup up to this level before any removal. After a failed check, nothing is removed.
    :param full: compare every file with the mirror, not with the last file list.
    :param group: shared by all backups that are started together.
    """
    run = _run(Kind.MEDIA_BACKUP, label, origin)
    run.options = BackupOptions(clean=clean, level=level, full=full, group=group).as_dict()
    return enqueue(run)


def plan_restore_media(
    name: str | None = None, *, files: Sequence[str] | None = None, timeout: float | None = None
) -> MediaPlan:
    """Return what a media restore would do, without changing anything.

    :param name: name of a media backup; by default the latest.
    :param files: the paths of the only files to restore; a trailing slash means a folder with all its files.
    :param timeout: time limit in seconds.
    :raises BackupNotFound: no media backup has that name, or it lacks these files.
    :raises BackupDamaged: files of it are missing on the remote.
    :raises Stalled: the time limit was exceeded.
    """
    with limited(timeout) as control:
        return plan_media_restore(get_catalog(control), name, files)


def restore_media(
    name: str | MediaPlan | None = None,
    *,
    exact: bool = False,
    files: Sequence[str] | None = None,
    origin: Origin = API,
    progress: Progress | None = None,
) -> BackupRun:
    """Restore media files to their state at a media backup, and return the run.

    :param name: name of a media backup, by default the latest; or a plan of the restore, whose backup is restored.
    :param exact: also remove files that the backup lacks.
    :param files: the paths of the only files, or folders, to restore; nothing is removed then.
    :raises BackupError: it failed; overwritten files were moved to their old places.
    """
    found = name.found if isinstance(name, MediaPlan) else _find(name)
    run = _restore_run(found, exact, files, origin)
    return run_now(run, partial(restore_job, known=found), progress)


def start_restore_media(
    name: str | None = None,
    *,
    exact: bool = False,
    files: Sequence[str] | None = None,
    origin: Origin = API,
) -> BackupRun:
    """Queue a media restore and return its run at once."""
    return enqueue(_restore_run(_find(name), exact, files, origin))


def undo_restore_media(*, origin: Origin = API, progress: Progress | None = None) -> BackupRun:
    """Undo the last restore of the media files on this machine, and return the run.

    It is a restore like any other: undoing twice returns to the restored files.

    :raises BackupNotFound: nothing was kept on this machine.
    :raises RunInProgress: another run locks the media files.
    :raises BackupError: it failed; the files are unchanged.
    """
    return run_now(_undo_run(plan_undo_restore_media(), origin), undo_media, progress)


def start_undo_restore_media(*, origin: Origin = API) -> BackupRun:
    """Queue an undo and return its run at once; see :func:`undo_restore_media`."""
    return enqueue(_undo_run(plan_undo_restore_media(), origin))


def plan_undo_restore_media() -> Kept:
    """Return what the last restore of the media files has kept.

    :raises BackupNotFound: nothing was kept on this machine.
    """
    folder = get_folder(get_mirror(get_catalog()))
    if folder is None:
        raise nothing_to_undo()
    return last_kept(folder)


def keeps_replaced_media() -> bool:
    """Whether a restore of the media files can be undone: they are in a local folder, and ``SAFETY_BACKUP`` is on."""
    return get_settings().safety_backup and get_folder(get_mirror(get_catalog())) is not None


def _undo_run(kept: Kept, origin: Origin) -> BackupRun:
    run = _run(Kind.MEDIA_RESTORE, "", origin)
    run.options = UndoOptions(put_back=str(kept.store), undoes=kept.run).as_dict()
    return run


def _run(kind: str, label: str, origin: Origin) -> BackupRun:
    return BackupRun(kind=kind, **origin.as_fields(label))


def _find(name: str | None) -> FoundMedia | None:
    return find_media(media_catalog(get_catalog()), name)


def _restore_run(
    found: FoundMedia | None, exact: bool, files: Sequence[str] | None, origin: Origin
) -> BackupRun:
    run = _run(Kind.MEDIA_RESTORE, "", origin)
    run.path = found.backup.path if found else ""
    # Nothing is removed if single files were chosen.
    options = MediaRestoreOptions(exact=exact and files is None, files=None if files is None else list(files))
    run.options = options.as_dict()
    return run


def prune_media(*, dry_run: bool = False, made: Collection[str] = (), origin: Origin = API) -> list[Decision]:
    """Remove the media backups that the retention rules do not keep, with the file versions that only they need.

    :param dry_run: only decide.
    :param made: paths of backups just made: they are kept, and so are all that were stored later, whatever the clock
        says.
    """
    if dry_run:
        return decide_media(get_catalog(), made)
    return clean_up(MEDIA, origin, made=made)


def start_prune_media(*, origin: Origin = API) -> BackupRun:
    """Queue a clean-up of the media backups, and return its run at once; see :func:`prune_media`.

    :raises RunInProgress: another run locks the media files.
    """
    return enqueue(_prune_run(origin))


def prune_media_versions(*, wait: bool = True, origin: Origin = API) -> BackupRun | None:
    """Remove the file versions that no media backup needs any more.

    :param wait: do it before returning, instead of queueing it.
    :returns: the run; ``None`` if another run locks the media files, so that the next clean-up will do it.
    """
    run = _prune_run(origin)
    run.options = PruneOptions(versions=True).as_dict()
    try:
        return run_now(run, prune_versions) if wait else enqueue(run)
    except RunInProgress as error:
        logger.info("Old versions of media files stay until the next clean-up: %s", error)
        return None


def _prune_run(origin: Origin) -> BackupRun:
    run = _run(Kind.PRUNE, "", origin)
    run.database = MEDIA
    return run


def list_media_files(path: str, files: Sequence[str] = ()) -> list[MediaFile]:
    """Return the files of a media backup, in the order of their paths.

    :param path: path of the backup in the backup list.
    :param files: the paths of the only files to return; a trailing slash means a folder with all its files.
    :raises BackupNotFound: it is not in the backup list, or lacks some of these files.
    :raises BackupDamaged: its file list can't be read.
    """
    return list_files(path, files)


def open_media_file(path: str, file: str) -> tuple[MediaFile, Iterator[bytes]]:
    """Return a file of a media backup and its bytes as a stream.

    :param path: path of the backup in the backup list.
    :param file: path of the file in the file list.
    :raises BackupNotFound: the backup does not contain the file.
    :raises BackupDamaged: its bytes are missing on the remote.
    """
    return read_file(path, file)


def open_media_files(path: str, files: Sequence[str]) -> Iterator[tuple[MediaFile, Iterator[bytes]]]:
    """Give files of a media backup, one after the other, each with its bytes as a stream.

    :param path: path of the backup in the backup list.
    :param files: the paths of the files; a trailing slash means a folder with all its files.
    :raises BackupNotFound: the backup lacks some of them.
    :raises BackupDamaged: bytes are missing on the remote.
    """
    return read_files(path, files)
