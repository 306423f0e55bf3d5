"""Restores the media files to their state at any media backup."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path

from django.utils.translation import gettext as _

from .. import signals, wording
from ..conf import get_settings
from ..core import file_lists, name_forms
from ..core.catalog import Catalog, StoredObject
from ..core.exchange import link_in_the_way
from ..core.file_lists import Difference, MediaFile
from ..core.local_files import LocalFiles, as_rclone, scan
from ..core.mirror import Mirror
from ..exceptions import BackupDamaged, LocalFileError, gettext_noop
from ..media import (
    Stored,
    all_local_files,
    find_places,
    get_folder,
    get_mirror,
    get_root,
    look_at_stored,
)
from ..media_lists import FoundMedia, find_media
from ..remote import media_catalog
from .job import Job
from .media_rollback import MediaRollback
from .options import MediaRestoreOptions


@dataclass(frozen=True, slots=True, kw_only=True)
class MediaPlan:
    """What a media restore would do."""

    found: FoundMedia | None
    """The backup with all of its files, also where only some are to be restored; ``None``: the current mirror, written by
    a program without file lists."""
    files: list[MediaFile]
    places: dict[str | None, list[str]]
    """Paths by version folder; under ``None`` those in the mirror."""
    difference: Difference
    obstacles: list[str]
    """Files of the site where a folder is needed, or in a folder where a file is needed."""
    here: LocalFiles
    """The media files of the site."""

    @property
    def backup(self) -> StoredObject | None:
        """The backup, or ``None`` for the current mirror."""
        return self.found.backup if self.found else None


def plan_media_restore(
    catalog: Catalog,
    name: str | None,
    only: Collection[str] | None = None,
    *,
    known: FoundMedia | None = None,
) -> MediaPlan:
    """Find out what a restore would do, and where each file is on the remote.

    :param only: paths of files, and of folders with a trailing slash; all others stay unchanged.
    :param known: the backup of this name, if the caller has found it in an earlier listing.
    :raises BackupDamaged: files of the backup are missing on the remote.
    :raises BackupNotFound: the backup lacks some of these files.
    :raises RestoreRefused: there is nothing to restore, or a link is in the way.
    """
    mirror = get_mirror(catalog)
    with ThreadPoolExecutor(1) as thread:
        looking = thread.submit(all_local_files, mirror)
        stored = look_at_stored(catalog) if only is None else None
        found = _find(catalog, name, stored, known)
        if found:
            backup, files = found.backup, found.read(catalog)
            found = FoundMedia(backup=backup, files=files)
        else:
            backup, files = None, _in_mirror(mirror, stored)
        if only is not None:
            files = file_lists.choose(files, only)
            only = {each.path for each in files}
        file_lists.check_restore(files)
        try:
            places = find_places(catalog, backup, files, only, stored)
        except BackupDamaged:
            if stored is None:
                raise
            # The newest backup may have been made after the mirror was listed.
            places = find_places(catalog, backup, files)
        here = looking.result()
    _check_way(here, files)
    concerned = here.files if only is None else [each for each in here.files if each.path in only]
    difference = file_lists.compare(concerned, files)
    return MediaPlan(
        found=found,
        files=files,
        places=places,
        difference=replace(
            difference, removed=[] if only is not None else _removable(mirror, backup, difference, files)
        ),
        obstacles=file_lists.obstacles(here.files, files),
        here=here,
    )


def _find(
    catalog: Catalog, name: str | None, stored: Stored | None, known: FoundMedia | None
) -> FoundMedia | None:
    """Find the backup in the listing, also if it is known: with a backup, the versions that only it needs are removed.

    Without them, other bytes of the same size in the mirror would count as its files.
    """
    lists = media_catalog(catalog)
    if stored is None:
        listed = lists.objects(manifests=False)
    else:
        listed = lists.arrange([each for each in stored.versions if "/" not in each.name])
    if known and known.backup.path in {each.path for each in listed}:
        return known
    return find_media(lists, name, listed, with_list=True)


def _in_mirror(mirror: Mirror, stored: Stored | None) -> list[MediaFile]:
    there = stored.mirror if stored else mirror.remote_files(get_settings().media_backup_dir, everything=True)
    return file_lists.from_entries(there)


def _check_way(here: LocalFiles, files: Sequence[MediaFile]) -> None:
    """Refuse to restore through a link, or into a folder that can't be read.

    :raises RestoreRefused: a link is in the way.
    :raises LocalFileError: a folder can't be read.
    """
    links, closed = set(map(as_rclone, here.skipped)), {as_rclone(path): path for path in here.closed}
    for file in files if links or closed else ():
        way = (file.path, *file_lists.parents(file.path))
        if not links.isdisjoint(way):
            raise link_in_the_way(file.path)
        for each in closed.keys() & {*way, ""}:
            raise LocalFileError(
                gettext_noop("The folder %(path)s of the media files can't be read: %(reason)s."),
                path=repr(each),
                reason=here.closed[closed[each]],
            )


def _removable(
    mirror: Mirror, backup: StoredObject | None, difference: Difference, files: Sequence[MediaFile]
) -> list[str]:
    """Return the files that an exact restore removes: never excluded ones."""
    removed = difference.removed
    if removed and mirror.has_excludes:
        counted = {each.name for each in mirror.local_files() or []}
        removed = [each for each in removed if each in counted]
    if backup is None or backup.manifest is None or backup.manifest.trusted is None:
        # The remote may have changed the names: then they are the same files.
        forms = {name_forms.form(each.path) for each in files} if removed else ()
        removed = [each for each in removed if name_forms.form(each) not in forms]
    return removed


def restore_media(job: Job, *, known: FoundMedia | None = None) -> str:
    """Restore missing and different files; with the option ``exact``, also remove files that the backup lacks.

    :param known: the backup at ``run.path``, if the caller has found it in the listing.
    """
    run = job.run
    job.send_vetoable(signals.pre_media_restore)
    job.stage(_("Looking at the media backup"))
    options = MediaRestoreOptions.from_run(run)
    plan = plan_media_restore(job.catalog, run.path or None, options.files, known=known)
    mirror = get_mirror(job.catalog)
    removed = plan.difference.removed if options.exact else []
    if folder := get_folder(mirror):
        _into_folder(job, mirror, folder, plan, removed)
    else:
        _into_remote(job, mirror, plan, removed)
    job.send_robust(signals.post_media_restore)
    changed = len(plan.difference.added) + len(plan.difference.changed)
    return _("Restored %(changed)s, removed %(removed)s.") % {
        "changed": wording.files(changed),
        "removed": wording.files(len(removed)),
    }


def _into_folder(job: Job, mirror: Mirror, folder: Path, plan: MediaPlan, removed: Sequence[str]) -> None:
    """Download everything to this machine, and only then change the media files."""
    wanted = {*plan.difference.added, *plan.difference.changed}
    files = {each.path: each for each in plan.files if each.path in wanted}
    with MediaRollback(job, folder, plan.here) as rollback:
        job.stage(_("Copying"))
        _fetch(job, mirror, plan, wanted, into=str(rollback.arrived))
        arrived = scan(rollback.arrived)
        _check_arrival(arrived.files if arrived else [], files.values())
        job.stage(_("Putting the files in place"))
        rollback.remove([each for each in plan.obstacles if each not in removed])
        rollback.remove(removed)
        rollback.put(files)
        job.control.confirm()  # the replaced files are removed now


def _into_remote(job: Job, mirror: Mirror, plan: MediaPlan, removed: Sequence[str]) -> None:
    """Change the media files on their own remote: replaced files can't be kept anywhere."""
    job.stage(_("Copying"))
    if plan.obstacles:
        mirror.delete_local(plan.obstacles, control=job.control)
    _fetch(job, mirror, plan, {*plan.difference.added, *plan.difference.changed}, into=None)
    _check_arrival(all_local_files(mirror).files, plan.files)
    if removed:
        job.stage(_("Removing what is not in the backup"))
        mirror.delete_local(removed, control=job.control)


def _fetch(job: Job, mirror: Mirror, plan: MediaPlan, wanted: Collection[str], *, into: str | None) -> None:
    """Copy files from their places on the remote.

    :param into: a local folder; by default the site's media files.
    """
    for place, paths in plan.places.items():
        if chosen := [path for path in paths if path in wanted]:
            mirror.fetch(
                get_root(job.catalog, place), chosen, into=into, always=into is None, control=job.control
            )


def _check_arrival(found: Sequence[MediaFile], files: Iterable[MediaFile]) -> None:
    """Check that files have arrived: rclone skips files that were removed from the remote meanwhile.

    :raises RemoteError: some are missing.
    """
    sizes = {each.path: each.size for each in found}
    lost = [each.path for each in files if sizes.get(each.path) != each.size]
    if lost:
        raise file_lists.did_not_arrive(
            gettext_noop("Files that did not arrive from the remote: %(count)d, among them %(path)s."), lost
        )
