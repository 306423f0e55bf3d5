"""Backs up the media files: the mirror, the versions that it replaces, and the file list."""

from __future__ import annotations

import io
from concurrent.futures import ThreadPoolExecutor

from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from .. import signals, wording
from ..conf import get_settings
from ..core import file_lists
from ..core.catalog import Catalog
from ..core.compression import ZSTD
from ..core.file_lists import Difference, MediaFile
from ..core.files import FileSource
from ..core.naming import MEDIA
from ..core.publishing import Upload
from ..exceptions import BackupDamaged
from ..media import get_folder, get_mirror, local_files, media_in
from ..media_lists import find_media
from ..remote import media_catalog
from .job import Job
from .manifests import make_manifest
from .media_kept import discard_old
from .mirroring import Before, Mirrored, update_mirror
from .options import BackupOptions
from .sweep import sweep_uploads


def compare_for_backup(catalog: Catalog) -> Difference:
    """Return what a media backup would change on the remote.

    :raises UsageError: the backup would be refused.
    """
    mirror = get_mirror(catalog)
    here, there = local_files(mirror).files, media_in(mirror)
    file_lists.check_source(here, there, get_settings().media_max_delete_percent)
    last = _last_files(media_catalog(catalog))
    # Files that are in no list have unknown times, so only their sizes are compared.
    return file_lists.compare(file_lists.with_times(there, [*here, *last]), here)


def _last_files(catalog: Catalog) -> list[MediaFile]:
    """Return the files of the last list; none when it can't be read."""
    last = find_media(catalog, None, with_list=True)
    try:
        return last.read(catalog) if last else []
    except BackupDamaged:
        return []


def back_up_media(job: Job) -> str:
    """Update the mirror, keep replaced and removed files, and store the file list."""
    mirror, catalog = get_mirror(job.catalog), media_catalog(job.catalog)
    job.send_vetoable(signals.pre_media_backup)
    if folder := get_folder():
        discard_old(folder)
    job.stage(_("Looking at the media files"))
    with ThreadPoolExecutor(1) as thread:
        looking = thread.submit(Before.look, mirror, catalog)
        found = local_files(mirror)
        before = looking.result()
    if found.skipped:
        counts = {"count": len(found.skipped), "path": repr(min(found.skipped))}
        note = ngettext(
            "Skipped a link or special file: %(path)s.",
            "Skipped %(count)d links and special files, %(path)s among them.",
            len(found.skipped),
        )
        job.note(note % counts)
    sweep_uploads(job, catalog, before.lists)
    job.stage(_("Copying"))
    mirrored = update_mirror(job, mirror, before, found.files, full=BackupOptions.from_run(job.run).full)
    job.stage(_("Writing the file list"))
    job.retrying(lambda _number: _store_list(job, catalog, mirrored))
    job.send_robust(signals.post_media_backup)
    return _("Backed up %(files)s, %(size)s.") % {
        "files": wording.files(len(mirrored.files)),
        "size": wording.size(job.run.size),
    }


def _store_list(job: Job, catalog: Catalog, mirrored: Mirrored) -> None:
    run, files, taken_at = job.run, mirrored.files, mirrored.taken_at
    size = sum(size for _path, size, _time in files)
    upload = Upload(
        catalog=catalog,
        database=MEDIA,
        taken_at=taken_at,
        extension="jsonl",
        compression=ZSTD,
        level=None,
        run=str(run.pk),
    )
    # An empty line, because a dump without any byte would be refused.
    lines = io.BytesIO(b"".join(mirrored.lines) or b"\n")
    name, stored = upload.send(FileSource(lines), job.control)
    upload.seal(
        make_manifest(
            run,
            upload,
            name,
            stored,
            engine="media",
            connector="rclone",
            files=len(files),
            trusted=mirrored.trusted,
            files_size=size,
        )
    )
    run.path, run.size, run.sha256 = catalog.path(name), size, stored.sha256
