"""Removes the media backups that no retention rule keeps, and the file versions that only they need."""

from __future__ import annotations

from collections.abc import Collection, Sequence

from django.utils.translation import gettext as _

from .. import wording
from ..conf import get_settings
from ..core import file_lists
from ..core.catalog import Catalog, StoredObject
from ..core.mirror import Mirror
from ..core.retention import Decision
from ..core.store import remove
from ..exceptions import BackupDamaged
from ..media import get_mirror, later_versions
from ..media_lists import is_usable, read_list
from ..remote import media_catalog
from .job import Job
from .prune import Pruning, decide_by_settings
from .reading import being_read
from .sweep import sweep_records


def decide_media(catalog: Catalog, made: Collection[str] = ()) -> list[Decision]:
    """Decide on every media backup by the configured policy.

    :param made: paths of backups just made.
    """
    return decide_by_settings(media_catalog(catalog).objects(), made)


class MediaPruning(Pruning):
    """The work of a clean-up of the media backups."""

    def __call__(self, job: Job) -> str:
        job.stage(_("Looking at the remote"))
        lists = media_catalog(job.catalog)
        entries = lists.rclone.entries(lists.folder)
        decisions = decide_by_settings(lists.inspect(lists.arrange(entries)), self._made)
        read = being_read()
        self.decisions = [each.while_read() if each.backup.path in read else each for each in decisions]
        sweep_records(job, lists, entries)
        unwanted = [each.backup for each in self.decisions if not each.keep]
        return _remove(job, unwanted, kept=[each.backup for each in self.decisions if each.keep])


def prune_versions(job: Job) -> str:
    """Remove the file versions that no media backup needs any more, after some were deleted."""
    job.stage(_("Looking at the remote"))
    return _remove(job, [], kept=[each.backup for each in decide_media(job.catalog)])


def _remove(job: Job, gone: Sequence[StoredObject], kept: Sequence[StoredObject]) -> str:
    lists, mirror = media_catalog(job.catalog), get_mirror(job.catalog)
    paths = unneeded_versions(job, lists, mirror, kept)
    for backup in gone:
        job.stage(_("Removing %(name)s") % {"name": backup.name})
        remove(lists, backup)
    if paths:
        job.stage(_("Removing old versions of files"))
        mirror.remove(lists.folder, paths, control=job.control)
    counts = {"count": len(gone), "files": len(paths)}
    return _("Removed %(count)d media backups and %(files)d old versions of files.") % counts


def unneeded_versions(job: Job, lists: Catalog, mirror: Mirror, kept: Sequence[StoredObject]) -> list[str]:
    """Return the paths of the versions, below the versions folder, that no kept media backup needs.

    If one of these backups can't be read, or lacks a file, every version stays.
    """
    if not kept or not all(map(is_usable, kept)):
        return []
    folders = file_lists.by_folder(mirror.remote_files(lists.folder, everything=True))
    there = mirror.remote_files(get_settings().media_backup_dir, everything=True)
    sizes = {each.name: each.size for each in there}
    needed = set()
    for backup in kept:
        try:
            places = file_lists.locate(read_list(job.catalog, backup), later_versions(backup, folders), sizes)
        except BackupDamaged as error:
            job.note(_("%(name)s: %(error)s") % {"name": backup.name, "error": wording.describe(error)[0]})
            return []
        needed |= {f"{folder}/{path}" for folder, paths in places.items() for path in paths if folder}
    every = [f"{folder}/{path}" for folder, paths in later_versions(None, folders) for path in paths]
    return [path for path in every if path not in needed]
