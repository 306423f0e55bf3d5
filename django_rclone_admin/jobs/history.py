"""The run history as a table: is it there, who holds a database, and is it well after a restore."""

from __future__ import annotations

import logging
import os
import socket
import time
import uuid
from datetime import timedelta

from django.db import (
    DatabaseError,
    IntegrityError,
    InterfaceError,
    OperationalError,
    connections,
    router,
    transaction,
)
from django.db.migrations.loader import MigrationLoader
from django.db.migrations.recorder import MigrationRecorder
from django.utils import timezone
from django.utils.translation import gettext as _

from ..exceptions import BackupError, gettext_noop
from ..executors import Executor
from ..models import UNFINISHED, UNTAKEN_AFTER, BackupRun, Kind, Status
from .facts import unreachable

logger = logging.getLogger("django_rclone_admin")

APP = "django_rclone_admin"
PULSE = 3.0
"""Seconds: a live run of this host writes its heartbeat more often than this."""


class RunInProgress(BackupError):
    """Another run holds the database; ``run`` is that run, if it still could be read."""

    exit_code = 3
    default_hint = gettext_noop(
        "Wait until it ends, or cancel it. A run whose process died is cleared by itself."
    )

    def __init__(self, database: str, run: BackupRun | None) -> None:
        self.run = run
        if run is None:
            super().__init__(gettext_noop("Another run holds “%(database)s”."), database=database)
            return
        super().__init__(
            gettext_noop(
                "“%(database)s” is held by a %(kind)s since %(since)s on %(host)s (process %(pid)s)%(who)s."
            ),
            database=database,
            kind=str(run.get_kind_display()),
            since=timezone.localtime(run.created_at).strftime("%Y-%m-%d %H:%M:%S %Z"),
            host=run.host or "?",
            pid=run.pid or "?",
            who=f", {run.requested_by}" if run.requested_by else "",
        )


def database() -> str:
    """Return the alias of the database that holds the history."""
    return router.db_for_write(BackupRun)


def has_table(alias: str | None = None) -> bool:
    """Whether runs can be recorded. They can't on a new server, and work must go on all the same."""
    connection = connections[alias or database()]
    try:
        return BackupRun._meta.db_table in connection.introspection.table_names()
    except DatabaseError:
        return False


def will_record(run: BackupRun) -> bool:
    """Whether a run is going to be recorded; where it is not, the log says why.

    :raises ProgramFailed: the history is in the database that the run is about, and that can't be reached.
    """
    alias = database()
    try:
        if BackupRun._meta.db_table in connections[alias].introspection.table_names():
            return True
    except DatabaseError as error:
        told = unreachable(alias, error)
        is_gone = isinstance(error, OperationalError | InterfaceError)
        if is_gone and run.database == alias and run.kind in (Kind.DB_BACKUP, Kind.DB_RESTORE):
            raise told from error
        logger.warning("The run is not recorded, and locks out no other: %s", told)
        return False
    logger.warning(
        "The run is not recorded: the history has no table in “%s” yet. Run “manage.py migrate”.", alias
    )
    return False


def claim(run: BackupRun) -> None:
    """Insert the run as the only active one on its database.

    :raises RunInProgress: another one is active.
    """
    holder = None
    for _attempt in range(3):
        try:
            with transaction.atomic(using=database()):
                run.save(force_insert=True)
        except IntegrityError:
            holder = BackupRun.objects.filter(lock=run.lock).first()
            if holder and not _is_gone(holder):
                break
            if holder:
                reap(holder)
        else:
            return
    raise RunInProgress(run.database or "media", holder)


def begin(run: BackupRun, *, recorded: bool) -> None:
    """Mark a new run as working and, if there is a table, insert it.

    :raises RunInProgress: another run is active on its database.
    """
    run.status, run.started_at = Status.RUNNING, run.started_at or timezone.now()
    run.host, run.pid, run.heartbeat_at = socket.gethostname(), os.getpid(), timezone.now()
    if recorded:
        claim(run)


def enqueue(run: BackupRun, executor: Executor) -> None:
    """Insert a run that waits for an executor.

    Who gives signs of life for it until it begins is in the row: our process; nobody, but not for long; or, without any
    heartbeat, a queue of tasks, which may be long.

    :raises RunInProgress: another run is active on its database.
    """
    run.status, run.host = Status.QUEUED, socket.gethostname()
    # Of a process that we start, nobody knows before it begins, and ours may well end first.
    run.pid = os.getpid() if executor.in_process else None
    run.heartbeat_at = timezone.now() if executor.in_process or executor.begins_at_once else None
    claim(run)


