"""Finds the media files on the site and on the remote, and reads the file lists of their backups."""

from __future__ import annotations

import io
from collections.abc import Collection, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path

from django.conf import settings as django_settings

from .conf import get_settings
from .core import file_lists, name_forms
from .core.catalog import Catalog, StoredObject, latest
from .core.compression import Decompressor, Limit, Meter, Stage
from .core.config_file import local_folder
from .core.file_lists import MediaFile
from .core.files import FileSource, StreamSink
from .core.list_sink import ListSink
from .core.local_files import LocalFiles, scan
from .core.mirror import LISTING_SECONDS, Mirror
from .core.naming import MEDIA
from .core.rclone import at
from .core.states import State
from .core.transfer import Sink, transfer
from .exceptions import BackupDamaged, BackupNotFound, LocalFileError, UsageError, gettext_noop
from .remote import media_catalog

STAMP = "%Y-%m-%d-%H%M%S-%f"
"""The name of the folder with the files that one run replaced: the time of the run, precise enough to sort all runs."""


OURS = ".{name}-before-restore-"
"""The prefix of the folders in which restores keep the files that they replace."""
FIRST, LAST = datetime(1970, 1, 1, tzinfo=UTC), datetime(9000, 1, 1, tzinfo=UTC)
"""Limits for the clocks of runs. The times of later runs must follow those of all earlier ones."""
FEW_PATHS = 100
"""At most this many files are found by their names; for more, the whole remote is listed."""
LIST_LIMIT = 1 << 30
"""The limit for an uncompressed file list in bytes: about ten million files."""
RATIO = 1000
"""The largest expected compression ratio of a file list; a long one reaches about 20."""


def get_place() -> str:
    """Return the place of the site's media files: the absolute path of a folder, or an rclone path.

    :raises UsageError: the settings do not name one.
    """
    place = str(get_settings().media_source or django_settings.MEDIA_ROOT or "")
    if not place:
        raise UsageError(
            gettext_noop("The site has no media files: MEDIA_ROOT is empty."),
            hint=gettext_noop("Set MEDIA_ROOT, or DJANGO_RCLONE['MEDIA_SOURCE']."),
        )
    # rclone's rule: a colon before the first slash means a remote.
    is_remote = bool(get_settings().media_source) and ":" in place.partition("/")[0]
    return place if is_remote else str(Path(place).absolute())


def get_folder(mirror: Mirror | None = None) -> Path | None:
    """Return the local folder of the media files; ``None`` when they are elsewhere.

    :param mirror: resolves a remote in MEDIA_SOURCE by rclone; without it, every remote counts as elsewhere.
    """
    place = get_place()
    if place.startswith("/"):
        return Path(place)
    found = mirror.local_folder() if mirror else None
    return Path(found).absolute() if found else None


def get_mirror(catalog: Catalog) -> Mirror:
    """Return the mirror of the site's media files."""
    place, folder = get_place(), get_folder()
    ours = OURS.format(name=folder.name) if folder else None
    return Mirror(catalog.rclone, place, get_settings().media_exclude, is_local=folder is not None, ours=ours)


def refuse_nested() -> None:
    """Refuse media files among the backups, and backups among the media files.

    :raises UsageError: the folders are nested.
    """
    settings, folder = get_settings(), get_folder()
    root = local_folder(settings.remote)
    if (
        folder is None or root is None or settings.media_exclude
    ):  # patterns may exclude the one from the other
        return
    own = folder.resolve()
    mirror, versions, databases = ((root / each).resolve() for each in settings.folders)
    among_them = any(each.is_relative_to(own) for each in (mirror, versions, databases))
    if among_them or own.is_relative_to(mirror) or own.is_relative_to(versions):
        raise UsageError(
            gettext_noop("The media files are among the backups, or the backups among them: %(folder)s."),
            hint=gettext_noop(
                "Nothing was changed. Choose a REMOTE outside of the media files, which web servers publish."
            ),
            folder=folder,
        )


def local_files(mirror: Mirror) -> LocalFiles:
    """Return the media files of the site, without excluded ones.

    :raises UsageError: their folder does not exist, or contains the backups.
    :raises LocalFileError: a part can't be read, or rclone can't distinguish two of the names.
    """
    refuse_nested()
    folder = get_folder()
    if folder and not (mirror.has_excludes or mirror.passes_over):
        found = scan(folder, passing_over=OURS.format(name=folder.name))
    else:
        entries = mirror.local_files()
        found = None if entries is None else LocalFiles(files=file_lists.from_entries(entries))
    if found is None:
        raise UsageError(
            gettext_noop("The media folder does not exist."),
            hint=gettext_noop("Nothing was changed. Check MEDIA_ROOT or MEDIA_SOURCE."),
        )
    for path, reason in found.closed.items():
        raise LocalFileError(
            gettext_noop("The folder %(path)s of the media files can't be read: %(reason)s."),
            hint=gettext_noop(
                "Nothing was changed. Check its permissions, or exclude it with MEDIA_EXCLUDE."
            ),
            path=repr(path or str(folder)),
            reason=reason,
        )
    if same := name_forms.twice(found.files):
        raise LocalFileError(
            gettext_noop("Two media files have names that rclone can't tell apart: %(path)s."),
            hint=gettext_noop("Nothing was changed. Their names are not UTF-8: rename one of them."),
            path=repr(same[0]),
        )
    return found


