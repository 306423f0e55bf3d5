"""Restores one database, all-or-nothing where the engine allows it."""

from __future__ import annotations

import functools
from pathlib import Path
from typing import IO

from django.db import DatabaseError, connections
from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from .. import signals, wording
from ..connectors.base import Connector
from ..connectors.registry import get_connector
from ..core.catalog import StoredObject
from ..core.files import FileSource
from ..core.transfer import CommandSource, Sink, Source
from ..exceptions import BackupError, HalfDone, OutcomeUnknown, gettext_noop
from ..models.runs import BackupRun, Kind, Origin, Status, Trigger
from ..remote import find_backup
from . import history, lock, undo
from .backup import back_up
from .facts import ask
from .job import Job, carry_out
from .loading import Loading
from .options import RestoreOptions, UndoNotes, UndoOptions
from .plan import choose_strategy, refuse, refuse_old_server
from .repair import repair

HALF_DONE = gettext_noop(
    "The database may hold a part of the backup now: this strategy is not all-or-nothing. "
    "Undo it with “dbrestore --undo”, or restore again."
)
HALF_DONE_UNSAFE = gettext_noop(
    "The database may hold a part of the backup now: this strategy is not all-or-nothing, and no backup was "
    "made before. Restore again."
)


def restore(job: Job, *, source: Path | IO[bytes] | None = None, backup: StoredObject | None = None) -> str:
    """Replace the run's database with a backup from the remote, or with a local file or stream.

    :param backup: the backup at ``run.path``, if the caller has just found it in the listing.
    """
    run = job.run
    options = RestoreOptions.from_run(run)
    connector = get_connector(run.database)
    connector.check_restore_options()
    strategy = choose_strategy(run.database, options.strategy)
    if source is None:
        job.stage(_("Looking at the backup"))
        backup = backup or find_backup(job.catalog, run.path)
        refuse(backup, connector, is_elsewhere=options.elsewhere)
        refuse_old_server(backup, connector, ask(connector))
        if backup.manifest and backup.manifest.trigger == Trigger.SAFETY:
            connector = get_connector(run.database, for_safety=True)  # a safety backup is restored completely
        if backup.manifest is None:
            job.note(_("This backup has no manifest: nothing can be checked beforehand."))
    job.send_vetoable(signals.pre_db_restore, database=run.database, path=run.path)
    if options.safety_backup:
        back_up_first(job, connector, has_listed=backup is not None)
    strategy = _possible(job, connector, strategy)
    finish_restore(job, connector, _load(job, connector, _source(job, backup, source), backup, strategy))
    return job.success


def finish_restore(job: Job, connector: Connector, vanished: list[str]) -> None:
    """Do what follows after the data was replaced.

    :param vanished: the dropped tables.
    """
    connections[job.run.database].close()
    _repair_history(job)
    _discard_older(job, connector)
    job.send_robust(signals.post_db_restore, database=job.run.database)
    for table in vanished:
        job.note(_("Dropped the table %(table)s, which is not in the backup.") % {"table": table})


def undo_by_kept(job: Job) -> str:
    """Undo a restore with the data that the server has kept."""
    run = job.run
    connector = get_connector(run.database)
    job.send_vetoable(signals.pre_db_restore, database=run.database, path=run.path)
    job.stage(_("Restoring the kept database"))
    connections[run.database].close()
    aside = connector.name_to_keep()
    undo.mark_unfinished(job, aside)
    job.control.confirm()
    interruption = None
    try:
        connector.put_back(UndoOptions.from_run(run).put_back, aside)
    except Exception:
        raise
    except BaseException as error:
        if not connector.has_kept(aside):
            raise
        interruption = error
    undo.clear_unfinished(job)
    job.success = _("“%(database)s” is again what it was before the restore.") % {"database": run.database}
    if interruption:
        raise interruption
    _repair_history(job)
    job.send_robust(signals.post_db_restore, database=run.database)
    return job.success


def _possible(job: Job, connector: Connector, strategy: str) -> str:
    """Return the strategy, or a possible one instead with a note. If none is possible, in place is tried."""
    reason = connector.why_not(strategy)
    if not reason:
        return strategy
    others = [each for each in connector.strategies if each != strategy and connector.is_atomic(each)]
    if strategy != "in_place":
        job.note(f"{_(reason)} " + _("Restoring in place instead."))
    elif other := next((each for each in others if not connector.why_not(each)), None):
        job.note(f"{_(reason)} " + _("Restoring by the strategy %(strategy)s instead.") % {"strategy": other})
        return other
    else:
        job.note(_(reason))
    return "in_place"


