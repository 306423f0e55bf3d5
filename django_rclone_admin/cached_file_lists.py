"""The file lists of media backups, cached in this process, and single files of them."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Generator, Iterator, Mapping, Sequence
from contextlib import contextmanager

from .cached_listing import PAGE_TIMEOUT, get_listing, with_manifests
from .core import file_lists
from .core.catalog import StoredObject
from .core.control import Control
from .core.file_lists import MediaFile
from .core.store import stream
from .exceptions import BackupDamaged, BackupNotFound, Stalled, gettext_noop
from .media import find_places, get_mirror, get_root
from .media_lists import is_usable, read_list
from .remote import get_catalog

KEPT = 3
"""How many lists this process caches."""
KEPT_FILES = 250_000
"""The total number of cached files, about 80 MB. A longer list is read again for each page."""

_lists: OrderedDict[tuple[str, str], list[MediaFile]] = OrderedDict()
"""The lists that were read last, by path and SHA-256 of the stored list, which identify the content."""


@contextmanager
def limited(seconds: float | None) -> Iterator[Control]:
    """Give a control that is stopped after some seconds."""
    control = Control()
    if seconds is None:
        yield control
        return
    error = Stalled(
        gettext_noop("The remote did not answer within %(seconds)d seconds."),
        hint=gettext_noop("Nothing was changed. Check the network and the remote, then try again."),
        seconds=seconds,
    )
    timer = threading.Timer(seconds, control.stop, [error])
    timer.daemon = True
    timer.start()
    try:
        yield control
    finally:
        timer.cancel()


def list_files(path: str, names: Sequence[str] = ()) -> list[MediaFile]:
    """Return the files of a media backup; the first call reads them by one call of rclone.

    :param names: the paths of the only files to return; a trailing slash means a folder with all its files.
    :raises BackupNotFound: the backup is not in the backup list, or lacks one of them.
    :raises BackupDamaged: the backup, or its file list, can't be read.
    """
    files = _files_of(_find(path))
    return file_lists.choose(files, names) if names else files


def read_file(path: str, name: str) -> tuple[MediaFile, Generator[bytes, None, None]]:
    """Return a file of a media backup, and its bytes in pieces.

    :raises BackupNotFound: the backup is not in the backup list, or does not contain the file.
    :raises BackupDamaged: the bytes are not on the remote.
    """
    backup = _find(path)
    file = next((each for each in _files_of(backup) if each.path == name), None)
    if file is None:
        raise file_lists.not_in_list(name)
    catalog = get_catalog(timeout=PAGE_TIMEOUT)
    with limited(PAGE_TIMEOUT) as control:
        [place] = find_places(get_catalog(control), backup, [file], [name])
    return file, stream(get_mirror(catalog).read(get_root(catalog, place), name))


def read_files(path: str, names: Sequence[str]) -> Iterator[tuple[MediaFile, Generator[bytes, None, None]]]:
    """Give files of a media backup, each with its bytes in pieces.

    :param names: their paths; a trailing slash means a folder with all its files.
    :raises BackupNotFound: the backup is not in the backup list, or lacks one of them.
    :raises BackupDamaged: some bytes are not on the remote.
    """
    backup = _find(path)
    files = {each.path: each for each in file_lists.choose(_files_of(backup), names)}
    with limited(PAGE_TIMEOUT) as control:
        places = find_places(get_catalog(control), backup, list(files.values()), files.keys())
    return _streams(files, places)


def _streams(
    files: Mapping[str, MediaFile], places: Mapping[str | None, Sequence[str]]
) -> Iterator[tuple[MediaFile, Generator[bytes, None, None]]]:
    catalog = get_catalog(timeout=PAGE_TIMEOUT)
    mirror = get_mirror(catalog)
    for place, paths in places.items():
        for each in paths:
            yield files[each], stream(mirror.read(get_root(catalog, place), each))


def _find(path: str) -> StoredObject:
    found = [each for each in get_listing().backups if each.kind == "media" and each.path == path]
    if not found:
        raise BackupNotFound(gettext_noop("There is no media backup “%(name)s” on the remote."), name=path)
    [backup] = with_manifests(found)
    if not is_usable(backup):
        raise BackupDamaged(gettext_noop("The media backup %(name)s is not complete."), name=backup.name)
    return backup


def _files_of(backup: StoredObject) -> list[MediaFile]:
    assert backup.manifest
    key = (backup.path, backup.manifest.sha256)
    files = _lists.pop(key, None)
    if files is None:
        with limited(PAGE_TIMEOUT) as control:
            files = read_list(get_catalog(control), backup)
    _lists[key] = files
    while len(_lists) > KEPT or sum(map(len, [*_lists.values()])) > KEPT_FILES:
        _lists.popitem(last=False)
    return files
