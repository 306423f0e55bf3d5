"""A service that carries out schedules at their times."""

from __future__ import annotations

import logging
import signal
import threading
import time
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from datetime import timedelta
from types import FrameType

from django.db import DatabaseError, close_old_connections, connections

from .. import api, clock
from ..exceptions import Interrupted, gettext_noop
from ..models.schedules import BackupSchedule
from .passes import Outcome, begin_pass, due_keys, run_one

logger = logging.getLogger("django_rclone_admin")

AT_ONCE = 4
"""How many schedules are carried out at the same time: a check of hours must not delay the hourly backup."""
LOOK_AGAIN = 30.0
"""Seconds after which the schedules are read again at the latest: somebody may have edited one."""
STEP = 1.0
"""The longest time in seconds until a signal is handled."""
LAST_LOOK = 2.0
"""How long the end of the loop waits for a look at the health."""
JUDGE_AGAIN = 300.0
"""Seconds between two looks at the health of the site."""


class Loop:
    """A service process. Any number of them may run, on any number of hosts.

    :param report: called with each outcome, from the threads of the work.
    :param complain: called with a sentence when the database of the schedules stops answering.
    """

    def __init__(self, report: Callable[[Outcome], None], complain: Callable[[str], None]) -> None:
        self._report, self._complain = report, complain
        self._stop = threading.Event()
        self._working: dict[int, Future[None]] = {}
        self._refused: dict[int, str] = {}
        self._is_down = False
        self._health: threading.Thread | None = None
        self._judged_at = float("-inf")

    def run(self) -> None:
        """Work until a signal ends the service; active runs are stopped then, and left to the next pass."""
        previous = {number: signal.signal(number, _end) for number in (signal.SIGTERM, signal.SIGINT)}
        executor = ThreadPoolExecutor(AT_ONCE, thread_name_prefix="schedule")
        try:
            while True:
                self._look(executor)
                self._rest(self._pause())
        except KeyboardInterrupt:
            for number in previous:
                signal.signal(number, signal.SIG_IGN)  # the service is already ending
        finally:
            self._stop.set()
            api.stop_all(Interrupted(gettext_noop("The process that worked on it was shut down.")))
            executor.shutdown(cancel_futures=True)
            if self._health:
                self._health.join(LAST_LOOK)
            for number, handler in previous.items():
                signal.signal(number, handler)

    def _look(self, executor: ThreadPoolExecutor) -> None:
        close_old_connections()
        try:
            begin_pass()
            keys = due_keys()
        except DatabaseError as error:
            if not self._is_down:
                self._complain(" ".join(str(error).split()))
            self._is_down = True
            return
        self._is_down = False
        self._working = {key: each for key, each in self._working.items() if not each.done()}
        for key in keys:
            if key not in self._working:
                self._working[key] = executor.submit(self._work, key)
        is_free = self._health is None or not self._health.is_alive()
        if is_free and time.monotonic() - self._judged_at > JUDGE_AGAIN:
            self._judged_at = time.monotonic()
            # A daemon: a remote that hangs must not hold up the end of the process.
            self._health = threading.Thread(target=self._judge, name="health", daemon=True)
            self._health.start()

    def _judge(self) -> None:
        """Evaluate the health of the site, which may take as long as the remote does."""
        try:
            api.health()
        except Exception:
            logger.exception("The health of the site could not be judged.")
        finally:
            connections.close_all()

    def _work(self, key: int) -> None:
        try:
            outcome = run_one(key, self._stop)
        except Interrupted as error:
            logger.info("A schedule was stopped: %s", error)
        except Exception:
            logger.exception("A schedule failed.")
        else:
            if outcome and self._refused.get(key) != outcome.sentence:
                self._report(outcome)
            # A schedule that can't run at all is reported once, not every half minute.
            self._refused[key] = outcome.sentence if outcome and outcome.at is None else ""
        finally:
            connections.close_all()

    def _rest(self, seconds: float) -> None:
        """Wait in steps. Python handles a signal that arrives just before a wait begins only when that wait ends."""
        end = time.monotonic() + seconds
        while (left := end - time.monotonic()) > 0:
            self._stop.wait(min(left, STEP))

    def _pause(self) -> float:
        """Return the seconds until the next time of a schedule, at most until the next look."""
        try:
            times = [each.next_time() for each in BackupSchedule.objects.filter(enabled=True)]
        except DatabaseError:
            return LOOK_AGAIN
        coming = min((each for each in times if each), default=clock.now() + timedelta(seconds=LOOK_AGAIN))
        return min(LOOK_AGAIN, max(0.0, (coming - clock.now()).total_seconds()))


def _end(number: int, frame: FrameType | None) -> None:
    raise KeyboardInterrupt
