"""Back up the media files, and bring them back as they were at any backup."""

from __future__ import annotations

import io
import shutil
import socket
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

import django
from django.conf import settings as django_settings
from django.utils import timezone
from django.utils.translation import gettext as _

from .. import __version__, signals, wording
from ..conf import get_settings
from ..engine import media
from ..engine.catalog import Catalog, State, StoredObject, latest
from ..engine.compression import ZSTD, Decompressor, Meter, Stage
from ..engine.control import Control
from ..engine.files import FileSource, StreamSink
from ..engine.manifest import Manifest
from ..engine.media import Difference, MediaFile
from ..engine.mirror import Mirror
from ..engine.naming import Naming
from ..engine.store import Upload, sweep
from ..engine.transfer import CommandSource, transfer
from ..exceptions import BackupNotFound, UsageError, gettext_noop
from . import history
from .job import Job

STAMP = "%Y-%m-%d-%H%M%S-%f"
"""The name of the folder with what one run replaced: the time of the run, exact enough to sort all runs."""


@dataclass(frozen=True, slots=True, kw_only=True)
class MediaPlan:
    """What a media restore would do."""

    backup: StoredObject | None
    """``None``: the mirror as it is, left by a program that keeps no file lists."""
    places: dict[str | None, list[str]]
    """Paths by version folder; under ``None`` those in the mirror."""
    difference: Difference


def get_place() -> str:
    """Return where the site's media files are: a folder or an rclone path.

    :raises UsageError: the settings do not say.
    """
    place = get_settings().media_source or django_settings.MEDIA_ROOT
    if not place:
        raise UsageError(
            gettext_noop("The site has no media files: MEDIA_ROOT is empty."),
            hint=gettext_noop("Set MEDIA_ROOT, or DJANGO_RCLONE['MEDIA_SOURCE']."),
        )
    return str(place)


def get_mirror(catalog: Catalog) -> Mirror:
    """Return the mirror of the site's media files."""
    return Mirror(catalog.rclone, get_place(), get_settings().media_exclude)


def media_catalog(catalog: Catalog) -> Catalog:
    """Return the catalog of the file lists, on the same remote."""
    naming = Naming("{database}-{datetime}.{ext}", "%Y-%m-%d-%H%M%S")
    return Catalog(catalog.rclone, naming, get_settings().media_versions_dir, kind="media")


def local_files(mirror: Mirror) -> list[MediaFile]:
    """Return the media files of the site.

    :raises UsageError: their folder does not exist.
    """
    found = mirror.local_files()
    if found is None:
        raise UsageError(
            gettext_noop("The media folder does not exist."),
            hint=gettext_noop("Nothing was changed. Check MEDIA_ROOT or MEDIA_SOURCE."),
        )
    return media.from_entries(found)


def compare_for_backup(catalog: Catalog) -> Difference:
    """Say what a media backup would change on the remote.

    :raises UsageError: it would be refused.
    """
    mirror, settings = get_mirror(catalog), get_settings()
    here, there = local_files(mirror), media.from_entries(mirror.remote_files(settings.media_backup_dir))
    media.check_source(here, there, settings.media_max_delete_percent)
    return media.compare(there, here)


def back_up_media(job: Job) -> str:
    """Sync the mirror, keep what goes from it, and store the file list."""
    settings, mirror, catalog = get_settings(), get_mirror(job.catalog), media_catalog(job.catalog)
    job.announce(signals.pre_media_backup)
    job.stage(_("Looking at the media files"))
    here = local_files(mirror)
    media.check_source(
        here,
        media.from_entries(mirror.remote_files(settings.media_backup_dir)),
        settings.media_max_delete_percent,
    )
    sweep(catalog, catalog.objects(manifests=False), history.is_over, timezone.now())
    taken_at = _next_time(catalog)
    job.stage(_("Copying"))
    versions = catalog.path(taken_at.strftime(STAMP))
    mirror.sync(settings.media_backup_dir, versions=versions, control=job.control)
    job.stage(_("Writing the file list"))
    times = {file.path: file.time for file in here}
    files = [
        MediaFile(path=each.path, size=each.size, time=times.get(each.path, each.time))
        for each in media.from_entries(mirror.remote_files(settings.media_backup_dir))
    ]
    _store_list(job, catalog, taken_at, files)
    job.tell(signals.post_media_backup)
    size = sum(each.size for each in files)
    return _("Backed up %(count)d files, %(size)s.") % {"count": len(files), "size": wording.size(size)}


def _next_time(catalog: Catalog) -> datetime:
    """Return the time of this run: now, but after every earlier run, whatever the clock does."""
    folders = media.by_folder(catalog.rclone.entries(catalog.folder, recursive=True))
    earlier = [_parse(name) for name in folders]
    earlier += [each.manifest.taken_at for each in catalog.objects() if each.manifest]
    return max([timezone.now(), *(time + timedelta(microseconds=1) for time in earlier if time)])


def _parse(stamp: str) -> datetime | None:
    try:
        return datetime.strptime(stamp, STAMP).replace(tzinfo=UTC)
    except ValueError:
        return None


def _store_list(job: Job, catalog: Catalog, taken_at: datetime, files: Sequence[MediaFile]) -> None:
    run = job.run
    upload = Upload(
        catalog=catalog,
        database=media.NAME,
        taken_at=taken_at,
        extension="jsonl",
        compression=ZSTD,
        level=None,
        run=str(run.pk),
    )
    # An empty line, so that a list of no files is no empty dump.
    lines = b"".join(file.to_line() for file in files) or b"\n"
    name, stored = upload.send(FileSource(io.BytesIO(lines)), job.control)
    upload.seal(
        Manifest(
            name=name,
            database=media.NAME,
            engine="media",
            connector="rclone",
            taken_at=taken_at,
            finished_at=timezone.now(),
            size=stored.size,
            raw_size=stored.raw_size,
            sha256=stored.sha256,
            compression=ZSTD,
            django_version=django.get_version(),
            package_version=__version__,
            label=run.label,
            trigger=run.trigger,
            run=str(run.pk),
            host=socket.gethostname(),
            files=len(files),
            files_size=sum(file.size for file in files),
        )
    )
    run.path, run.size, run.sha256 = catalog.path(name), sum(file.size for file in files), stored.sha256


