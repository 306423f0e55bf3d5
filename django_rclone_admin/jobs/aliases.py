"""The Django aliases of opened backups: each process registers one when it first uses it."""

from __future__ import annotations

import threading
import weakref
from collections.abc import Mapping
from typing import Any

from django.core.signals import request_finished, request_started
from django.db import connections, router
from django.db.backends.base.base import BaseDatabaseWrapper
from django.db.backends.signals import connection_created

from ..connectors.places import Places
from ..connectors.read_only import Guard
from ..connectors.registry import OPENED
from ..models.opened import OpenedBackup

_lock = threading.Lock()
_of_thread = threading.local()


class OpenedBackupRouter:
    """Keeps objects of an opened backup in it. It comes before the routers of the site, which are then not asked.

    Otherwise objects read from the backup would be saved to the live database, and their relations read from there.
    """

    def db_for_read(self, model: Any, **hints: Any) -> str | None:
        return _alias_of(hints.get("instance"))

    db_for_write = db_for_read

    def allow_relation(self, one: Any, other: Any, **hints: Any) -> bool | None:
        aliases = _alias_of(one), _alias_of(other)
        return None if aliases == (None, None) else aliases[0] == aliases[1]

    def allow_migrate(self, db: str, app_label: str, **hints: Any) -> bool | None:
        return False if is_registered(db) else None


class Aliases(dict[str, Any]):
    """The settings of all aliases. Those of opened backups are found by name, and never listed.

    So "all databases" keeps its meaning, also for Django. The setting ``DATABASES`` stays unchanged.
    """

    def __init__(self, configured: Mapping[str, Any], opened: Mapping[str, Any]) -> None:
        super().__init__(configured)
        self.opened = opened

    def __contains__(self, alias: object) -> bool:
        return super().__contains__(alias) or alias in self.opened

    def __missing__(self, alias: str) -> Any:
        return self.opened[alias]


def register(opened: OpenedBackup, places: Places) -> str:
    """Register the alias of an opened backup in this process, and return it."""
    alias = opened.alias
    with _lock:
        if not any(isinstance(each, OpenedBackupRouter) for each in router.routers):
            router.routers.insert(0, OpenedBackupRouter())
        entry = {
            **places.settings(opened.place),
            "ATOMIC_REQUESTS": False,
            "AUTOCOMMIT": True,
            "CONN_MAX_AGE": 0,
            OPENED: places.read_only,
        }
        _set({**_opened(), alias: entry})
    return alias


def unregister(alias: str) -> None:
    """Unregister an alias, and close its connection in this thread."""
    if not is_registered(alias):
        return
    connections[alias].close()
    with _lock:
        del connections[alias]
        _set({key: entry for key, entry in _opened().items() if key != alias})


def is_registered(alias: str) -> bool:
    """Whether this process has registered this alias."""
    return alias in _opened()


def _opened() -> Mapping[str, Any]:
    return getattr(connections.settings, "opened", {})


def _set(opened: Mapping[str, Any]) -> None:
    """Replace the mapping of opened backups by a new one, because other threads may iterate over the old one."""
    if isinstance(connections.settings, Aliases):
        connections.settings.opened = opened
    else:
        connections.settings = Aliases(connections.settings, opened)


def _alias_of(instance: Any) -> str | None:
    """Return the alias of the opened backup that an object was read from."""
    alias = getattr(getattr(instance, "_state", None), "db", None)
    return alias if alias and is_registered(alias) else None


def _guard(sender: Any, connection: BaseDatabaseWrapper, **kwargs: Any) -> None:
    statements = connection.settings_dict.get(OPENED)
    if not statements:
        return
    guard = Guard(statements)
    guard.enforce(connection)
    if not any(isinstance(each, Guard) for each in connection.execute_wrappers):
        connection.execute_wrappers.insert(0, guard)
    _of_thread.__dict__.setdefault("connections", weakref.WeakSet()).add(connection)


def _close_old(**kwargs: Any) -> None:
    """Close the connections of this thread at the end of a request, as Django does for listed aliases."""
    for each in list(_of_thread.__dict__.get("connections", ())):
        each.close_if_unusable_or_obsolete()


connection_created.connect(_guard)
request_started.connect(_close_old)
request_finished.connect(_close_old)
