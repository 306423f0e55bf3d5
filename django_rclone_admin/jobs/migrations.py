"""Compares the migrations of a database with those of the site's code, by the files of the code alone.

Django's graph of migrations can't be built when one refers to another that does not exist. A backup, and a restore in an
emergency, must not depend on that, nor on migrations that can be imported.
"""

from __future__ import annotations

import pkgutil
from collections import defaultdict
from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass, field
from importlib import import_module
from typing import Any

from django.db import connections
from django.db.migrations import Migration
from django.db.migrations.loader import MigrationLoader
from django.db.migrations.recorder import MigrationRecorder
from django.utils.translation import gettext as _

from ..core.printable import printable
from .history import APP

Key = tuple[str, str]
"""The label of an app, and the name of a migration."""
MOST = 100
"""Characters of a name in an error that are shown."""


@dataclass(frozen=True, slots=True)
class File:
    """What a migration of the code says about others."""

    needs: frozenset[Key]
    replaces: frozenset[Key]

    @classmethod
    def of(cls, migration: Migration) -> File:
        """Read a migration.

        :raises TypeError: it names others in a way that Django does not understand.
        """
        needs, replaces = frozenset(migration.dependencies), frozenset(migration.replaces)
        others: Iterable[Any] = needs | replaces
        for each in others:
            if not isinstance(each, tuple) or [isinstance(part, str) for part in each] != [True, True]:
                raise TypeError
        return cls(needs, replaces)


@dataclass(frozen=True, slots=True)
class Code:
    """The migrations of the site's code, without those of this app."""

    files: Mapping[Key, File] = field(default_factory=dict)
    problem: str = ""
    """Why they can't be read; ``files`` is empty then."""

    @classmethod
    def read(cls) -> Code:
        """Import the migrations of all apps."""
        loader = MigrationLoader(None, load=False)
        try:
            loader.load_disk()
            found = {key: File.of(each) for key, each in loader.disk_migrations.items() if key[0] != APP}
        except (Exception, SystemExit) as error:  # noqa: BLE001  (a module can raise anything)
            return cls(problem=_kind(error))
        return cls(found)

    @property
    def uncompared(self) -> str:
        """A sentence that says why nothing was compared; empty where it was."""
        if not self.problem:
            return ""
        return _(
            "The site's migrations can't be imported (%(problem)s), so they were not compared with those of the backup. "
            "“manage.py showmigrations” shows why."
        ) % {"problem": self.problem}

    def leaves(self, applied: Collection[Key]) -> dict[str, list[str]]:
        """Return of each app the applied migrations on which no other applied one of the app depends."""
        needed = {each for key in applied for each in self._before(key)}
        found: dict[str, list[str]] = {}
        for app, name in sorted(set(applied) - needed):
            found.setdefault(app, []).append(name)
        return found

    def compare(self, leaves: Mapping[str, Iterable[str]]) -> tuple[list[str], list[str]]:
        """Compare the applied migrations of a backup with those of the code.

        A squashed migration counts as applied when all that it replaces are, and they count when it is.

        :param leaves: the last applied migrations of each app.
        :returns: those that the code lacks, and those that the backup lacks, as ``app.name``; none where the code could
            not be read.
        """
        if self.problem:
            return [], []
        last, squashes = _keys(leaves), self._squashes()
        applied = self._with_earlier(last, squashes)
        unknown = last - self.files.keys() - squashes.keys()
        # “migrate” applies a squashed migration, or else those that it replaces, never both.
        left_out = {
            each
            for key, file in self.files.items()
            if file.replaces
            for each in ({key} if file.replaces & applied else file.replaces)
        }
        # If the code lacks an app's newest migrations, its older ones are unknown; then only the lacking ones are returned.
        behind = {app for app, _name in unknown} - {app for app, _name in last - unknown}
        missing = {key for key in self.files.keys() - applied - left_out if key[0] not in behind}
        return _named(unknown), _named(missing)

    def differences(self, recorded: Collection[Key], leaves: Mapping[str, Iterable[str]]) -> list[str]:
        """Return the migrations that a restored database has recorded and its manifest does not imply, or the reverse.

        The code may have changed since the backup was made. So a recorded migration is only known to be one too many
        when it comes after the last ones, of which one may come before another by now.

        :param leaves: the last applied migrations of each app, by the manifest.
        """
        last, after = _keys(leaves), defaultdict[Key, set[Key]](set)
        for key in self.files:
            for each in self._before(key):
                after[each].add(key)
        earlier = _all({each for key in last for each in self._before(key)}, self._before)
        later = _all({each for key in last - earlier for each in after[key]}, lambda key: after[key])
        unexpected = {key for key in recorded if key[0] not in leaves}
        return _named((last - set(recorded)) | (later & (set(recorded) - last)) | unexpected)

    def _before(self, key: Key) -> set[Key]:
        """Return what a migration depends on within its app."""
        return {each for each in self.files[key].needs if each[0] == key[0]} if key in self.files else set()

    def _squashes(self) -> dict[Key, set[Key]]:
        """Return the migrations that replace one, by that one."""
        found = defaultdict[Key, set[Key]](set)
        for key, file in self.files.items():
            for each in file.replaces:
                found[each].add(key)
        return dict(found)

    def _with_earlier(self, last: set[Key], squashes: Mapping[Key, set[Key]]) -> set[Key]:
        """Return the migrations that are applied when the last ones are."""
        waiting = {key: set(file.replaces) for key, file in self.files.items() if file.replaces}
        found: set[Key] = set()
        todo = set(last)
        while todo:
            key = todo.pop()
            found.add(key)
            if key in self.files:
                todo |= (self.files[key].needs | self.files[key].replaces) - found
            for squash in squashes.get(key, ()):
                if key not in self.files:  # its file was deleted: what it needed came before the squashed one
                    todo |= self.files[squash].needs - found
                waiting[squash].discard(key)
                if not waiting[squash] and squash not in found:
                    todo.add(squash)
        return found


def applied(alias: str) -> set[Key]:
    """Return the migrations that a database has recorded, without those of this app."""
    recorder = MigrationRecorder(connections[alias])
    return {key for key in recorder.applied_migrations() if key[0] != APP}


def own_names() -> list[str]:
    """Return the names of this app's migrations."""
    module, _is_explicit = MigrationLoader.migrations_module(APP)
    if module is None:  # the site has switched them off
        return []
    folders = getattr(import_module(module), "__path__", ())
    found = pkgutil.iter_modules(folders)
    return [each.name for each in found if not each.ispkg and each.name[0] not in "_~"]


def _kind(error: BaseException) -> str:
    """Return what kind of error it is. Its own words are not ours to show: they may contain a secret."""
    name = getattr(error, "name", None) if isinstance(error, ImportError) else None
    return printable(f"{type(error).__name__}{f': {name}'[:MOST] if isinstance(name, str) else ''}")


def _all(start: set[Key], following: Callable[[Key], set[Key]]) -> set[Key]:
    """Return these migrations, all that follow them, and so on."""
    found: set[Key] = set()
    while start:
        found |= start
        start = {each for key in start for each in following(key)} - found
    return found


def _keys(names: Mapping[str, Iterable[str]]) -> set[Key]:
    return {(app, name) for app, found in names.items() for name in found if app != APP}


def _named(keys: Iterable[Key]) -> list[str]:
    return sorted(".".join(key) for key in keys)
