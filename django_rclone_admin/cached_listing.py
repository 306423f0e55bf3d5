"""The backup list that pages see: cached, and shared by the processes of the site through Django's cache."""

from __future__ import annotations

import functools
import hashlib
import uuid
from collections.abc import Sequence

from django.core.cache import cache

from .conf import get_settings
from .core.catalog import Catalog, StoredObject, judge
from .core.manifest import Manifest
from .core.rclone import Entry, at
from .exceptions import BackupError
from .remote import beside, get_catalogs, has_media, inspect

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
    found = beside([functools.partial(rclone.list, at(each.folder), recursive=False) for each in catalogs])
    if not any(found):
        rclone.entries("")  # refuses what a wrong password makes of a remote: then no folder has its name
    return [entries or [] for entries in found]


def with_manifests(objects: list[StoredObject]) -> list[StoredObject]:
    """Return the objects with their manifests, reading those not read before by one call for each kind."""
    known = _manifests.setdefault(cache_key("manifests"), {})
    unread = [each for each in objects if each.has_manifest and each.path not in known]
    if unread:
        found = inspect(get_catalogs(timeout=PAGE_TIMEOUT), unread)
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


def renew_listing(last_end: str) -> None:
    """Have the next page ask the remote again, unless that was done since the last run has ended.

    :param last_end: changes when a run ends. Other processes can't empty a cache that each process has for itself.
    """
    key = cache_key("last_end")
    if cache.get(key) != last_end:
        cache.delete_many([cache_key("listing"), f"{cache_key('listing')}.stamp"])
        cache.set(key, last_end, None)


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
