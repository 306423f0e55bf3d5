"""Closes opened backups: expired ones, and those that killed processes left behind."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable
from typing import TypeVar

from django.db import DatabaseError, connections
from django.utils.crypto import salted_hmac

from .. import clock
from ..conf import get_settings
from ..connectors.registry import all_databases, get_connector, is_database
from ..core.identity import Identity
from ..exceptions import BackupError, ProgramFailed, gettext_noop
from ..models.opened import OpenedBackup
from . import aliases, history, stale

logger = logging.getLogger("django_rclone_admin")

T = TypeVar("T")


def site() -> str:
    """Return eight hex digits that identify this site: other sites may open backups on the same server."""
    database = connections[history.database()].settings_dict
    whose = "|".join(str(database.get(key, "")) for key in ("HOST", "PORT", "NAME"))
    return str(salted_hmac("django_rclone_admin.opened", whose, algorithm="sha256").hexdigest()[:8])


def close(opened: OpenedBackup) -> None:
    """Remove an opened backup: its place first, its row last.

    :raises BackupError: its server does not answer; the row stays then.
    """
    aliases.unregister(opened.alias)
    try:
        if places := get_connector(opened.server).places():
            places.drop(opened.place)
    except (DatabaseError, OSError) as error:
        raise ProgramFailed(
            gettext_noop("The opened backup “%(alias)s” could not be removed: %(reason)s"),
            hint=gettext_noop(
                "Check that its server is running; the next “closebackup --expired” tries again."
            ),
            alias=opened.alias,
            reason=" ".join(str(error).split()),
        ) from error
    if history.has_table(OpenedBackup):
        OpenedBackup.objects.filter(pk=opened.pk).delete()


def sweep(servers: Iterable[str] | None = None) -> list[OpenedBackup]:
    """Remove expired opened backups, and those that killed runs and processes left behind; return those that had a row.

    Failures are left for the next sweep.

    :param servers: aliases whose servers are searched for places without a row; by default all that may have some.
    """
    if not history.has_table(OpenedBackup):
        return []
    closed = [each for each in OpenedBackup.objects.all() if is_over(each) and _try(close, each)]
    usual = dict.fromkeys([*all_databases(), *get_settings().open_on.values()])
    for server in usual if servers is None else servers:
        if is_database(server):
            _try(_sweep_server, server)
    return closed


def _try(work: Callable[[T], object], what: T) -> bool:
    """Try something that the next sweep will retry; return whether it succeeded."""
    try:
        work(what)
    except (BackupError, DatabaseError, OSError) as error:
        logger.debug("Remains of opened backups could not be removed: %s", error)
        return False
    return True


def _sweep_server(server: str) -> None:
    """Drop the places of this site without a row. Places are listed before rows, so each listed place already had its
    row."""
    places = get_connector(server).places()
    if places is None:
        return
    there = places.names(site())
    # A server may change the case of names.
    known = {place.lower() for place in OpenedBackup.objects.values_list("place", flat=True)}
    for place in there:
        if place.lower() not in known:
            places.drop(place)


def is_over(opened: OpenedBackup) -> bool:
    """Whether an opened backup has expired, or the run or process that it is reserved for has ended."""
    if opened.expires_at <= clock.now():
        return True
    if opened.run and stale.is_over(str(opened.run)) is not False:
        return True
    process = Identity.parse(opened.process)
    return process is not None and bool(process.is_dead())