# -- restore --------------------------------------------------------------------------------------------------------


def find_media(catalog: Catalog, name: str | None) -> StoredObject | None:
    """Return the media backup of this name or path, or the latest one; ``None`` when there is no list at all.

    :raises BackupNotFound: there is none of that name.
    """
    lists = media_catalog(catalog)
    listed = [each for each in lists.objects() if each.taken_at]
    if name is None:
        return latest(listed, media.NAME)
    for each in listed:
        if name in (each.name, each.path, each.name.split(".")[0]) and each.state is State.COMPLETE:
            return each
    raise BackupNotFound(
        gettext_noop("There is no media backup “%(name)s” on the remote."),
        hint=gettext_noop("See what there is with “manage.py listbackups --media”."),
        name=name,
    )


def read_list(catalog: Catalog, backup: StoredObject) -> list[MediaFile]:
    """Read the file list of a media backup.

    :raises BackupDamaged: its bytes are not those that were written.
    """
    buffer = io.BytesIO()
    sha256 = backup.manifest.sha256 if backup.manifest else None
    stages: list[Stage] = [Meter(size=backup.size, sha256=sha256), Decompressor()]
    transfer(CommandSource(catalog.rclone.download(backup.path)), StreamSink(buffer), stages=stages)
    return list(media.parse(line for line in buffer.getvalue().splitlines() if line))


def plan_media_restore(catalog: Catalog, name: str | None) -> MediaPlan:
    """Find out what a restore would do, and where every byte of it is.

    :raises BackupDamaged: files of the backup are missing on the remote.
    :raises RestoreRefused: there is nothing to restore.
    """
    mirror, lists = get_mirror(catalog), media_catalog(catalog)
    backup = find_media(catalog, name)
    there = mirror.remote_files(get_settings().media_backup_dir)
    if backup is None:
        files, later = media.from_entries(there), []
    else:
        files = read_list(catalog, backup)
        folders = media.by_folder(catalog.rclone.entries(lists.folder, recursive=True))
        later = later_versions(backup, folders)
    media.check_restore(files)
    places = media.locate(files, later, {each.name: each.size for each in there})
    here = mirror.local_files()
    return MediaPlan(
        backup=backup, places=places, difference=media.compare(media.from_entries(here or []), files)
    )


def later_versions(
    backup: StoredObject | None, folders: Mapping[str, Mapping[str, int]]
) -> list[tuple[str, Mapping[str, int]]]:
    """Return the version folders of all runs after a backup, oldest first; of all runs without one."""
    own = backup.manifest.taken_at.astimezone(UTC).strftime(STAMP) if backup and backup.manifest else ""
    return [(folder, paths) for folder, paths in sorted(folders.items()) if _parse(folder) and folder > own]


def restore_media(job: Job) -> str:
    """Copy what is missing or different; with the option ``exact``, also take away what is not in the backup."""
    run = job.run
    job.announce(signals.pre_media_restore)
    job.stage(_("Looking at the media backup"))
    plan = plan_media_restore(job.catalog, run.path or None)
    mirror, lists = get_mirror(job.catalog), media_catalog(job.catalog)
    aside = _folder_aside()
    always = not mirror.keeps_times()
    try:
        job.stage(_("Copying"))
        for folder, paths in plan.places.items():
            root = get_settings().media_backup_dir if folder is None else lists.path(folder)
            mirror.fetch(root, paths, replaced=_sub(aside, "replaced"), always=always, control=job.control)
        if run.options.get("exact") and plan.difference.removed:
            job.stage(_("Removing what is not in the backup"))
            _take_away(job, mirror, plan.difference.removed, aside)
    except BaseException:
        _put_back(job, mirror, aside)
        raise
    if aside:
        _remove_tree(aside)
    job.tell(signals.post_media_restore)
    changed = len(plan.difference.added) + len(plan.difference.changed)
    removed = len(plan.difference.removed) if run.options.get("exact") else 0
    return _("Restored %(changed)d files, removed %(removed)d.") % {"changed": changed, "removed": removed}


def _folder_aside() -> Path | None:
    """Return the folder beside the media files that takes what is overwritten; none where those are not local."""
    place = Path(get_place())
    if not place.is_absolute():
        return None
    return place.with_name(f".{place.name}-before-restore-{uuid.uuid4().hex[:8]}")


def _sub(aside: Path | None, name: str) -> str | None:
    return str(aside / name) if aside else None


def _take_away(job: Job, mirror: Mirror, paths: Sequence[str], aside: Path | None) -> None:
    if aside:
        mirror.take_away(paths, into=str(aside / "removed"), control=job.control)
    else:
        mirror.delete_local(paths, control=job.control)


def _put_back(job: Job, mirror: Mirror, aside: Path | None) -> None:
    """After a failure: bring back what was overwritten or taken away; a new control, for the old one is stopped."""
    if not aside:
        return
    for name in ("replaced", "removed"):
        if (aside / name).exists():
            mirror.put_back(str(aside / name), control=Control())
    job.note(_("What had been overwritten was put back."))
    _remove_tree(aside)


def _remove_tree(folder: Path) -> None:
    shutil.rmtree(folder, ignore_errors=True)
