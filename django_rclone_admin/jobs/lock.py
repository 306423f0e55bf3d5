"""The lock: at most one active run on a database. It is a unique column of the run history."""

from __future__ import annotations

import functools
import os
import socket
import time
from collections.abc import Callable
from datetime import timedelta
from typing import TypeVar

from django.db import IntegrityError, OperationalError, transaction
from django.utils import timezone

from .. import clock, wording
from ..core import identity
from ..exceptions import BackupError, gettext_noop
from ..executors import Executor
from ..models import beats
from ..models.runs import BackupRun, Status, is_run_id
from .history import database, has_table, is_locked
from .stale import is_gone, reap, watch_until_gone

T = TypeVar("T")

PATIENCE = 30.0
"""Seconds for which a run that begins keeps trying while SQLite's file is locked."""
PAUSE = 0.05


class RunInProgress(BackupError):
    """Another run has locked the database; ``run`` is that run, if it could be read."""

    exit_code = 3
    default_hint = gettext_noop(
        "Wait until it ends, or cancel it. Stale runs are detected and closed automatically."
    )

    def __init__(self, database: str, run: BackupRun | None) -> None:
        self.run = run
        if run is None:
            super().__init__(gettext_noop("“%(database)s” is locked by another run."), database=database)
            return
        super().__init__(
            gettext_noop(
                "“%(database)s” is locked by %(kind)s that started at %(since)s on %(host)s (process %(pid)s)%(who)s."
            ),
            database=database,
            kind=wording.a_run(run.kind),
            since=timezone.localtime(run.created_at).strftime("%Y-%m-%d %H:%M:%S %Z"),
            host=run.host or "?",
            pid=run.pid or "?",
            who=f", {run.requested_by}" if run.requested_by else "",
        )


def claim(run: BackupRun, *, wait: bool) -> None:
    """Insert the run as the only active one on its database.

    :param wait: if no clock can tell whether the process of another run is alive, watch its heartbeat. If other programs
        keep SQLite's file locked, keep trying.
    :raises RunInProgress: another run is active.
    """
    holder = None
    for _attempt in range(3):
        try:
            _patiently(functools.partial(_insert, run), PATIENCE if wait else 0)
        except IntegrityError:
            holder = BackupRun.objects.filter(lock=run.lock).first()
            if holder and not (watch_until_gone(holder) if wait else is_gone(holder)):
                break
            if holder:
                reap(holder)
        else:
            return
    raise RunInProgress(run.database or "media", holder)


def _insert(run: BackupRun) -> None:
    with transaction.atomic(using=database()):
        run.save(force_insert=True)


def _patiently(write: Callable[[], T], patience: float = PATIENCE) -> T:
    """Write to the history. A site that writes to SQLite without a break may keep its file locked for longer than its timeout."""
    deadline = time.monotonic() + patience
    while True:
        try:
            return write()
        except OperationalError as error:
            if time.monotonic() > deadline or not is_locked(error):
                raise
        time.sleep(PAUSE)


def begin(run: BackupRun, *, recorded: bool) -> None:
    """Mark a new run as running and insert it, if the table exists.

    :raises RunInProgress: another run is active on its database.
    """
    run.status, run.host, run.pid = Status.RUNNING, socket.gethostname(), os.getpid()
    # A restore into an empty database is recorded when it has created the table.
    lasted = clock.now() - run.started_at if run.started_at else timedelta()
    run.started_at = run.started_at or clock.now()
    if recorded:
        run.identity = _identity()
        run.heartbeat_at = beats.now(database())
        run.created_at = run.started_at = run.heartbeat_at - lasted
        claim(run, wait=True)


def enqueue(run: BackupRun, executor: Executor) -> None:
    """Insert a run that waits for an executor.

    Its row shows who writes its heartbeat until it starts: this process; no process, for a short time; or, without a
    heartbeat, a task queue, which may take long.

    :raises RunInProgress: another run is active on its database.
    """
    run.status, run.host = Status.QUEUED, socket.gethostname()
    # A started process is unknown before it begins, and ours may end first.
    run.pid = os.getpid() if executor.in_process else None
    run.identity, run.created_at = _identity(), beats.now(database())
    run.heartbeat_at = run.created_at if executor.in_process or executor.begins_at_once else None
    claim(run, wait=False)


def begin_queued(run_id: str) -> bool:
    """Mark a queued run as running; false if the run does not exist, or has left the queue."""
    if not is_run_id(run_id):
        return False
    now = beats.now(database())
    queued = BackupRun.objects.filter(pk=run_id, status=Status.QUEUED)
    begun = functools.partial(
        queued.update,
        status=Status.RUNNING,
        started_at=now,
        heartbeat_at=now,
        host=socket.gethostname(),
        pid=os.getpid(),
        identity=_identity(),
    )
    return _patiently(begun) == 1


def release(alias: str) -> None:
    """Close the run that has locked a database, if its process is dead."""
    if not has_table():
        return
    for run in BackupRun.objects.filter(lock=f"db:{alias}"):
        if run.is_active and watch_until_gone(run):
            reap(run)


def _identity() -> str | None:
    mine = identity.current()
    return str(mine) if mine else None
