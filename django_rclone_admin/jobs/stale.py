"""Detects and closes stale runs: active runs whose process is dead."""

from __future__ import annotations

import contextlib
import logging
import time
import uuid
from collections.abc import Callable, Iterable, Iterator
from datetime import timedelta

from django.db import DatabaseError, connections, transaction
from django.utils.translation import gettext as _

from ..models import beats
from ..models.runs import ACTIVE, READERS, UNTAKEN_AFTER, BackupRun, Status
from .history import database, has_table
from .options import UndoNotes

logger = logging.getLogger("django_rclone_admin")

LOOK = 0.5
"""Seconds between two looks at a heartbeat of another machine."""


def reap(run: BackupRun, message: str = "") -> None:
    """Mark a run whose process is dead as interrupted, and release its lock.

    :param message: the reason; derived from the row by default.
    """
    why, hint = _cause_of_death(run)
    run.end(Status.INTERRUPTED, message or why, hint, at=beats.now(database()))
    run.write_log(run.message)
    # Only without a new heartbeat: the run itself or another process may have updated the row a moment ago.
    BackupRun.objects.filter(pk=run.pk, status__in=ACTIVE, heartbeat_at=run.heartbeat_at).update(
        status=run.status,
        message=run.message,
        hint=run.hint,
        log=run.log,
        lock=None,
        finished_at=run.finished_at,
    )


def _cause_of_death(run: BackupRun) -> tuple[str, str]:
    """Return a message for a dead run, as far as its row tells, and a hint."""
    if run.status == Status.RUNNING:
        hint = _("Run it again. What it left on the remote is removed by the next backup.")
        if run.kind in READERS:
            hint = _("Run it again. The next one removes what it left on the database server.")
        if UndoNotes.from_run(run).unfinished:
            hint = _("The restore may have been committed. Check the data before you run it again.")
        return _("The process stopped unexpectedly (killed, crashed or out of memory)."), hint
    if run.heartbeat_at:
        return _("The process in which it waited ended before it had begun."), _(
            "Nothing was done. Run it again."
        )
    return (
        _("No worker picked up this run within %(hours)d hours.")
        % {"hours": UNTAKEN_AFTER // timedelta(hours=1)},
        _("Nothing was done. Check that a worker of the task queue is running, then run it again."),
    )


def reap_stale() -> None:
    """Close stale runs. Pages call this: it neither raises nor waits for a lock."""
    try:
        gone = [run for run in BackupRun.objects.active().defer("log") if is_gone(run)]
    except DatabaseError as error:
        logger.debug("Stale runs could not be looked for: %s", error)
        return
    if gone:
        outside_request(lambda: _reap_all(gone))


def outside_request(write: Callable[[], None]) -> None:
    """Write to the history after the request's transaction, if there is one: a failed write must not break it."""
    connection = connections[database()]
    if connection.in_atomic_block and connection.settings_dict["ATOMIC_REQUESTS"]:
        transaction.on_commit(write, using=connection.alias, robust=True)
    else:
        write()


def _reap_all(runs: Iterable[BackupRun]) -> None:
    alias = database()
    try:
        with without_waiting(alias), transaction.atomic(using=alias):
            for run in runs:
                reap(run)
    except DatabaseError as error:  # the table is locked: the next look will retry
        logger.debug("Stale runs could not be closed: %s", error)


@contextlib.contextmanager
def without_waiting(alias: str) -> Iterator[None]:
    """Make SQLite give up at once when its file is locked."""
    connection = connections[alias]
    if connection.vendor != "sqlite":
        yield
        return
    with connection.cursor() as cursor:
        cursor.execute("PRAGMA busy_timeout")
        (usual,) = cursor.fetchone()
        cursor.execute("PRAGMA busy_timeout = 0")
    try:
        yield
    finally:
        with connection.cursor() as cursor:
            cursor.execute(f"PRAGMA busy_timeout = {int(usual)}")


def is_over(run_id: str) -> bool | None:
    """Whether a run has ended, by its id; ``None`` for an unknown run."""
    if not has_table():
        return None
    try:
        run = BackupRun.objects.filter(pk=uuid.UUID(run_id)).first()
    except (ValueError, DatabaseError):
        return None
    if run is None:
        return None
    if run.is_active and is_gone(run):  # a part of another run, such as a safety backup, does not lock
        reap(run)
        return True
    return not run.is_active


def is_gone(run: BackupRun) -> bool:
    """Whether a run has ended or its process is dead, as far as known without waiting.

    A process number alone proves nothing: it may come from another container with the same host name. So a process is
    looked up only if its identity shows that this process could see it.
    """
    return not run.is_active or bool(run.is_dead()) or run.is_silent(database())


def watch_until_gone(run: BackupRun) -> bool:
    """Like :func:`is_gone`, but watch for the next heartbeat where no clock tells the age of the last one."""
    while not is_gone(run):
        if beats.is_comparable(run.process, database()):
            return False
        seen = run.heartbeat_at
        time.sleep(LOOK)
        run.refresh_from_db()
        if run.heartbeat_at != seen:
            return not run.is_active
    return True
