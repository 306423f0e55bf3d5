"""The heartbeat of a run: it shows that the run is alive, receives requests to stop, and acts as the run's fence."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable
from concurrent.futures import Future, wait
from math import inf
from types import TracebackType
from typing import Any, Self, TypeVar

from django.db import DatabaseError, OperationalError, connections

from ..conf import get_settings
from ..core.control import Control
from ..exceptions import Cancelled, Interrupted, LockLost, gettext_noop
from ..models import beats
from ..models.runs import BackupRun, BackupRunQuerySet, Status
from .history import database, is_locked
from .history_thread import HistoryThread

logger = logging.getLogger("django_rclone_admin")

TICK, BEAT = 0.25, 1.0
"""Seconds between two updates of the progress, and between heartbeats."""
LEASE = 0.75
"""The fraction of ``STALE_AFTER`` after which a run without heartbeats stops itself, before others take over."""
ASLEEP = 1.5
"""An interval between two beats that shows that the process was frozen."""
HANGING_SECONDS = 10.0
"""Time limit of a write to the history; then it is retried with a new connection."""
PATIENCE = 10.0
"""How long the work waits for an answer of the history."""
STOPPED_PATIENCE = 3.0
"""The same after a request to stop."""
LOOK = 0.1
"""Seconds between two looks for a request to stop while the work waits for an answer."""

T = TypeVar("T")


class Heart:
    """Writes the heartbeats and the row of one run while its work is done.

    :param run: a running run.
    :param look: copies the progress into the run; called a few times a second.
    """

    def __init__(self, run: BackupRun, control: Control, look: Callable[[], None], *, recorded: bool) -> None:
        self._run, self._control, self._look = run, control, look
        self.recorded = recorded
        self._alias = database()
        # An uncommitted row can't be taken over by others, nor written by another connection.
        self._is_private = recorded and connections[self._alias].in_atomic_block
        self._thread: HistoryThread | None = None
        self._pending: Future[None] | None = None
        self._renewed_at = self._ticked_at = time.monotonic()
        self._woke_at = -inf
        self._is_locked_out = False
        self._done = threading.Event()
        self._pulse = threading.Thread(target=self._beat_until_done, name="heartbeat", daemon=True)

    def __enter__(self) -> Self:
        self._pulse.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """End the heartbeats; the row can still be written, until :meth:`close`."""
        self._done.set()
        self._pulse.join(STOPPED_PATIENCE)

    def close(self) -> None:
        """Close the connection."""
        if self._thread:
            self._thread.close(STOPPED_PATIENCE)

    # -- calls by the work ----------------------------------------------------------------------------------------

    def is_due(self) -> bool:
        """Whether the last heartbeat is so old that the process must have been frozen."""
        return self._is_watched and not self._is_locked_out and self._age > self._limit

    def confirm(self) -> None:
        """Write a heartbeat and wait for the result.

        :raises BackupError: the run was closed, or the history does not answer.
        """
        if not self._is_watched:
            return
        deadline = time.monotonic() + PATIENCE
        while True:
            asked = self._submit(self._beat)
            problem = self._wait(asked, deadline)
            if problem is None:
                return
            if time.monotonic() > deadline:
                self._control.stop(
                    Interrupted(
                        gettext_noop("The run history did not answer, so the run was stopped: %(reason)s"),
                        hint=gettext_noop("Check the database that holds the run history, then try again."),
                        reason=problem,
                    )
                )
            self._control.raise_if_stopped()
            time.sleep(LOOK)

    def write(self, save: Callable[[], T]) -> T:
        """Write to the row and wait for the result.

        :raises django.db.Error: the write failed.
        """
        if self._is_private:
            return save()
        deadline = time.monotonic() + (STOPPED_PATIENCE if self._control.is_stopped else PATIENCE)
        while True:
            answer = self._submit(save)
            while not _has_come(answer) and time.monotonic() < deadline:
                pass
            if not answer.done():
                self._history.break_off()
                raise OperationalError("The database does not answer.")
            error = answer.exception()
            if not (error and is_locked(error)) or time.monotonic() > deadline:
                return answer.result()
            time.sleep(LOOK)

    # -- the heartbeat thread -------------------------------------------------------------------------------------

    def _beat_until_done(self) -> None:
        asked_at, is_broken = 0.0, False
        while not self._done.wait(TICK):
            self._notice_sleep()
            try:
                self._look()
            except Exception:
                if not is_broken:
                    logger.exception("The progress of a run could not be shown")
                is_broken = True
            if not self._is_watched:
                continue
            if self._pending is None or self._pending.done():
                if time.monotonic() - asked_at >= BEAT:
                    asked_at = time.monotonic()
                    self._pending = self._submit(self._beat)
            elif self._history.busy_seconds > HANGING_SECONDS:
                self._history.break_off()
            self._stop_when_late()

    def _notice_sleep(self) -> None:
        """Detect whether this process was frozen: then it must ask first, instead of being stopped as late."""
        now = time.monotonic()
        if now - self._ticked_at > ASLEEP:
            self._woke_at = now
        self._ticked_at = now

    def _stop_when_late(self) -> None:
        """Stop the work before others may treat it as stale."""
        if self._is_locked_out or self._age < self._limit:
            return
        if time.monotonic() - self._woke_at < STOPPED_PATIENCE:
            return
        self._control.stop(
            Interrupted(
                gettext_noop("The run history could not be written for %(seconds)d seconds."),
                hint=gettext_noop("Check the database that holds the run history, then try again."),
                seconds=self._age,
            )
        )

    @property
    def _is_watched(self) -> bool:
        return self.recorded and not self._is_private

    @property
    def _age(self) -> float:
        return time.monotonic() - self._renewed_at

    @property
    def _limit(self) -> float:
        return LEASE * get_settings().stale_after

    @property
    def _history(self) -> HistoryThread:
        if self._thread is None:
            self._thread = HistoryThread(self._alias)
        return self._thread

    def _submit(self, call: Callable[[], T]) -> Future[T]:
        return self._history.submit(call)

    def _wait(self, asked: Future[None], deadline: float) -> str | None:
        """Wait for the answer; return the problem, if any."""
        while not _has_come(asked):
            self._control.raise_if_stopped()
            if time.monotonic() > deadline:
                self._history.break_off()
                return "no answer"
        error = asked.exception()
        if error is None or isinstance(error, DatabaseError):
            return " ".join(str(error).split()) if error else None
        raise error

    # -- in the thread of the history -----------------------------------------------------------------------------

    def _beat(self) -> None:
        """Write a heartbeat; stop the work if another process has closed the run."""
        if self._run.finished_at is not None:
            return  # requested before the end, executed after it
        run, began = self._run, time.monotonic()
        try:
            is_ours = self._renew()
        except DatabaseError as error:
            self._is_locked_out = is_locked(error)
            logger.debug("A heartbeat was missed: %s", error)
            raise
        if not is_ours:
            self._control.stop(LockLost())
            return
        self._renewed_at, self._is_locked_out = began, False
        if run.cancel_requested_at:
            self._control.stop(Cancelled(gettext_noop("The run was cancelled.")))

    def _renew(self) -> bool:
        """Write the heartbeat; return whether the row says that the run is active.

        :raises DatabaseError: the row is missing. This counts as no answer: a swap of the history's database may bring
            it a moment later; if it was deleted, other runs may have started, and ended, since.
        """
        run, row = self._run, self._row
        run.heartbeat_at = beats.now(self._alias)
        changed = row.filter(status=Status.RUNNING).update(
            heartbeat_at=run.heartbeat_at,
            bytes_done=run.bytes_done,
            bytes_total=run.bytes_total,
            message=run.message,
            log=run.log,
        )
        found = row.values_list("cancel_requested_at").first()
        if found is None:
            raise DatabaseError("the row of the run is gone")
        (run.cancel_requested_at,) = found
        return bool(changed)

    @property
    def _row(self) -> BackupRunQuerySet:
        return BackupRun.objects.using(self._alias).filter(pk=self._run.pk)


def _has_come(answer: Future[Any]) -> bool:
    """Wait a moment for an answer of the history; true as soon as it is there."""
    return bool(wait([answer], LOOK).done)
