"""Restore one database: all of it, or nothing."""

from __future__ import annotations

from pathlib import Path
from typing import IO

from django.db import connections
from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from .. import signals, wording
from ..connectors.base import Connector
from ..connectors.registry import get_connector
from ..engine.catalog import StoredObject
from ..engine.compression import Decompressor, Meter, Stage
from ..engine.files import FileSource
from ..engine.transfer import CommandSource, Sink, Source, transfer
from ..exceptions import BackupError
from ..exceptions import gettext_noop as noop
from ..models import BackupRun, Kind, Status, Trigger
from ..site import find_backup
from . import history, undo
from .backup import back_up
from .facts import ask
from .job import Job, carry_out
from .plan import choose_strategy, refuse, refuse_old_server

HALF_DONE = noop(
    "The database may hold a part of the backup now: this way of restoring is not all or nothing. "
    "Put back what was there with “dbrestore --undo”, or restore again."
)
HALF_DONE_UNSAFE = noop(
    "The database may hold a part of the backup now: this way of restoring is not all or nothing, and no backup was "
    "made before. Restore again."
)


def restore(job: Job, source: Path | IO[bytes] | None = None) -> str:
    """Replace the run's database by a backup from the remote, or by a local file or stream."""
    run = job.run
    connector = get_connector(run.database)
    connector.check_restore_options()
    strategy = choose_strategy(run.database, run.options.get("strategy"))
    backup = None
    if source is None:
        job.stage(_("Looking at the backup"))
        backup = find_backup(job.catalog, run.path)
        refuse(backup, connector, is_elsewhere=bool(run.options.get("elsewhere")))
        refuse_old_server(backup, connector, ask(connector))
        job.control.bytes_total = backup.size
        if backup.manifest is None:
            job.note(_("This backup has no manifest: nothing can be checked beforehand."))
    job.announce(signals.pre_db_restore, database=run.database, path=run.path)
    if run.options.get("safety_backup", True):
        _safety_backup(job, connector)
    strategy = _possible(job, connector, strategy)
    vanished = _load(job, connector, _source(job, backup, source), backup, strategy)
    connections[run.database].close()
    _put_history_right(job)
    _discard_older(job, connector)
    job.tell(signals.post_db_restore, database=run.database)
    for table in vanished:
        job.note(_("Removed the table %(table)s, which the backup does not know.") % {"table": table})
    return _success(run, backup, vanished)


def put_back(job: Job) -> str:
    """Put back what a restore replaced, where the server has kept it."""
    run = job.run
    connector = get_connector(run.database)
    job.announce(signals.pre_db_restore, database=run.database, path=run.path)
    job.stage(_("Putting back what was replaced"))
    connections[run.database].close()
    undo.remember(job, connector.name_to_keep())
    connector.put_back(run.options[undo.PUT_BACK], run.options[undo.KEPT])
    undo.forget(job)
    _put_history_right(job)
    job.tell(signals.post_db_restore, database=run.database)
    return _("“%(database)s” is again what it was before the restore.") % {"database": run.database}


def _possible(job: Job, connector: Connector, strategy: str) -> str:
    """Return the strategy, or the one that is always possible, and say why."""
    reason = connector.why_not(strategy)
    if not reason:
        return strategy
    job.note(f"{_(reason)} " + _("Restoring in place instead."))
    return "in_place"


def _source(job: Job, backup: StoredObject | None, file: Path | IO[bytes] | None) -> Source:
    if file is not None:
        return FileSource(file)
    assert backup is not None
    return CommandSource(job.catalog.rclone.download(backup.path))


def _load(
    job: Job, connector: Connector, source: Source, backup: StoredObject | None, strategy: str
) -> list[str]:
    """Stream the backup into the database; the last step of it is the commit."""
    manifest = backup.manifest if backup else None
    expected = Meter(size=backup.size if backup else None, sha256=manifest.sha256 if manifest else None)
    chosen: list[Sink] = []

    def choose(head: bytes) -> Sink:
        chosen.append(connector.sink(head, job.control, strategy))
        undo.remember(job, connector.kept(chosen[0]))
        return chosen[0]

    job.stage(_("Restoring"))
    raw = Meter()
    stages: list[Stage] = [expected, Decompressor(), raw]
    try:
        transfer(source, choose, stages=stages, control=job.control)
    except BaseException as error:
        if not chosen or not connector.is_half_done(chosen[0]):
            undo.forget(job)
        elif isinstance(error, BackupError):
            # Whoever raised it could not know what the sink has done with the bytes until then.
            error.hint_template = HALF_DONE if job.run.options.get(undo.SAFETY) else HALF_DONE_UNSAFE
        raise
    undo.forget(job)
    job.run.size, job.run.raw_size, job.run.sha256 = expected.size, raw.size, expected.sha256
    return connector.vanished(chosen[0])


def _safety_backup(job: Job, connector: Connector) -> None:
    """Back up what will be overwritten, as a run of its own under the lock of this one."""
    if not ask(connector).tables:
        job.note(_("The database is empty, so there is nothing to back up first."))
        return
    job.stage(_("Backing up what will be overwritten"))
    run = BackupRun(
        kind=Kind.DB_BACKUP,
        status=Status.RUNNING,
        database=job.run.database,
        trigger=Trigger.SAFETY,
        requested_by=job.run.requested_by,
        label=_("before the restore of %(name)s") % {"name": Path(job.run.path).name or _("a file")},
    )
    history.begin(run, recorded=job.recorded)
    carry_out(run, back_up, control=job.control)
    job.run.options[undo.SAFETY] = run.path
    job.note(run.message)
    job.control.bytes_done = 0


def _discard_older(job: Job, connector: Connector) -> None:
    """Give back the room of what an earlier restore kept, now that this one can be undone instead."""
    run = job.run
    mine = run.options.get(undo.KEPT)
    try:
        last = undo.last_restore(run.database)
        kept = last.options.get(undo.KEPT) if last else None
        if kept and kept != mine and (mine or run.options.get(undo.SAFETY)):
            connector.discard(kept)
    except Exception as error:  # noqa: BLE001  (the restore is committed)
        history.logger.warning("What an earlier restore kept could not be removed: %s", error)


def _put_history_right(job: Job) -> None:
    """Make our own tables whole; a restore into an empty database begins the history with itself."""
    run = job.run
    try:
        history.put_right(run.database)
    except Exception as error:  # noqa: BLE001  (the restore is committed: whatever is wrong now, it has succeeded)
        history.logger.warning("After the restore, the history could not be put right: %s", error)
        job.note(_("Run “manage.py migrate”: the tables of the backup history could not be put right."))
        return
    if not job.recorded and history.has_table():
        run.lock = f"db:{run.database}"
        history.begin(run, recorded=True)
        job.recorded = True


def _success(run: BackupRun, backup: StoredObject | None, vanished: list[str]) -> str:
    name = backup.name if backup else _("the file")
    message = _("Restored %(name)s into “%(database)s”, %(size)s.") % {
        "name": name,
        "database": run.database,
        "size": wording.size(run.raw_size),
    }
    if vanished:
        message += " " + ngettext(
            "Removed a table that the backup does not know: %(tables)s.",
            "Removed %(count)d tables that the backup does not know: %(tables)s.",
            len(vanished),
        ) % {"count": len(vanished), "tables": ", ".join(vanished)}
    return message
