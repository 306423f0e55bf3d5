"""The heartbeat of a schedule that is at work: without it, others would take one for lost between two of its runs."""

from __future__ import annotations

import contextlib
import logging
import threading
from collections.abc import Iterator

from django.db import DatabaseError, connections

from ..models.schedules import BackupSchedule
from .due import Claim

logger = logging.getLogger("django_rclone_admin")

BEAT = 60.0
"""Seconds between two heartbeats."""
LAST_BEAT = 5.0
"""How long the end of the work waits for a heartbeat that hangs."""


@contextlib.contextmanager
def beating(claim: Claim) -> Iterator[None]:
    """Beat for a claim while its work is done, from a thread of its own."""
    done = threading.Event()

    def beat() -> None:
        while not done.wait(BEAT):
            try:
                claim.beat()
            except DatabaseError as error:  # the next one may come through
                logger.warning("A schedule could not give a sign of life: %s", error)
            finally:
                connections[BackupSchedule.objects.db].close()

    thread = threading.Thread(target=beat, name="schedule heartbeat", daemon=True)
    thread.start()
    try:
        yield
    finally:
        done.set()
        thread.join(LAST_BEAT)
