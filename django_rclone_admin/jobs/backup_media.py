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
from django.utils.translation import gettext as _

from .. import __version__, clock, signals, wording
from ..conf import get_settings
from ..core import file_lists
from ..core.catalog import Catalog, StoredObject
from ..core.compression import ZSTD
from ..core.control import Control
from ..core.file_lists import Difference, MediaFile
from ..core.files import FileSource
from ..core.manifest import Manifest
from ..core.mirror import Mirror
from ..core.store import Upload
from ..exceptions import BackupDamaged, RemoteError
from ..media import STAMP, get_mirror, last_list, local_files, media_in, parse_stamp, read_list
from ..remote import media_catalog
from .job import Job
from .options import BackupOptions
from .sweep import sweep_uploads


def compare_for_backup(catalog: Catalog) -> Difference:
    """Say what a media backup would change on the remote.

    :raises UsageError: it would be refused.
    """
    mirror = get_mirror(catalog)
    here, there = local_files(mirror), media_in(mirror)
    file_lists.check_source(here, there, get_settings().media_max_delete_percent)
    last = _list_of(catalog, last_list(media_catalog(catalog).objects()))
    # The times of what is in no list are not known, and then the sizes have to do.
    return file_lists.compare(file_lists.with_times(there, [*here, *last]), here)


def back_up_media(job: Job) -> str:
    """Sync the mirror, keep what goes from it, and store the file list."""
    mirror, catalog = get_mirror(job.catalog), media_catalog(job.catalog)
    folder = get_settings().media_backup_dir
    job.send_vetoable(signals.pre_media_backup)
    job.stage(_("Looking at the media files"))
    with ThreadPoolExecutor(1) as beside:
        looking = beside.submit(_Before.look, mirror, catalog)
        here = local_files(mirror)
        before = looking.result()
    sweep_uploads(job, catalog, before.lists)
    job.stage(_("Copying"))
    taken_at = _copy(job, mirror, before, here)
    job.stage(_("Writing the file list"))
    files = file_lists.with_times(file_lists.from_entries(mirror.remote_files(folder)), here)
    job.retrying(lambda _number: _store_list(job, catalog, taken_at, files))
    job.send_robust(signals.post_media_backup)
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
        last = last_list(lists)
        files, keeps_times = _list_of(catalog, last), mirror.keeps_times()
        if not (files and keeps_times):
            is_last_word = last and last.manifest and all(time <= last.manifest.taken_at for time in runs)
            files = file_lists.with_times(media_in(mirror), files if is_last_word else [])
        return cls(
            lists=lists,
            files=files,
            taken_at=max([clock.now(), *runs, *listed]),
            keeps_times=keeps_times,
        )


def _copy(job: Job, mirror: Mirror, before: _Before, here: Sequence[MediaFile]) -> datetime:
    """Make the mirror equal to the media files; no two steps put what they replace into the same folder.

    :returns: the time of the last step.
    :raises UsageError: too much would go.
    """
    file_lists.check_source(here, before.files, get_settings().media_max_delete_percent)
    lists, now = media_catalog(job.catalog), before.taken_at

    def copy(number: int) -> None:
        nonlocal now
        there = file_lists.with_times(media_in(mirror), before.files) if number else before.files
        for step in _steps(mirror, there, here, job.control, keeps_times=before.keeps_times):
            now += timedelta(microseconds=1)
            step(versions=lists.path(now.astimezone(UTC).strftime(STAMP)))

    # Whatever rclone complains of: a file may have changed while it was read, and what was copied need not be again.
    job.retrying(copy, on=(RemoteError,))
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
    if gone := file_lists.obstacles(there, here):
        yield functools.partial(mirror.retire, folder, gone, control=control)
    # A sync compares sizes alone when the remote keeps no times, so what kept its size has to be named.
    if not keeps_times and (changed := file_lists.compare(there, here).changed):
        yield functools.partial(mirror.renew, folder, changed, control=control)
    yield functools.partial(mirror.sync, folder, control=control)


def _list_of(catalog: Catalog, backup: StoredObject | None) -> list[MediaFile]:
    """Return the file list of a media backup; an empty one when there is none, or when it can't be read."""
    try:
        return read_list(catalog, backup) if backup else []
    except BackupDamaged:
        return []


def _store_list(job: Job, catalog: Catalog, taken_at: datetime, files: Sequence[MediaFile]) -> None:
    run = job.run
    upload = Upload(
        catalog=catalog,
        database=file_lists.NAME,
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
            database=file_lists.NAME,
            engine="media",
            connector="rclone",
            taken_at=taken_at,
            finished_at=clock.now(),
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
            group=BackupOptions.from_run(run).group,
            files=len(files),
            files_size=sum(file.size for file in files),
        )
    )
    run.path, run.size, run.sha256 = catalog.path(name), sum(file.size for file in files), stored.sha256
