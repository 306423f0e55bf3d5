"""Opens a backup: restores it into a separate place, read-only and temporarily."""

from __future__ import annotations

import contextlib
import socket
import time
import uuid
from collections.abc import Callable, Iterator
from datetime import timedelta
from functools import partial

from django.db import DatabaseError
from django.utils.translation import gettext as _

from .. import clock, wording
from ..conf import get_settings
from ..connectors.base import Connector
from ..connectors.places import Places
from ..connectors.registry import get_connector
from ..core.catalog import StoredObject
from ..core.transfer import CommandSource, Sink
from ..exceptions import RestoreRefused, UsageError, gettext_noop
from ..models.opened import OpenedBackup
from ..remote import find_backup
from . import history
from .aliases import register
from .closing import close, site, sweep
from .facts import ask
from .job import Job
from .loading import Loading
from .options import OpenOptions
from .plan import refuse_incomplete, refuse_old_server, refuse_other_engine

MOST = 10
"""The largest number of simultaneously opened backups."""

Stream = Callable[[Callable[[bytes], Sink]], None]
"""Streams a backup into the sink that is chosen by its first bytes."""


def open_backup(
    job: Job,
    *,
    backup: StoredObject | None = None,
    process: str = "",
    found: list[OpenedBackup] | None = None,
) -> str:
    """Open the run's backup for everyone, until it expires.

    :param backup: the backup at ``run.path``, if the caller has just found it in the listing. A queued run looks for it
        only now: from now on it is being read, and can't be deleted.
    :param process: reserves it for this process, with whose end it is closed.
    :param found: receives the opened backup.
    """
    run = job.run
    if not (job.recorded or process):
        history.has_table(OpenedBackup, must_answer=True)
        raise UsageError(
            gettext_noop("The table of opened backups does not exist yet."),
            hint=gettext_noop("Nothing was changed. Run “manage.py migrate” first."),
        )
    backup = _look(job, backup or run.path)
    opened = _new(job, backup, number=run.pk)
    opened.process = process
    with _filled(job, opened, partial(_load, job, backup), counts_rows=True):
        if not process:
            _refuse_too_many()
    opened.run = None
    _save(job, opened)
    if found is not None:
        found.append(opened)
    return _("Opened %(name)s as “%(alias)s”, %(size)s.") % {
        "name": backup.name,
        "alias": opened.alias,
        "size": wording.size(run.raw_size),
    }


@contextlib.contextmanager
def opened_in(job: Job, backup: StoredObject, stream: Stream | None = None) -> Iterator[OpenedBackup]:
    """Open a backup for one run; it is closed at the end of the block, or when the run is stale.

    :param stream: streams it; by default it is downloaded and compared with its manifest.
    """
    backup = _look(job, backup)
    opened = _new(job, backup, number=uuid.uuid4())
    with _filled(job, opened, stream or partial(_load, job, backup)):
        pass
    try:
        yield opened
    finally:
        close(opened)


def _look(job: Job, backup: StoredObject | str) -> StoredObject:
    """Sweep, and find the backup, which can't be deleted from now on."""
    job.stage(_("Looking at the backup"))
    sweep([server_of(job.run.database)])
    return find_backup(job.catalog, backup) if isinstance(backup, str) else backup


def _new(job: Job, backup: StoredObject, number: uuid.UUID) -> OpenedBackup:
    """Return a new, unsaved opened backup.

    :raises BackupError: it can't be opened, or the space does not suffice.
    """
    refuse_incomplete(backup)
    server = server_of(backup.database)
    connector, places = find_places(server)
    refuse_other_engine(backup, connector)
    refuse_old_server(backup, connector, ask(connector))
    if reason := places.why_not():
        raise RestoreRefused(
            gettext_noop("“%(server)s” can't take an opened backup. %(reason)s"),
            hint=places.hint,
            server=server,
            reason=reason,
        )
    _refuse_full(places, backup)
    hours = OpenOptions.from_run(job.run).hours
    now = clock.now()
    return OpenedBackup(
        id=number,
        path=backup.path,
        database=backup.database,
        server=server,
        vendor=connector.vendor_name,
        place=places.name(site(), number.hex[:8]),
        host=socket.gethostname(),
        opened_at=now,
        expires_at=now + timedelta(hours=get_settings().open_hours if hours is None else hours),
        opened_by=job.run.requested_by,
        taken_at=backup.manifest.taken_at if backup.manifest else backup.taken_at,
        run=job.run.pk,
    )


@contextlib.contextmanager
def _filled(job: Job, opened: OpenedBackup, stream: Stream, *, counts_rows: bool = False) -> Iterator[None]:
    """Fill its place; after any failure, nothing is left. The block is executed once its row exists."""
    began = time.monotonic()
    _connector, places = find_places(opened.server)
    try:
        _save(job, opened)
        yield
        job.stage(_("Restoring into a separate place"), then=_("Building indexes"))
        stream(lambda head: places.sink(head, job.control, opened.place))
        register(opened, places)
        if counts_rows:
            job.stage(_("Counting rows"))
            opened.rows = places.rows(opened.place)
        job.control.check()
        opened.seconds = time.monotonic() - began
        _save(job, opened)
    except BaseException:
        close(opened)
        raise


def _load(job: Job, backup: StoredObject, choose: Callable[[bytes], Sink]) -> None:
    """Download a backup into a sink, and compare it with its manifest."""
    loading = Loading(backup)
    loading.run(job, CommandSource(job.catalog.rclone.download(backup.path)), choose)
    loading.record(job)


def server_of(database: str) -> str:
    """Return the alias whose server takes the opened backups of a database; see ``OPEN_ON``."""
    return get_settings().open_on.get(database, database)


def find_places(server: str) -> tuple[Connector, Places]:
    """Return the place of opened backups on the server of an alias.

    :raises RestoreRefused: its engine does not support them.
    """
    connector = get_connector(server)
    try:
        places = connector.places()
    except DatabaseError as error:
        raise RestoreRefused(
            gettext_noop("“%(server)s” can't be reached: %(reason)s"),
            hint=gettext_noop("Nothing was changed. Check that its database server is running."),
            server=server,
            reason=" ".join(str(error).split()),
        ) from error
    if places is None:
        raise RestoreRefused(
            gettext_noop("Backups of %(vendor)s can't be opened."),
            hint=gettext_noop("Nothing was changed. Restore it into another database with “dbrestore --to”."),
            vendor=connector.vendor_name,
        )
    return connector, places


def _refuse_full(places: Places, backup: StoredObject) -> None:
    free = places.free()
    needed = backup.manifest.raw_size if backup.manifest else backup.size
    if free is not None and free < needed:
        raise RestoreRefused(
            gettext_noop("The opened backup needs at least %(size)d bytes, but only %(free)d are free."),
            hint=gettext_noop("Nothing was changed. Free some space, or name another server in OPEN_ON."),
            size=needed,
            free=free,
        )


def _refuse_too_many() -> None:
    """Refuse one more opened backup. Its own row exists already, so that two concurrent runs can't both pass."""
    if OpenedBackup.objects.for_everybody().count() > MOST:
        raise RestoreRefused(
            gettext_noop("%(count)d backups are already open, which is the limit."),
            hint=gettext_noop(
                "Nothing was changed. Close one with “manage.py closebackup”; --list shows them."
            ),
            count=MOST,
        )


def _save(job: Job, opened: OpenedBackup) -> None:
    if job.recorded:
        job.heart.write(opened.save)
