"""Bring the media files back as they were at any backup."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from django.utils.translation import gettext as _

from .. import signals, wording
from ..conf import get_settings
from ..core import file_lists
from ..core.catalog import Catalog, StoredObject
from ..core.file_lists import Difference, MediaFile
from ..core.mirror import Mirror
from ..exceptions import RemoteError, gettext_noop
from ..media import find_media, find_places, get_mirror, get_place, get_root, read_list
from .job import Job
from .media_rollback import MediaRollback
from .options import MediaRestoreOptions


@dataclass(frozen=True, slots=True, kw_only=True)
class MediaPlan:
    """What a media restore would do."""

    backup: StoredObject | None
    """``None``: the mirror as it is, left by a program that keeps no file lists."""
    files: list[MediaFile]
    places: dict[str | None, list[str]]
    """Paths by version folder; under ``None`` those in the mirror."""
    difference: Difference
    obstacles: list[str]
    """Files of the site that stand where a folder has to be, or in a folder that has to be a file."""


def plan_media_restore(catalog: Catalog, name: str | None, only: Sequence[str] | None = None) -> MediaPlan:
    """Find out what a restore would do, and where every byte of it is.

    :param only: paths of files; all others stay as they are.
    :raises BackupDamaged: files of the backup are missing on the remote.
    :raises BackupNotFound: it has not these files.
    :raises RestoreRefused: there is nothing to restore.
    """
    mirror = get_mirror(catalog)
    backup = find_media(catalog, name)
    if backup is None:
        files = file_lists.from_entries(mirror.remote_files(get_settings().media_backup_dir, everything=True))
    else:
        files = read_list(catalog, backup)
    if only is not None:
        files = file_lists.choose(files, only)
    file_lists.check_restore(files)
    places = find_places(catalog, backup, files, only)
    here = file_lists.from_entries(mirror.local_files(everything=True) or [])
    concerned = here if only is None else [each for each in here if each.path in only]
    difference = file_lists.compare(concerned, files)
    if only is not None:
        difference = replace(difference, removed=[])
    elif mirror.filters:  # what is excluded is never removed
        counted = {each.name for each in mirror.local_files() or []}
        difference = replace(difference, removed=[each for each in difference.removed if each in counted])
    return MediaPlan(
        backup=backup,
        files=files,
        places=places,
        difference=difference,
        obstacles=file_lists.obstacles(here, files),
    )


def restore_media(job: Job) -> str:
    """Copy what is missing or different; with the option ``exact``, also take away what is not in the backup."""
    run = job.run
    job.send_vetoable(signals.pre_media_restore)
    job.stage(_("Looking at the media backup"))
    options = MediaRestoreOptions.from_run(run)
    plan = plan_media_restore(job.catalog, run.path or None, options.files)
    mirror = get_mirror(job.catalog)
    with MediaRollback(job, mirror, get_place(), plan.difference.added) as rollback:
        job.stage(_("Copying"))
        rollback.make_way(plan.files, plan.obstacles)
        for place, paths in plan.places.items():
            rollback.fetch(get_root(job.catalog, place), paths)
        _check_arrival(mirror, plan.files)
        removed = plan.difference.removed if options.exact else []
        if removed:
            job.stage(_("Removing what is not in the backup"))
            rollback.take_away(removed)
    job.send_robust(signals.post_media_restore)
    changed = len(plan.difference.added) + len(plan.difference.changed)
    return _("Restored %(changed)s, removed %(removed)s.") % {
        "changed": wording.files(changed),
        "removed": wording.files(len(removed)),
    }


def _check_arrival(mirror: Mirror, files: Sequence[MediaFile]) -> None:
    """See that every file of the backup is there: rclone passes over those that have gone from the remote meanwhile.

    :raises RemoteError: some are not.
    """
    sizes = {each.name: each.size for each in mirror.local_files(everything=True) or []}
    lost = [each.path for each in files if sizes.get(each.path) != each.size]
    if lost:
        raise RemoteError(
            gettext_noop("%(count)d files did not arrive from the remote, %(path)s among them."),
            hint=gettext_noop(
                "Look whether another program changes the remote or the media files, and try again."
            ),
            count=len(lost),
            path=repr(lost[0]),
        )
