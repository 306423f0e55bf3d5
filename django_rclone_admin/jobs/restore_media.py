"""Bring the media files back as they were at any backup."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC

from django.utils.translation import gettext as _

from .. import signals
from ..conf import get_settings
from ..engine import media
from ..engine.catalog import Catalog, StoredObject
from ..engine.media import Difference, MediaFile
from ..engine.mirror import Mirror
from ..exceptions import RemoteError, gettext_noop
from ..site import media_catalog
from .job import Job
from .media import STAMP, find_media, get_mirror, get_place, parse_stamp, read_list
from .media_aside import Aside


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


def plan_media_restore(catalog: Catalog, name: str | None) -> MediaPlan:
    """Find out what a restore would do, and where every byte of it is.

    :raises BackupDamaged: files of the backup are missing on the remote.
    :raises RestoreRefused: there is nothing to restore.
    """
    mirror, lists = get_mirror(catalog), media_catalog(catalog)
    backup = find_media(catalog, name)
    there = mirror.remote_files(get_settings().media_backup_dir, everything=True)
    if backup is None:
        files, later = media.from_entries(there), []
    else:
        files = read_list(catalog, backup)
        later = later_versions(backup, media.by_folder(mirror.remote_files(lists.folder, everything=True)))
    media.check_restore(files)
    places = media.locate(files, later, {each.name: each.size for each in there})
    here = media.from_entries(mirror.local_files(everything=True) or [])
    difference = media.compare(here, files)
    if mirror.filters:  # what is excluded is never removed
        counted = {each.name for each in mirror.local_files() or []}
        difference = replace(difference, removed=[each for each in difference.removed if each in counted])
    return MediaPlan(
        backup=backup,
        files=files,
        places=places,
        difference=difference,
        obstacles=media.obstacles(here, files),
    )


def later_versions(
    backup: StoredObject | None, folders: Mapping[str, Mapping[str, int]]
) -> list[tuple[str, Mapping[str, int]]]:
    """Return the version folders of all runs after a backup, oldest first; of all runs without one."""
    own = backup.manifest.taken_at.astimezone(UTC).strftime(STAMP) if backup and backup.manifest else ""
    return [
        (folder, paths) for folder, paths in sorted(folders.items()) if parse_stamp(folder) and folder > own
    ]


def restore_media(job: Job) -> str:
    """Copy what is missing or different; with the option ``exact``, also take away what is not in the backup."""
    run = job.run
    job.announce(signals.pre_media_restore)
    job.stage(_("Looking at the media backup"))
    plan = plan_media_restore(job.catalog, run.path or None)
    mirror, lists = get_mirror(job.catalog), media_catalog(job.catalog)
    with Aside(job, mirror, get_place(), plan.difference.added) as aside:
        job.stage(_("Copying"))
        aside.make_way(plan.files, plan.obstacles)
        for folder, paths in plan.places.items():
            root = get_settings().media_backup_dir if folder is None else lists.path(folder)
            aside.fetch(root, paths)
        _check_arrival(mirror, plan.files)
        removed = plan.difference.removed if run.options.get("exact") else []
        if removed:
            job.stage(_("Removing what is not in the backup"))
            aside.take_away(removed)
    job.tell(signals.post_media_restore)
    changed = len(plan.difference.added) + len(plan.difference.changed)
    return _("Restored %(changed)d files, removed %(removed)d.") % {
        "changed": changed,
        "removed": len(removed),
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
