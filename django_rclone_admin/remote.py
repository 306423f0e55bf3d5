"""The configured remote: its client, its catalogs, and the backups in them."""

from __future__ import annotations

import functools
import os
import threading
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import Future, wait
from typing import TYPE_CHECKING, TypeVar

from django.conf import settings as django_settings

from .conf import get_settings
from .core.catalog import Catalog, StoredObject
from .core.control import Control
from .core.many_manifests import Brief
from .core.naming import Naming
from .exceptions import BackupNotFound, gettext_noop
from .rclone_program import find_rclone

if TYPE_CHECKING:
    from .core.answers import Entry
    from .core.rclone import Rclone

T = TypeVar("T")


def get_rclone(control: Control | None = None, *, timeout: float = 120) -> Rclone:
    """Return the client of the configured remote.

    :param control: can stop its calls.
    :param timeout: time limit of a call other than a stream, in seconds.
    """
    from .core.rclone import Rclone  # with all that starts programs: only for who asks the remote

    settings = get_settings()
    return Rclone(
        binary=find_rclone() or settings.rclone_binary,
        remote=settings.remote,
        config=settings.rclone_config,
        flags=tuple(settings.rclone_flags),
        env=settings.rclone_env,
        inherited=dict(os.environ),
        control=control,
        timeout=timeout,
    )


def get_catalog(control: Control | None = None, *, timeout: float = 120) -> Catalog:
    """Return the catalog of the database backups."""
    settings = get_settings()
    return Catalog(get_rclone(control, timeout=timeout), settings.naming, settings.db_backup_dir)


def media_catalog(catalog: Catalog) -> Catalog:
    """Return the catalog of the file lists of media backups, on the same remote."""
    naming = Naming("{database}-{datetime}.{ext}", "%Y-%m-%d-%H%M%S")
    return Catalog(catalog.rclone, naming, get_settings().media_versions_dir, kind="media")


def has_media() -> bool:
    """Whether the settings name a place of media files."""
    return bool(get_settings().media_source or django_settings.MEDIA_ROOT)


def get_catalogs(*, timeout: float = 120) -> list[Catalog]:
    """Return the catalog of the database backups and, if the site has media files, that of media backups."""
    databases = get_catalog(timeout=timeout)
    media = media_catalog(databases)
    return [databases, media] if has_media() and media.folder != databases.folder else [databases]


def find_backup(catalog: Catalog, name: str) -> StoredObject:
    """Find a backup in the listing by its name or path, and read its manifest.

    :raises BackupNotFound: no backup has that name.
    """
    return find_backups([catalog], [name])[0]


def find_backups(catalogs: Sequence[Catalog], names: Iterable[str]) -> list[StoredObject]:
    """Find several backups in these listings, by one or two calls of rclone each; see :func:`find_backup`."""
    return inspect(catalogs, find_listed(catalogs, names))


def find_listed(catalogs: Sequence[Catalog], names: Iterable[str]) -> list[StoredObject]:
    """Find several backups in these listings, by one call of rclone each; like :func:`find_backups`, without manifests.

    :raises BackupNotFound: one of the names is that of no backup.
    """
    known: dict[str, StoredObject] = {}
    names = list(names)
    for catalog in catalogs:
        if known.keys() >= {*names}:
            break
        listed = [each for each in catalog.objects(manifests=False) if each.taken_at is not None]
        known = {each.name: each for each in listed} | {each.path: each for each in listed} | known
    for name in names:
        if name not in known:
            raise BackupNotFound(gettext_noop("There is no backup “%(name)s” on the remote."), name=name)
    return [known[name] for name in names]


def list_folders(catalogs: Sequence[Catalog], *, times: bool = True) -> list[list[Entry]]:
    """List the folders of these catalogs in parallel; a missing folder is empty.

    :param times: with the modification times of the objects.
    :raises RemoteDenied: the configured passphrase does not decrypt some names.
    """
    rclone = catalogs[0].rclone
    found = in_parallel(
        [functools.partial(rclone.list_folder, each.folder, times=times) for each in catalogs]
    )
    if not any(found):
        rclone.look()  # raises for a wrong passphrase, with which no folder has its name
    return [entries or [] for entries in found]


def list_objects(catalogs: Sequence[Catalog]) -> list[list[StoredObject]]:
    """Return the objects of each of these catalogs, newest first, without manifests."""
    return [each.arrange(entries) for each, entries in zip(catalogs, list_folders(catalogs), strict=True)]


def inspect(
    catalogs: Sequence[Catalog], objects: Sequence[StoredObject], *, thin: bool = False
) -> list[StoredObject]:
    """Read the manifests of objects by one call for each kind, and set the state of each object from its own manifest.

    :param thin: without the lists of long manifests.
    """
    calls = [
        functools.partial(catalog.inspect, own, thin=thin) for catalog, own in _by_kind(catalogs, objects)
    ]
    return [each for found in in_parallel(calls) for each in found]


def read_briefs(catalogs: Sequence[Catalog], objects: Sequence[StoredObject]) -> dict[str, Brief | None]:
    """Read the manifests of objects by one call for each kind, and return the brief of each by the object's path.

    Those that can't be read are ``None``.
    """
    kinds = _by_kind(catalogs, objects)
    found = in_parallel([functools.partial(catalog.briefs, own) for catalog, own in kinds])
    pairs = zip(kinds, found, strict=True)
    return {each.path: briefs.get(each.name) for (_catalog, own), briefs in pairs for each in own}


def _by_kind(
    catalogs: Sequence[Catalog], objects: Sequence[StoredObject]
) -> list[tuple[Catalog, list[StoredObject]]]:
    """Return each catalog that has some of these objects, with these."""
    kinds = [(catalog, [each for each in objects if each.kind == catalog.kind]) for catalog in catalogs]
    return [(catalog, own) for catalog, own in kinds if own]


def in_parallel(calls: Sequence[Callable[[], T]]) -> list[T]:
    """Make calls of rclone in parallel, because they mostly wait.

    The threads are daemons, which those of a ThreadPoolExecutor are not: a remote that hangs must not delay the end of
    the process.
    """
    if len(calls) < 2:
        return [call() for call in calls]
    answers = [Future[T]() for _call in calls]
    for call, answer in zip(calls, answers, strict=True):
        threading.Thread(target=_answer, args=(call, answer), name="rclone", daemon=True).start()
    wait(answers)
    return [answer.result() for answer in answers]


def _answer(call: Callable[[], T], answer: Future[T]) -> None:
    try:
        answer.set_result(call())
    except BaseException as error:  # noqa: BLE001  (raised where the result is read)
        answer.set_exception(error)
