"""Replaces the live data with an opened backup: look, then switch."""

from __future__ import annotations

from django.db import connections
from django.utils.translation import gettext as _

from .. import signals
from ..connectors.base import Connector
from ..connectors.places import Places
from ..exceptions import BackupNotFound, HalfDone, OutcomeUnknown, RestoreRefused, gettext_noop
from ..models.opened import OpenedBackup
from . import aliases, history, undo
from .closing import close, is_over
from .job import Job
from .opening import find_places
from .options import RestoreOptions
from .restore import back_up_first, finish_restore


def put_live(job: Job) -> str:
    """Replace the run's database with an opened backup of it, all-or-nothing."""
    run, options = job.run, RestoreOptions.from_run(job.run)
    opened = OpenedBackup.objects.filter(pk=options.opened).first()
    if opened is None or is_over(opened):
        raise BackupNotFound(
            gettext_noop("The opened backup no longer exists."),
            hint=gettext_noop("Nothing was changed. Restore the backup itself, or open it again."),
        )
    connector, places = find_places(opened.server)
    refuse(opened, connector)
    job.send_vetoable(signals.pre_db_restore, database=run.database, path=run.path)
    if options.safety_backup:
        back_up_first(job, connector)
    vanished = _switch(job, connector, places, opened)
    job.success = _("The opened backup of %(name)s is live as “%(database)s” now.") % {
        "name": opened,
        "database": run.database,
    }
    close(opened)
    finish_restore(job, connector, vanished)
    return job.success


def refuse(opened: OpenedBackup, connector: Connector) -> None:
    """Refuse an opened backup that can't be put live.

    :raises RestoreRefused: it is on another server, or the live database can't be swapped.
    """
    if opened.server != opened.database:
        raise RestoreRefused(
            gettext_noop("The opened backup is on the server of “%(server)s”, so it can't be put live."),
            hint=gettext_noop("Nothing was changed. Restore the backup with “dbrestore” instead."),
            server=opened.server,
        )
    if reason := connector.why_not("swap"):
        raise RestoreRefused(
            gettext_noop("The opened backup can't be put live. %(reason)s"),
            hint=gettext_noop("Nothing was changed. Restore the backup with “dbrestore” instead."),
            reason=reason,
        )


def _switch(job: Job, connector: Connector, places: Places, opened: OpenedBackup) -> list[str]:
    """Put it live; return the dropped tables."""
    kept = connector.name_to_keep() if places.keeps else ""
    job.stage(_("Putting the opened backup live"))
    aliases.unregister(opened.alias)
    connections[job.run.database].close()
    undo.mark_unfinished(job, kept)
    job.control.confirm()
    job.control.has_committed = False  # it was set by the safety backup
    vanished: list[str] = []
    try:
        vanished = places.put_live(opened.place, kept, job.control)
    except (OutcomeUnknown, HalfDone):
        raise  # the mark stays: the outcome is unknown, or the error itself says what has changed
    except BaseException as error:
        if not (job.control.has_committed or (kept and connector.has_kept(kept))):
            undo.note(job.run, kept="")
            undo.clear_unfinished(job)
            raise
        history.logger.warning("The opened backup was already live when this happened: %r", error)
        if not isinstance(error, Exception):
            job.success = _("The opened backup is live as “%(database)s” now.") % {
                "database": job.run.database
            }
            undo.clear_unfinished(job)
            raise
    undo.clear_unfinished(job)
    return vanished