def all_local_files(mirror: Mirror) -> LocalFiles:
    """Return all media files of the site, including excluded ones; none where their folder does not exist."""
    folder = get_folder(mirror)
    if folder:
        return scan(folder, passing_over=OURS.format(name=folder.name)) or LocalFiles()
    return LocalFiles(files=file_lists.from_entries(mirror.local_files(everything=True) or []))


def media_in(mirror: Mirror) -> list[MediaFile]:
    """Return the files of the mirror, without those that are excluded now."""
    return file_lists.from_entries(mirror.remote_files(get_settings().media_backup_dir))


def parse_stamp(stamp: str) -> datetime | None:
    """Return the time of a run from the name of its versions folder, or ``None`` for any other name."""
    try:
        time = datetime.strptime(stamp, STAMP).replace(tzinfo=UTC)
    except ValueError:
        return None
    return time if FIRST < time < LAST else None


def read_list(catalog: Catalog, backup: StoredObject) -> list[MediaFile]:
    """Read the file list of a media backup.

    :raises BackupDamaged: its bytes have changed, or exceed the limit for a list.
    """
    sink = ListSink()
    _read(catalog, backup, sink)
    return sink.files


def read_lines(catalog: Catalog, backup: StoredObject) -> list[bytes]:
    """Return the non-empty lines of the file list of a media backup, unparsed.

    :raises BackupDamaged: its bytes have changed, or exceed the limit for a list.
    """
    buffer = io.BytesIO()
    _read(catalog, backup, StreamSink(buffer))
    return [line for line in buffer.getvalue().splitlines(keepends=True) if line != b"\n"]


def _read(catalog: Catalog, backup: StoredObject, sink: Sink) -> None:
    manifest = backup.manifest
    expected = manifest.raw_size if manifest else LIST_LIMIT
    limit = min(expected, LIST_LIMIT, backup.size * RATIO)
    if expected > limit:
        raise BackupDamaged(file_lists.UNREADABLE)
    stages: list[Stage] = [
        Meter(size=backup.size, sha256=manifest.sha256 if manifest else None),
        Decompressor(),
        Limit(limit),
    ]
    # Read completely before unpacking, with a limit: so it can be stopped, and always ends.
    flags = [f"--count={backup.size + 1}"]
    done = catalog.rclone.call(["cat", *flags], at(backup.path), timeout=LISTING_SECONDS)
    transfer(FileSource(io.BytesIO(done.check().output)), sink, stages=stages)


def find_media(catalog: Catalog, name: str | None) -> StoredObject | None:
    """Return the media backup of this name or path, or the latest one; ``None`` for a remote without any list.

    :raises BackupNotFound: no media backup has that name.
    """
    listed = _usable(media_catalog(catalog).objects())
    if name is None:
        return last_list(listed)
    for each in listed:
        if name in (each.name, each.path, each.name.split(".")[0]):
            return each
    raise BackupNotFound(
        gettext_noop("There is no media backup “%(name)s” on the remote."),
        hint=gettext_noop("“manage.py listbackups --media” lists the media backups."),
        name=name,
    )


def _usable(lists: Sequence[StoredObject]) -> list[StoredObject]:
    """Return the usable lists: without a manifest, it is unknown which versions are later than a list."""
    return [each for each in lists if is_usable(each)]


def is_usable(backup: StoredObject) -> bool:
    """Whether a media backup tells its files and its time."""
    return backup.state is State.COMPLETE and get_time(backup) is not None


def get_time(backup: StoredObject) -> datetime | None:
    """Return the time of a media backup by its manifest; ``None`` where its name differs."""
    time = backup.manifest.taken_at if backup.manifest else None
    if time is None or backup.taken_at is None or not FIRST < time < LAST:
        return None
    return time if timedelta() <= time - backup.taken_at < timedelta(seconds=1) else None


def last_list(lists: Sequence[StoredObject]) -> StoredObject | None:
    """Return the latest usable list."""
    return latest(_usable(lists), MEDIA)


def find_places(
    catalog: Catalog,
    backup: StoredObject | None,
    files: Sequence[MediaFile],
    only: Collection[str] | None = None,
) -> dict[str | None, list[str]]:
    """Find the bytes of files of a backup, see :func:`~django_rclone_admin.core.file_lists.locate`.

    :param only: the paths to find, if a complete listing is not worthwhile.
    :raises BackupDamaged: files are missing.
    """
    mirror, lists = get_mirror(catalog), media_catalog(catalog)
    if only is not None and len(only) > FEW_PATHS:
        only = None
    there = mirror.remote_files(get_settings().media_backup_dir, everything=True, only=only)
    later: list[tuple[str, Mapping[str, int]]] = []
    if backup is not None:
        versions = mirror.remote_files(lists.folder, everything=True, only=only, within="*/")
        later = later_versions(backup, file_lists.by_folder(versions))
    return file_lists.locate(files, later, {each.name: each.size for each in there})


def get_root(catalog: Catalog, place: str | None) -> str:
    """Return the folder on the remote for a place that :func:`find_places` returned."""
    return get_settings().media_backup_dir if place is None else media_catalog(catalog).path(place)


def later_versions(
    backup: StoredObject | None, folders: Mapping[str, Mapping[str, int]]
) -> list[tuple[str, Mapping[str, int]]]:
    """Return the version folders of all runs after a backup, oldest first; without a backup, of all runs."""
    time = get_time(backup) if backup else None
    own = time.astimezone(UTC).strftime(STAMP) if time else ""
    return [
        (folder, paths) for folder, paths in sorted(folders.items()) if parse_stamp(folder) and folder > own
    ]
