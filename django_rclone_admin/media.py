"""Finds the media files on the site and on the remote."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import NamedTuple

from django.conf import settings as django_settings

from .conf import get_settings
from .core import file_lists, name_forms
from .core.answers import Entry
from .core.catalog import Catalog, StoredObject
from .core.config_file import local_folder
from .core.file_lists import MediaFile
from .core.local_files import LocalFiles, scan
from .core.mirror import Mirror
from .exceptions import LocalFileError, UsageError, gettext_noop
from .media_lists import FIRST, LAST, get_time
from .remote import media_catalog

STAMP = "%Y-%m-%d-%H%M%S-%f"
"""The name of the folder with the files that one run replaced: the time of the run, precise enough to sort all runs."""


OURS = ".{name}-before-restore-"
"""The prefix of the folders in which restores keep the files that they replace."""
FEW_PATHS = 100
"""At most this many files are found by their names; for more, the whole remote is listed."""


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


class Stored(NamedTuple):
    """The objects of media backups on the remote."""

    mirror: list[Entry]
    versions: list[Entry]
    """Below the versions folder: the versions, and the file lists with what belongs to them."""


def look_at_stored(catalog: Catalog, only: Collection[str] | None = None) -> Stored:
    """Return the objects of media backups by two calls of rclone.

    The mirror comes first: a media backup that runs meanwhile moves files from the mirror to the versions.

    :param only: the paths to look for; by default all.
    """
    mirror, lists = get_mirror(catalog), media_catalog(catalog)
    there = mirror.remote_files(get_settings().media_backup_dir, everything=True, only=only)
    return Stored(there, mirror.remote_files(lists.folder, everything=True, only=only, within="*/"))


def find_places(
    catalog: Catalog,
    backup: StoredObject | None,
    files: Sequence[MediaFile],
    only: Collection[str] | None = None,
    stored: Stored | None = None,
) -> dict[str | None, list[str]]:
    """Find the bytes of files of a backup, see :func:`~django_rclone_admin.core.file_lists.locate`.

    :param only: the paths to find, if a complete listing is not worthwhile.
    :param stored: all objects, if they were just listed.
    :raises BackupDamaged: files are missing.
    """
    stored = stored or look_at_stored(catalog, only if only is not None and len(only) <= FEW_PATHS else None)
    later = later_versions(backup, file_lists.by_folder(stored.versions)) if backup else []
    return file_lists.locate(files, later, {each.name: each.size for each in stored.mirror})


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
