"""Back up the media files: a mirror, the versions that it replaces, and the list of the files."""

from __future__ import annotations

import functools
import io
import socket
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Self

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
from ..engine.mirror import LISTING_SECONDS, Mirror
from ..engine.rclone import at, check
from ..engine.store import Upload, sweep
from ..engine.transfer import transfer
from ..exceptions import BackupDamaged, BackupNotFound, RemoteError, UsageError, gettext_noop
from ..site import media_catalog
from . import history
from .job import Job

STAMP = "%Y-%m-%d-%H%M%S-%f"
"""The name of the folder with what one run replaced: the time of the run, exact enough to sort all runs."""


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
    mirror = get_mirror(catalog)
    here, there = local_files(mirror), media_in(mirror)
    media.check_source(here, there, get_settings().media_max_delete_percent)
    last = _list_of(catalog, _last(media_catalog(catalog).objects()))
    # The times of what is in no list are not known, and then the sizes have to do.
    return media.compare(media.with_times(there, [*here, *last]), here)


def back_up_media(job: Job) -> str:
    """Sync the mirror, keep what goes from it, and store the file list."""
    mirror, catalog = get_mirror(job.catalog), media_catalog(job.catalog)
    folder = get_settings().media_backup_dir
    job.announce(signals.pre_media_backup)
    job.stage(_("Looking at the media files"))
    with ThreadPoolExecutor(1) as beside:
        looking = beside.submit(_Before.look, mirror, catalog)
        here = local_files(mirror)
        before = looking.result()
    sweep(catalog, before.lists, history.is_over, timezone.now())
    job.stage(_("Copying"))
    taken_at = _copy(job, mirror, before, here)
    job.stage(_("Writing the file list"))
    files = media.with_times(media.from_entries(mirror.remote_files(folder)), here)
    job.persist(lambda _number: _store_list(job, catalog, taken_at, files))
    job.tell(signals.post_media_backup)
    size = sum(each.size for each in files)
    return _("Backed up %(files)s, %(size)s.") % {
        "files": wording.files(len(files)),
        "size": wording.size(size),
    }


@dataclass(frozen=True, slots=True, kw_only=True)
class _Before:
    """What is on the remote before a backup."""

    lists: list[StoredObject]
    files: list[MediaFile]
    """Of the last list. To read it is quicker than to list the mirror, and it says the times too; but a run that died
    after it may have changed the mirror. So without a list, and where rclone can compare no more than sizes, those of
    the mirror, with the times that the last list knows, if no later run has replaced anything."""
    taken_at: datetime
    """After every earlier run, whatever the clock does."""
    keeps_times: bool

    @classmethod
    def look(cls, mirror: Mirror, catalog: Catalog) -> Self:
        lists = catalog.objects()
        runs = [time for name in mirror.folders(catalog.folder) if (time := parse_stamp(name))]
        listed = [each.manifest.taken_at for each in lists if each.manifest]
        last = _last(lists)
        files, keeps_times = _list_of(catalog, last), mirror.keeps_times()
        if not (files and keeps_times):
            is_last_word = last and last.manifest and all(time <= last.manifest.taken_at for time in runs)
            files = media.with_times(media_in(mirror), files if is_last_word else [])
        return cls(
            lists=lists,
            files=files,
            taken_at=max([timezone.now(), *runs, *listed]),
            keeps_times=keeps_times,
        )


def _copy(job: Job, mirror: Mirror, before: _Before, here: Sequence[MediaFile]) -> datetime:
    """Make the mirror equal to the media files; no two steps put what they replace into the same folder.

    :returns: the time of the last step.
    :raises UsageError: too much would go.
    """
    media.check_source(here, before.files, get_settings().media_max_delete_percent)
    lists, now = media_catalog(job.catalog), before.taken_at

    def copy(number: int) -> None:
        nonlocal now
        there = media.with_times(media_in(mirror), before.files) if number else before.files
        for step in _steps(mirror, there, here, job.control, keeps_times=before.keeps_times):
            now += timedelta(microseconds=1)
            step(versions=lists.path(now.astimezone(UTC).strftime(STAMP)))

    # Whatever rclone complains of: a file may have changed while it was read, and what was copied need not be again.
    job.persist(copy, on=(RemoteError,))
    return now


def _steps(
    mirror: Mirror,
    there: Sequence[MediaFile],
    here: Sequence[MediaFile],
    control: Control,
    *,
    keeps_times: bool,
) -> Iterator[Callable[..., None]]:
    """Give what has to be done one after the other, each taking the folder for what it replaces."""
    folder = get_settings().media_backup_dir
    if gone := media.obstacles(there, here):
        yield functools.partial(mirror.retire, folder, gone, control=control)
    # A sync compares sizes alone when the remote keeps no times, so what kept its size has to be named.
    if not keeps_times and (changed := media.compare(there, here).changed):
        yield functools.partial(mirror.renew, folder, changed, control=control)
    yield functools.partial(mirror.sync, folder, control=control)


def _list_of(catalog: Catalog, backup: StoredObject | None) -> list[MediaFile]:
    """Return the file list of a media backup; an empty one when there is none, or when it can't be read."""
    try:
        return read_list(catalog, backup) if backup else []
    except BackupDamaged:
        return []


def media_in(mirror: Mirror) -> list[MediaFile]:
    """Return the files of the mirror, but for those that are excluded now."""
    return media.from_entries(mirror.remote_files(get_settings().media_backup_dir))


def parse_stamp(stamp: str) -> datetime | None:
    """Return the time of a run by the name of its versions folder, or ``None`` when it is no such name."""
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
            group=run.options.get("group", ""),
            files=len(files),
            files_size=sum(file.size for file in files),
        )
    )
    run.path, run.size, run.sha256 = catalog.path(name), sum(file.size for file in files), stored.sha256


def read_list(catalog: Catalog, backup: StoredObject) -> list[MediaFile]:
    """Read the file list of a media backup.

    :raises BackupDamaged: its bytes are not those that were written.
    """
    buffer = io.BytesIO()
    sha256 = backup.manifest.sha256 if backup.manifest else None
    stages: list[Stage] = [Meter(size=backup.size, sha256=sha256), Decompressor()]
    # Whole before it is unpacked: so it can be stopped, and ends some day, even where nobody watches.
    done = catalog.rclone.call(["cat"], at(backup.path), timeout=LISTING_SECONDS)
    transfer(FileSource(io.BytesIO(check(done).output)), StreamSink(buffer), stages=stages)
    return list(media.parse(line for line in buffer.getvalue().splitlines() if line))


def find_media(catalog: Catalog, name: str | None) -> StoredObject | None:
    """Return the media backup of this name or path, or the latest one; ``None`` when there is no list at all.

    :raises BackupNotFound: there is none of that name.
    """
    listed = _usable(media_catalog(catalog).objects())
    if name is None:
        return _last(listed)
    for each in listed:
        if name in (each.name, each.path, each.name.split(".")[0]):
            return each
    raise BackupNotFound(
        gettext_noop("There is no media backup “%(name)s” on the remote."),
        hint=gettext_noop("See what there is with “manage.py listbackups --media”."),
        name=name,
    )


def _usable(lists: Sequence[StoredObject]) -> list[StoredObject]:
    """Return the lists that can be believed: without its manifest, nobody knows which versions are later than one."""
    return [each for each in lists if each.state is State.COMPLETE]


def _last(lists: Sequence[StoredObject]) -> StoredObject | None:
    """Return the last of the lists that can be believed."""
    return latest(_usable(lists), media.NAME)
