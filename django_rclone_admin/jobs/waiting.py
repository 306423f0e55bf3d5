"""Writes heartbeats for runs that wait in this process for a free thread."""

from __future__ import annotations

import logging
import os
import threading
import time

from django.db import DatabaseError, connections
from django.utils.translation import gettext as _

from ..models import beats
from ..models.runs import BackupRun, BackupRunQuerySet, Status
from . import at_work, history, stale

logger = logging.getLogger("django_rclone_admin")

BEAT = 1.0
"""Seconds between two heartbeats."""


class Waiting:
    """The ids of the waiting runs, and a thread that exists while there are any."""

    def __init__(self) -> None:
        self.clear()

    def clear(self) -> None:
        """Forget all runs: after a fork they wait in the parent process."""
        at_work.waiting.clear()
        self._keeper: threading.Thread | None = None
        self._lock = threading.Lock()

    def add(self, run_id: str) -> None:
        """Start writing heartbeats for a queued run."""
        with self._lock:
            at_work.waiting.add(run_id)
            if self._keeper is None:
                self._keeper = threading.Thread(target=self._beat, name="waiting runs", daemon=True)
                self._keeper.start()

    def __bool__(self) -> bool:
        return bool(at_work.waiting)

    def remove(self, run_id: str) -> None:
        """Stop writing: the run has ended, or will not start. A started run writes its own heartbeats."""
        with self._lock:
            at_work.waiting.discard(run_id)

    def give_up(self) -> None:
        """At the end of the process, close every waiting run as not started, so that no other process starts it."""
        with self._lock:
            left = list(at_work.waiting)
            at_work.waiting.clear()
        if not left:
            return
        try:
            for run in _rows(left):
                stale.reap(run, _("The process in which it waited was shut down before it had begun."))
        except DatabaseError as error:  # the runs become stale instead
            logger.warning("The end of runs that had not begun could not be recorded: %s", error)

    def _beat(self) -> None:
        try:
            while True:
                time.sleep(BEAT)
                with self._lock:
                    if not at_work.waiting:
                        self._keeper = None
                        return
                    waiting = list(at_work.waiting)
                _write_beat(waiting)
        finally:
            connections.close_all()


def _write_beat(run_ids: list[str]) -> None:
    try:
        _rows(run_ids).update(heartbeat_at=beats.now(history.database()))
    except DatabaseError as error:  # busy, or being restored at this moment: the next beat will succeed
        logger.debug("A heartbeat was missed: %s", error)
        connections[history.database()].close()  # the server may have ended it


def _rows(run_ids: list[str]) -> BackupRunQuerySet:
    return BackupRun.objects.using(history.database()).filter(pk__in=run_ids, status=Status.QUEUED)


waiting = Waiting()
os.register_at_fork(after_in_child=waiting.clear)
