"""Compares the migrations of a database with those of the site's code, by the files of the code alone.

Django's graph of migrations can't be built when one refers to another that does not exist. A backup, and a restore in an
emergency, must not depend on that.
"""

from __future__ import annotations

import pkgutil
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field
from importlib import import_module

from django.db import connections
from django.db.migrations import Migration
from django.db.migrations.loader import MigrationLoader
from django.db.migrations.recorder import MigrationRecorder

from .history import APP

Key = tuple[str, str]
"""The label of an app, and the name of a migration."""


@dataclass(frozen=True, slots=True)
class Code:
    """The migrations of the site's code, without those of this app."""

    files: Mapping[Key, Migration] = field(default_factory=dict)
    problem: str = ""
    """Why they can't be read; ``files`` is empty then."""

    @classmethod
    def read(cls) -> Code:
        """Import the migrations of all apps."""
        loader = MigrationLoader(None, load=False)
        try:
            loader.load_disk()
        except Exception as error:  # noqa: BLE001 (importing a module can raise anything)
            return cls(problem=" ".join(f"{type(error).__name__}: {error}".split()))
        return cls({key: each for key, each in loader.disk_migrations.items() if key[0] != APP})

    def leaves(self, applied: Collection[Key]) -> dict[str, list[str]]:
        """Return of each app the applied migrations on which no other applied one of the app depends."""
        needed = {parent for key in applied for parent in self._parents(key) if parent[0] == key[0]}
        found: dict[str, list[str]] = {}
        for app, name in sorted(set(applied) - needed):
            found.setdefault(app, []).append(name)
        return found

    def compare(self, leaves: Mapping[str, Iterable[str]]) -> tuple[list[str], list[str]]:
        """Compare the applied migrations of a backup with those of the code.

        A squashed migration counts as applied when all that it replaces are, and they count when it is.

        :param leaves: the last applied migrations of each app.
        :returns: those that the code lacks, and those that the backup lacks, as ``app.name``.
        """
        last = _keys(leaves)
        replaced = {key: set(each.replaces) for key, each in self.files.items() if each.replaces}
        applied = self._with_earlier(last, replaced)
        unknown = last - self.files.keys() - set().union(*replaced.values())
        # “migrate” applies a squashed migration, or else those that it replaces, never both.
        left_out = {
            key
            for squashed, others in replaced.items()
            for key in ({squashed} if others & applied else others)
        }
        # If the code lacks an app's newest migrations, its older ones are unknown; then only the lacking ones are returned.
        behind = {app for app, _name in unknown}
        missing = {key for key in self.files.keys() - applied - left_out if key[0] not in behind}
        return _named(unknown), _named(missing)

    def differences(self, recorded: Collection[Key], leaves: Mapping[str, Iterable[str]]) -> list[str]:
        """Return the migrations that a restored database has recorded and its manifest does not imply, or the reverse.

        The code may have changed since the backup was made. So a recorded migration is only known to be one too many
        when it comes after one that was the last.

        :param leaves: the last applied migrations of each app, by the manifest.
        """
        last = _keys(leaves)
        later = {key for key in recorded if key not in last and self._earlier(key) & last}
        unexpected = {key for key in recorded if key[0] not in leaves}
        return _named((last - set(recorded)) | later | unexpected)

    def _with_earlier(self, last: set[Key], replaced: Mapping[Key, set[Key]]) -> set[Key]:
        found: set[Key] = set()
        todo = set(last)
        while todo:
            key = todo.pop()
            found.add(key)
            more = {*self._parents(key), *replaced.get(key, ())}
            more |= {squashed for squashed, others in replaced.items() if others <= found}
            todo |= more - found
        return found

    def _earlier(self, key: Key) -> set[Key]:
        """Return what a migration depends on within its app, however far back."""
        found: set[Key] = set()
        todo = {key}
        while todo:
            more = {parent for parent in self._parents(todo.pop()) if parent[0] == key[0]}
            todo |= more - found
            found |= more
        return found

    def _parents(self, key: Key) -> set[Key]:
        return set(self.files[key].dependencies) if key in self.files else set()


def applied(alias: str) -> set[Key]:
    """Return the migrations that a database has recorded, without those of this app."""
    recorder = MigrationRecorder(connections[alias])
    return {key for key in recorder.applied_migrations() if key[0] != APP}


def own_names() -> list[str]:
    """Return the names of this app's migrations."""
    module, _is_explicit = MigrationLoader.migrations_module(APP)
    if module is None:  # the site has switched them off
        return []
    return [
        each.name for each in pkgutil.iter_modules(import_module(module).__path__) if each.name[0] not in "_~"
    ]


def _keys(names: Mapping[str, Iterable[str]]) -> set[Key]:
    return {(app, name) for app, found in names.items() for name in found if app != APP}


def _named(keys: Iterable[Key]) -> list[str]:
    return sorted(".".join(key) for key in keys)
