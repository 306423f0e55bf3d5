"""Where the media files are, on the site and on the remote, and what the file lists of their backups say."""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime

from django.conf import settings as django_settings

from .conf import get_settings
from .core import file_lists
from .core.catalog import Catalog, State, StoredObject, latest
from .core.compression import Decompressor, Meter, Stage
from .core.file_lists import MediaFile
from .core.files import FileSource, StreamSink
from .core.mirror import LISTING_SECONDS, Mirror
from .core.rclone import at
from .core.transfer import transfer
from .exceptions import BackupNotFound, UsageError, gettext_noop
from .remote import media_catalog

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
    return file_lists.from_entries(found)


def media_in(mirror: Mirror) -> list[MediaFile]:
    """Return the files of the mirror, but for those that are excluded now."""
    return file_lists.from_entries(mirror.remote_files(get_settings().media_backup_dir))


def parse_stamp(stamp: str) -> datetime | None:
    """Return the time of a run by the name of its versions folder, or ``None`` when it is no such name."""
    try:
        return datetime.strptime(stamp, STAMP).replace(tzinfo=UTC)
    except ValueError:
        return None


def read_list(catalog: Catalog, backup: StoredObject) -> list[MediaFile]:
    """Read the file list of a media backup.

    :raises BackupDamaged: its bytes are not those that were written.
    """
    buffer = io.BytesIO()
    sha256 = backup.manifest.sha256 if backup.manifest else None
    stages: list[Stage] = [Meter(size=backup.size, sha256=sha256), Decompressor()]
    # Whole before it is unpacked: so it can be stopped, and ends some day, even where nobody watches.
    done = catalog.rclone.call(["cat"], at(backup.path), timeout=LISTING_SECONDS)
    transfer(FileSource(io.BytesIO(done.check().output)), StreamSink(buffer), stages=stages)
    return list(file_lists.parse(line for line in buffer.getvalue().splitlines() if line))


def find_media(catalog: Catalog, name: str | None) -> StoredObject | None:
    """Return the media backup of this name or path, or the latest one; ``None`` when there is no list at all.

    :raises BackupNotFound: there is none of that name.
    """
    listed = _usable(media_catalog(catalog).objects())
    if name is None:
        return last_list(listed)
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


def last_list(lists: Sequence[StoredObject]) -> StoredObject | None:
    """Return the last of the lists that can be believed."""
    return latest(_usable(lists), file_lists.NAME)


def find_places(
    catalog: Catalog,
    backup: StoredObject | None,
    files: Sequence[MediaFile],
    only: Sequence[str] | None = None,
) -> dict[str | None, list[str]]:
    """Say where the bytes of files of a backup are, see :func:`~django_rclone_admin.core.file_lists.locate`.

    :param only: the paths to look for, where it is not worth while to list everything.
    :raises BackupDamaged: some are nowhere.
    """
    mirror, lists = get_mirror(catalog), media_catalog(catalog)
    there = mirror.remote_files(get_settings().media_backup_dir, everything=True, only=only)
    later: list[tuple[str, Mapping[str, int]]] = []
    if backup is not None:
        versions = mirror.remote_files(lists.folder, everything=True, only=only, within="*/")
        later = later_versions(backup, file_lists.by_folder(versions))
    return file_lists.locate(files, later, {each.name: each.size for each in there})


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
