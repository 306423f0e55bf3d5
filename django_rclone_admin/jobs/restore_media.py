"""Bring the media files back as they were at any backup."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC

from django.utils.translation import gettext as _

from .. import signals, wording
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
        files = media.from_entries(mirror.remote_files(get_settings().media_backup_dir, everything=True))
    else:
        files = read_list(catalog, backup)
    if only is not None:
        files = media.choose(files, only)
    media.check_restore(files)
    places = find_places(catalog, backup, files, only)
    here = media.from_entries(mirror.local_files(everything=True) or [])
    concerned = here if only is None else [each for each in here if each.path in only]
    difference = media.compare(concerned, files)
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
        obstacles=media.obstacles(here, files),
    )


def find_places(
    catalog: Catalog,
    backup: StoredObject | None,
    files: Sequence[MediaFile],
    only: Sequence[str] | None = None,
) -> dict[str | None, list[str]]:
    """Say where the bytes of files of a backup are, see :func:`engine.media.locate`.

    :param only: the paths to look for, where it is not worth while to list everything.
    :raises BackupDamaged: some are nowhere.
    """
    mirror, lists = get_mirror(catalog), media_catalog(catalog)
    there = mirror.remote_files(get_settings().media_backup_dir, everything=True, only=only)
    later: list[tuple[str, Mapping[str, int]]] = []
    if backup is not None:
        versions = mirror.remote_files(lists.folder, everything=True, only=only, within="*/")
        later = later_versions(backup, media.by_folder(versions))
    return media.locate(files, later, {each.name: each.size for each in there})


def get_root(catalog: Catalog, place: str | None) -> str:
    """Return the folder of the remote that a place of :func:`find_places` is."""
    return get_settings().media_backup_dir if place is None else media_catalog(catalog).path(place)


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
    plan = plan_media_restore(job.catalog, run.path or None, run.options.get("files"))
    mirror = get_mirror(job.catalog)
    with Aside(job, mirror, get_place(), plan.difference.added) as aside:
        job.stage(_("Copying"))
        aside.make_way(plan.files, plan.obstacles)
        for place, paths in plan.places.items():
            aside.fetch(get_root(job.catalog, place), paths)
        _check_arrival(mirror, plan.files)
        removed = plan.difference.removed if run.options.get("exact") else []
        if removed:
            job.stage(_("Removing what is not in the backup"))
            aside.take_away(removed)
    job.tell(signals.post_media_restore)
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
