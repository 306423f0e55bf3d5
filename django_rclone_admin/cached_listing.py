"""The backup list of the pages: cached, and shared by the processes of the site through Django's cache."""

from __future__ import annotations

import dataclasses
import functools
import hashlib
import uuid
from dataclasses import dataclass

from .conf import get_settings
from .core.answers import Entry
from .core.catalog import StoredObject, judge
from .core.manifest import Manifest, ThinManifest
from .exceptions import BackupError
from .remote import get_catalogs, has_media, inspect, list_folders
from .single_flight import once, only_one
from .site_cache import site_cache

FAILURE_SECONDS = 10
"""How long pages do not retry a remote that did not answer: each attempt may take until its time limit."""
PAGE_TIMEOUT = 30
"""Seconds that a page waits for the remote."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Listing:
    """The parsed form of a listing, kept by this process because parsing takes time."""

    stamp: str
    """Identifies a listing, in all processes."""
    found: list[StoredObject] | BackupError


_listed: dict[str, _Listing] = {}
"""The last listing, by cache key."""
_manifests: dict[str, dict[str, Manifest | None]] = {}
"""The manifests that this process has read, by cache key and path. A written manifest never changes; an unreadable one,
stored as ``None``, is retried with the next listing."""
_judged: dict[str, dict[str, tuple[StoredObject, StoredObject]]] = {}
"""Objects of the listing with their manifests applied, by cache key and path: ten thousand take a second."""


def cached_objects() -> list[StoredObject]:
    """Return the listing without manifests, at most ``LISTING_CACHE_SECONDS`` old.

    The newest of each kind come first. Concurrent callers share one parallel call of rclone for each kind.

    :raises BackupError: the remote can't be listed.
    """
    key = cache_key("listing")

    def find() -> _Listing | None:
        own, stamp = _listed.get(key), site_cache.get(f"{key}.stamp")
        if not stamp or (own and own.stamp == stamp):
            return own if stamp else None
        entries = site_cache.get(key)
        return None if entries is None else _arrange(key, stamp, entries)

    listing = find() or once(key, find, functools.partial(_ask, key), seconds=PAGE_TIMEOUT + FAILURE_SECONDS)
    if isinstance(listing.found, BackupError):
        raise listing.found
    return listing.found


def _ask(key: str) -> _Listing:
    """List the remote, and cache the answer unless a newer one was requested meanwhile."""
    epoch, seconds = site_cache.get(f"{key}.epoch"), get_settings().listing_cache_seconds
    entries: list[list[Entry]] | BackupError
    try:
        entries = list_folders(get_catalogs(timeout=PAGE_TIMEOUT))
    except BackupError as error:
        entries, seconds = error, min(seconds, FAILURE_SECONDS)
    stamp = uuid.uuid4().hex
    listing = _arrange(key, stamp, entries)
    if seconds and site_cache.get(f"{key}.epoch") == epoch:
        site_cache.set_many({key: entries, f"{key}.stamp": stamp}, seconds)
    return listing


def _arrange(key: str, stamp: str, entries: list[list[Entry]] | BackupError) -> _Listing:
    """Turn a listing into objects, and discard what depends on an older listing."""
    found: list[StoredObject] | BackupError
    if isinstance(entries, BackupError):
        found = entries
    else:
        catalogs = get_catalogs(timeout=PAGE_TIMEOUT)
        found = [each for pair in zip(catalogs, entries, strict=True) for each in pair[0].arrange(pair[1])]
    _listed[key] = listing = _Listing(stamp=stamp, found=found)
    _judged.pop(cache_key("judged"), None)
    known = _manifests.get(cache_key("manifests"), {})
    for name in [name for name, manifest in known.items() if manifest is None]:
        del known[name]
    return listing


def with_manifests(objects: list[StoredObject]) -> list[StoredObject]:
    """Return the objects with their manifests; unread ones are read by one call for each kind.

    Long manifests come without their lists; see :func:`with_lists`.
    """
    known = _manifests.setdefault(cache_key("manifests"), {})
    judged = _judged.setdefault(cache_key("judged"), {})
    if any(each.has_manifest and each.path not in known for each in objects):
        with only_one(cache_key("manifests")):
            unread = {each.path: each for each in objects if each.has_manifest and each.path not in known}
            for each in inspect(get_catalogs(timeout=PAGE_TIMEOUT), [*unread.values()], thin=True):
                known[each.path], judged[each.path] = each.manifest, (unread[each.path], each)
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


def with_lists(objects: list[StoredObject]) -> list[StoredObject]:
    """Return the objects with complete manifests; long ones are read by one call for each kind."""
    thin = {each.path: each for each in objects if isinstance(each.manifest, ThinManifest)}
    if not thin:
        return objects
    unread = [dataclasses.replace(each, manifest=None) for each in thin.values()]
    whole = {each.path: each for each in inspect(get_catalogs(timeout=PAGE_TIMEOUT), unread)}
    return [whole.get(each.path, each) for each in objects]


def forget_listing() -> None:
    """Make the next page list the remote again, and discard a listing in progress."""
    _discard_listing()
    site_cache.delete_many([cache_key("remote")])
    _manifests.clear()
    _judged.clear()


def renew_listing(last_end: str) -> None:
    """Make the next page list the remote again, unless that was done since the last run ended.

    :param last_end: changes when a run ends. Needed because other processes can't clear a per-process cache.
    """
    key = cache_key("last_end")
    if site_cache.get(key) != last_end:
        _discard_listing()
        site_cache.set(key, last_end, None)


def _discard_listing() -> None:
    """Forget the cached listing, and do not cache one that has begun already: what is new may be missing there."""
    key = cache_key("listing")
    site_cache.set(f"{key}.epoch", uuid.uuid4().hex, None)
    site_cache.delete_many([key, f"{key}.stamp"])


def cache_key(what: str) -> str:
    """Return the cache key for data of the configured remote."""
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