def begin_queued(run_id: str) -> bool:
    """Mark a queued run as working; false when there is no such run, or when it is not queued any more."""
    try:
        uuid.UUID(run_id)
    except ValueError:
        return False
    now = timezone.now()
    changed = BackupRun.objects.filter(pk=run_id, status=Status.QUEUED).update(
        status=Status.RUNNING, started_at=now, heartbeat_at=now, host=socket.gethostname(), pid=os.getpid()
    )
    return changed == 1


def reap(run: BackupRun, message: str = "") -> None:
    """Mark a run whose process is gone as interrupted, and free its lock.

    :param message: why; what is known from the row by default.
    """
    why, hint = _cause_of_death(run)
    run.end(Status.INTERRUPTED, message or why, hint)
    run.write_log(run.message)
    # Only if it has not beaten since: it may have been written a moment ago, by itself or by another reaper.
    BackupRun.objects.filter(
        pk=run.pk, status__in=[Status.QUEUED, Status.RUNNING], heartbeat_at=run.heartbeat_at
    ).update(
        status=run.status,
        message=run.message,
        hint=run.hint,
        log=run.log,
        lock=None,
        finished_at=run.finished_at,
    )


def _cause_of_death(run: BackupRun) -> tuple[str, str]:
    """Return as much as the row of a dead run tells, and a hint."""
    if run.status == Status.RUNNING:
        hint = _("Run it again. What it left on the remote is removed by the next backup.")
        if run.options.get(UNFINISHED):
            hint = _("The restore may have happened: see what the database holds before you run it again.")
        return _("The process that worked on it ended without a word."), hint
    if run.heartbeat_at:
        return _("The process in which it waited ended before it had begun."), _(
            "Nothing was done. Run it again."
        )
    return (
        _("No worker has begun it within %(hours)d hours.") % {"hours": UNTAKEN_AFTER // timedelta(hours=1)},
        _("Nothing was done. See that a worker of the task queue runs, then run it again."),
    )


def release(alias: str) -> None:
    """Mark the run that holds a database as interrupted, if its process is gone; this may take a heartbeat's time."""
    if not has_table():
        return
    for run in BackupRun.objects.filter(lock=f"db:{alias}"):
        if run.is_active and _is_gone(run):
            reap(run)


def reap_stale() -> None:
    """Mark all runs whose heart stopped; called by whoever looks at the history."""
    for run in BackupRun.objects.stale():
        reap(run)


def is_over(run_id: str) -> bool | None:
    """Whether a run has ended, by its id; ``None`` when nothing is known of it."""
    if not has_table():
        return None
    try:
        run = BackupRun.objects.filter(pk=uuid.UUID(run_id)).first()
    except (ValueError, DatabaseError):
        return None
    if run is None:
        return None
    if run.is_active and _is_gone(run):  # a part of another run, such as a safety backup, holds no lock
        reap(run)
        return True
    return not run.is_active


def _is_gone(run: BackupRun) -> bool:
    """Whether the holder of a lock has ended, or its process has.

    A dead process of this host is certain only after a heartbeat's time: the number may come from another container
    that shares our host name. So wait for one more beat.
    """
    if not run.is_active:
        return True
    if BackupRun.objects.stale().filter(pk=run.pk).exists():
        return True
    if run.host != socket.gethostname() or run.pid is None or _process_exists(run.pid):
        return False
    assert run.heartbeat_at is not None
    seen = run.heartbeat_at
    while timezone.now() - seen < timedelta(seconds=PULSE):
        time.sleep(0.2)
        run.refresh_from_db()
        if run.heartbeat_at != seen or not run.is_active:
            return not run.is_active
    return True


def _process_exists(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except OSError:
        return True
    return True


def put_right(alias: str) -> None:
    """After a restore: create our tables if they are missing, and have ``django_migrations`` say that they are there.

    A backup never carries the history, and may be older than this app; ``migrate`` must work in both cases.
    """
    connection = connections[alias]
    recorder = MigrationRecorder(connection)
    ours = [name for app, name in MigrationLoader(None).disk_migrations if app == APP]
    recorded = {name for app, name in recorder.applied_migrations() if app == APP}
    if alias != database() and not recorded:
        return
    if not router.allow_migrate_model(alias, BackupRun):
        return
    if not has_table(alias):
        with connection.schema_editor() as editor:
            editor.create_model(BackupRun)
    recorder.ensure_schema()
    for name in sorted(set(ours) - recorded):
        recorder.record_applied(APP, name)