def _source(job: Job, backup: StoredObject | None, file: Path | IO[bytes] | None) -> Source:
    if file is not None:
        return FileSource(file)
    assert backup is not None
    return CommandSource(job.catalog.rclone.download(backup.path))


def _load(
    job: Job, connector: Connector, source: Source, backup: StoredObject | None, strategy: str
) -> list[str]:
    """Stream the backup into the database; the last step is the commit."""
    loading, chosen = Loading(backup), list[Sink]()

    def choose(head: bytes) -> Sink:
        chosen.append(connector.sink(head, job.control, strategy))
        undo.mark_unfinished(job, connector.kept(chosen[0]))
        return chosen[0]

    job.stage(_("Restoring"), then=_("Finishing the restore"))
    interruption = None
    try:
        loading.run(job, source, choose)
    except BaseException as error:
        if not (job.control.has_committed or _is_committed(connector, chosen)):
            _note_failure(job, connector, chosen, error)
            raise
        interruption = error
    undo.clear_unfinished(job)
    loading.record(job)
    vanished = connector.vanished(chosen[0])
    job.success = _success(job.run, backup, vanished)
    if interruption and not isinstance(interruption, Exception):
        raise interruption
    return vanished


def _is_committed(connector: Connector, chosen: list[Sink]) -> bool:
    """Whether the data was replaced before the error was raised."""
    if not chosen:
        return False
    try:
        return connector.is_committed(chosen[0])
    except (BackupError, DatabaseError):  # unknown, as the run will report
        return False


def _note_failure(job: Job, connector: Connector, chosen: list[Sink], error: BaseException) -> None:
    """Record what an uncommitted restore may have changed."""
    if not chosen or not connector.is_half_done(chosen[0]):
        undo.clear_unfinished(job)
    elif isinstance(error, BackupError) and not isinstance(error, OutcomeUnknown | HalfDone):
        # The code that raised the error could not know what the sink had already done.
        error.hint_template = HALF_DONE if UndoNotes.from_run(job.run).safety else HALF_DONE_UNSAFE


def back_up_first(job: Job, connector: Connector, *, has_listed: bool = False) -> None:
    """Back up the data that will be overwritten, as a separate run under the lock of this one.

    :param has_listed: the caller has just listed the backups on the remote.
    """
    if not ask(connector).tables:
        job.note(_("The database is empty, so it is not backed up first."))
        return
    job.stage(_("Making a safety backup"))
    run = BackupRun(
        kind=Kind.DB_BACKUP,
        status=Status.RUNNING,
        database=job.run.database,
        **Origin(trigger=Trigger.SAFETY, requested_by=job.run.requested_by).as_fields(
            _("before the restore of %(name)s") % {"name": Path(job.run.path).name or _("a file")}
        ),
    )
    lock.begin(run, recorded=job.recorded)
    carry_out(run, functools.partial(back_up, has_listed=has_listed), control=job.control)
    undo.note(job.run, safety=run.path)
    job.note(run.message)
    job.control.bytes_done = 0


def _discard_older(job: Job, connector: Connector) -> None:
    """Drop what an earlier restore kept, because this restore can be undone now."""
    run = job.run
    mine = UndoNotes.from_run(run)
    try:
        last = undo.last_restore(run.database)
        kept = UndoNotes.from_run(last).kept if last else ""
        if kept and kept != mine.kept and (mine.kept or mine.safety):
            job.control.confirm()
            connector.discard(kept)
    except Exception as error:  # noqa: BLE001  (the restore is committed)
        history.logger.warning("What an earlier restore kept could not be removed: %s", error)


def _repair_history(job: Job) -> None:
    """Repair our own tables; after a restore into an empty database, the history begins with this run."""
    run = job.run
    try:
        repair(run.database)
    except Exception as error:  # noqa: BLE001  (the restore is committed, so it has succeeded)
        history.logger.warning("After the restore, the run history could not be repaired: %s", error)
        job.note(_("Run “manage.py migrate”: the tables of the run history could not be repaired."))
        return
    if not job.recorded and history.has_table():
        run.lock = f"db:{run.database}"
        lock.begin(run, recorded=True)
        job.heart.recorded = True


def _success(run: BackupRun, backup: StoredObject | None, vanished: list[str]) -> str:
    name = backup.name if backup else _("the file")
    message = _("Restored %(name)s into “%(database)s”, %(size)s.") % {
        "name": name,
        "database": run.database,
        "size": wording.size(run.raw_size),
    }
    if vanished:
        message += " " + ngettext(
            "Dropped a table that is not in the backup: %(tables)s.",
            "Dropped %(count)d tables that are not in the backup: %(tables)s.",
            len(vanished),
        ) % {"count": len(vanished), "tables": ", ".join(vanished)}
    return message
