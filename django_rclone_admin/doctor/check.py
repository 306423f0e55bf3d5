"""The class of the doctor's checks, and the state that they share."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace

from django.core.exceptions import ImproperlyConfigured
from django.db import Error

from ..cached_listing import PAGE_TIMEOUT
from ..connectors.base import Connector
from ..connectors.registry import all_databases, get_connector, is_database
from ..core import findings
from ..core.catalog import Catalog, StoredObject
from ..core.features import Features, read_features
from ..core.findings import Finding
from ..core.probe import Step
from ..core.rclone import Rclone
from ..core.states import BACKUPS
from ..exceptions import BackupError, gettext_noop
from ..remote import get_catalogs, get_rclone, list_objects


class Site:
    """The examined site. Values that several checks need are queried once."""

    def __init__(self, *, notify: bool = False) -> None:
        self.notify = notify
        """Whether a test message is sent."""
        self.unreachable: set[str] = set()
        """Aliases whose databases do not answer."""
        self.trials: dict[str, dict[Step, BackupError | None]] = {}
        """Results of the probe, by folder of the remote."""

    @functools.cached_property
    def rclone(self) -> Rclone:
        """The client of the remote."""
        return get_rclone(timeout=PAGE_TIMEOUT)

    @functools.cached_property
    def features(self) -> Features:
        """The abilities of the remote."""
        return read_features(self.rclone)

    @functools.cached_property
    def catalogs(self) -> list[Catalog]:
        """The catalogs of the backups of databases and of media files."""
        return get_catalogs(timeout=PAGE_TIMEOUT)

    @functools.cached_property
    def backups(self) -> list[list[StoredObject]]:
        """The backups in each of the catalogs, newest first, without their manifests."""
        return [[each for each in found if each.state in BACKUPS] for found in list_objects(self.catalogs)]

    @functools.cached_property
    def newest(self) -> dict[str, StoredObject]:
        """The newest backup of each database, and of the media files, by name."""
        found: dict[str, StoredObject] = {}
        for listed in self.backups:
            for each in sorted(listed, key=lambda each: each.name, reverse=True):
                known = found.get(each.database)
                if known is None or (each.taken_at and known.taken_at and each.taken_at > known.taken_at):
                    found[each.database] = each
        return found

    @property
    def secrets(self) -> frozenset[str]:
        """Every string of the configuration that must not be shown."""
        found = set(self.rclone.secrets)
        for alias in all_databases():
            try:
                found |= get_connector(alias).secrets
            except (BackupError, ImproperlyConfigured):
                continue
        return frozenset(found)


@dataclass(frozen=True, slots=True, kw_only=True)
class Check:
    """A check with a stable id."""

    id: str
    title: str
    """The subject of the check, in a few words."""
    look: Callable[[Site], Iterable[Finding]]
    needs: tuple[str, ...] = ()
    """Checks of the same part that must pass first; otherwise this one is not checked."""


Look = Callable[[Site, Connector], Finding]


def each_database(look: Look) -> Callable[[Site], Iterator[Finding]]:
    """Return a function that checks one database after another; an error of one does not hide the others."""

    def look_at_all(site: Site) -> Iterator[Finding]:
        for alias in filter(is_database, all_databases()):
            yield replace(_look_at_one(look, site, alias), subject=alias)

    return look_at_all


def _look_at_one(look: Look, site: Site, alias: str) -> Finding:
    if alias in site.unreachable:
        return findings.unchecked(gettext_noop("The database can't be reached."), is_gap=True)
    try:
        return look(site, get_connector(alias))
    except BackupError as error:
        return findings.of_error(error)
    except (ImproperlyConfigured, Error) as error:
        return findings.failed(
            gettext_noop("This could not be checked: %(reason)s"),
            hint=gettext_noop("Check the settings of the database, and that its server is running."),
            reason=" ".join(str(error).split()),
        )
