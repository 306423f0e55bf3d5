"""The backup list of the pages: cached, and shared by the processes of the site through Django's cache."""

from __future__ import annotations

import dataclasses
import functools
import hashlib
import threading
import uuid
from collections import OrderedDict
from collections.abc import Callable, Hashable
from dataclasses import dataclass, field
from typing import Any, TypeVar

from .conf import get_settings
from .core.answers import Entry
from .core.catalog import StoredObject, judge
from .core.manifest import Manifest
from .core.many_manifests import Brief, ThinManifest
from .core.states import BACKUPS
from .exceptions import BackupError
from .remote import get_catalogs, has_media, inspect, list_folders, read_briefs
from .single_flight import once, only_one
from .site_cache import site_cache

FAILURE_SECONDS = 10
"""How long pages do not retry a remote that did not answer: each attempt may take until its time limit."""
PAGE_TIMEOUT = 30
"""Seconds that a page waits for the remote."""
FEW = 1000
"""So many manifests are kept as they are. Of more, read for one question, only the facts are kept."""
ANSWERS = 32
"""How many answers about a listing are kept."""

T = TypeVar("T")


class Answers:
    """The last answers to questions about one listing. Several threads may share it."""

    def __init__(self) -> None:
        self._known: OrderedDict[Hashable, Any] = OrderedDict()
        self._lock = threading.Lock()

    def find(self, question: Hashable, work: Callable[[], T]) -> T:
        """Return the answer to a question, found by ``work`` unless it is known. Nobody may change an answer."""
        answer: T
        with self._lock:
            if question in self._known:
                self._known.move_to_end(question)
                answer = self._known[question]
                return answer
        answer = work()
        with self._lock:
            self._known[question] = answer
            while len(self._known) > ANSWERS:
                self._known.popitem(last=False)
        return answer

    def forget(self) -> None:
        with self._lock:
            self._known.clear()


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Listing:
    """The parsed form of a listing, kept by this process because parsing takes time."""

    stamp: str
    """Identifies a listing, in all processes."""
    backups: list[StoredObject]
    """The newest of each kind first."""
    error: BackupError | None = None
    """Why the remote could not be listed."""
    answers: Answers = field(default_factory=Answers)
    _learned: set[str] = field(default_factory=set)
    _learning: threading.Lock = field(default_factory=threading.Lock)

    def learn(self, what: str, complete: Callable[[list[StoredObject]], list[StoredObject]]) -> None:
        """Complete the objects, unless that was done before.

        One thread at a time: each starts from what the others have learned. Answers are forgotten, so that they do not
        keep the objects that these replace.
        """
        if what in self._learned:
            return
        with self._learning:
            if what not in self._learned:
                self.backups[:] = complete(self.backups)
                self.answers.forget()
                self._learned.add(what)


_listed: dict[str, Listing] = {}
"""The last listing, by cache key."""
_manifests: dict[str, dict[str, Manifest | None]] = {}
"""The manifests that this process has read, by cache key and path. A written manifest never changes; an unreadable one,
stored as ``None``, is retried with the next listing."""
_briefs: dict[str, dict[str, Brief | None]] = {}
"""The same of those manifests that were too many to be kept."""


def get_listing() -> Listing:
    """Return the backups without manifests, by a listing that is at most ``LISTING_CACHE_SECONDS`` old.

    Concurrent callers share one parallel call of rclone for each kind.

    :raises BackupError: the remote can't be listed.
    """
    key = cache_key("listing")

    def find() -> Listing | None:
        own, stamp = _listed.get(key), site_cache.get(f"{key}.stamp")
        if not stamp or (own and own.stamp == stamp):
            return own if stamp else None
        packed = site_cache.get(key)
        if packed is None:
            return None
        return _arrange(key, stamp, packed if isinstance(packed, BackupError) else _unpack(packed))

    listing = find() or once(key, find, functools.partial(_ask, key), seconds=PAGE_TIMEOUT + FAILURE_SECONDS)
    if listing.error:
        raise listing.error
    return listing


def _ask(key: str) -> Listing:
    """List the remote, and cache the answer unless a newer one was requested meanwhile."""
    epoch, seconds = site_cache.get(f"{key}.epoch"), get_settings().listing_cache_seconds
    entries: list[list[Entry]] | BackupError
    try:
        entries = list_folders(get_catalogs(timeout=PAGE_TIMEOUT), times=False)
    except BackupError as error:
        entries, seconds = error, min(seconds, FAILURE_SECONDS)
    stamp = uuid.uuid4().hex
    listing = _arrange(key, stamp, entries)
    if seconds and site_cache.get(f"{key}.epoch") == epoch:
        packed = entries if isinstance(entries, BackupError) else _pack(entries)
        site_cache.set_many({key: packed, f"{key}.stamp": stamp}, seconds)
    return listing


def _pack(entries: list[list[Entry]]) -> list[tuple[list[str], list[int]]]:
    """Return the names and sizes of each folder: an entry takes ten times as long to put into a cache."""
    return [([each.name for each in own], [each.size for each in own]) for own in entries]


def _unpack(packed: list[tuple[list[str], list[int]]]) -> list[list[Entry]]:
    return [[Entry(*each, "") for each in zip(*columns, strict=True)] for columns in packed]


def _arrange(key: str, stamp: str, entries: list[list[Entry]] | BackupError) -> Listing:
    """Turn a listing into objects, and retry with it what could not be read."""
    if isinstance(entries, BackupError):
        listing = Listing(stamp=stamp, backups=[], error=entries)
    else:
        catalogs = get_catalogs(timeout=PAGE_TIMEOUT)
        found = [each for pair in zip(catalogs, entries, strict=True) for each in pair[0].arrange(pair[1])]
        listing = Listing(stamp=stamp, backups=[each for each in found if each.state in BACKUPS])
    _listed[key] = listing
    for known in (_manifests, _briefs):
        own: dict[str, Any] = known.get(cache_key("manifests"), {})
        for path in [path for path, manifest in own.items() if manifest is None]:
            del own[path]
    return listing


def with_manifests(objects: list[StoredObject]) -> list[StoredObject]:
    """Return the objects with their manifests; unread ones are read by one call for each kind.

    Long manifests come without their lists; see :func:`with_lists`.
    """
    known = _manifests.setdefault(cache_key("manifests"), {})
    if any(each.has_manifest and each.path not in known for each in objects):
        with only_one(cache_key("manifests")):
            unread = [each for each in objects if each.has_manifest and each.path not in known]
            found = inspect(get_catalogs(timeout=PAGE_TIMEOUT), unread, thin=True)
            known.update({each.path: each.manifest for each in found})
    return [
        judge(each, known.get(each.path)) if each.has_manifest and each.manifest is None else each
        for each in objects
    ]


def with_facts(objects: list[StoredObject]) -> list[StoredObject]:
    """Return the objects with the facts of their manifests, of which few or many are read by one call for each kind."""
    key = cache_key("manifests")
    known, briefs = _manifests.setdefault(key, {}), _briefs.setdefault(key, {})

    def find_unread() -> list[StoredObject]:
        unknown = [each for each in objects if each.has_manifest and each.known is None]
        return [each for each in unknown if each.path not in known and each.path not in briefs]

    if len(find_unread()) > FEW:
        with only_one(key):
            briefs.update(read_briefs(get_catalogs(timeout=PAGE_TIMEOUT), find_unread()))
    else:
        with_manifests(find_unread())
    return [
        judge(each, known.get(each.path) or briefs.get(each.path))
        if each.has_manifest and each.known is None
        else each
        for each in objects
    ]


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
    _briefs.clear()


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
