"""The site's cache, for optional data: if the cache does not answer, nothing is cached and the work continues.

A cache that is down, or whose table does not exist yet, must not stop a backup or a restore.
"""

from __future__ import annotations

import logging
from contextlib import AbstractContextManager, nullcontext
from typing import Any

from django.core.cache import DEFAULT_CACHE_ALIAS, cache, caches
from django.core.cache.backends.db import BaseDatabaseCache
from django.db import router

from .savepoints import savepoint

logger = logging.getLogger("django_rclone_admin")


class SiteCache:
    """The subset of Django's cache API that is used here."""

    def __init__(self) -> None:
        self._is_told = False

    def get(self, key: str) -> Any:
        """Return a value; ``None`` if it is missing or the cache does not answer."""
        return self._ask("get", None, key)

    def set(self, key: str, value: Any, seconds: float | None) -> None:
        """Store a value; ``None`` seconds means no expiry."""
        self._ask("set", None, key, value, seconds)

    def set_many(self, values: dict[str, Any], seconds: float) -> None:
        """Store several values."""
        self._ask("set_many", None, values, seconds)

    def add(self, key: str, value: Any, seconds: float) -> bool:
        """Store a value unless one exists; return whether it was stored. True if the cache does not answer."""
        return bool(self._ask("add", True, key, value, seconds))

    def delete_many(self, keys: list[str]) -> None:
        """Forget values."""
        self._ask("delete_many", None, keys)

    def _ask(self, method: str, without: Any, *arguments: Any) -> Any:
        try:
            with _savepoint():
                return getattr(cache, method)(*arguments)
        except Exception as error:  # noqa: BLE001 (each cache backend raises its own errors)
            if not self._is_told:
                logger.warning("The cache does not answer, so the backup list is not cached: %s", error)
            self._is_told = True
            return without


def _savepoint() -> AbstractContextManager[Any]:
    """Return a context that keeps a failed query of a database cache from breaking the surrounding transaction."""
    backend = caches[DEFAULT_CACHE_ALIAS]
    if not isinstance(backend, BaseDatabaseCache):
        return nullcontext()
    return savepoint(router.db_for_write(backend.cache_model_class))


site_cache = SiteCache()
