"""Updates the stored facts after each run, without affecting the run's time or outcome."""

from __future__ import annotations

import functools
import logging

from django.db import connections

from ..jobs import history
from ..jobs.history_thread import HistoryThread
from ..models.runs import BackupRun
from . import kept

logger = logging.getLogger("django_rclone_admin")

PATIENCE = 5
"""How long the end of a run waits for the database of the history."""


def note_end(run: BackupRun) -> None:
    """Update the stored facts after a run."""
    if run._state.adding:
        return  # its row is missing, because the history can't be written
    alias = history.database()
    if connections[alias].in_atomic_block:
        kept.note_run(run)  # other connections don't see the row yet
        return
    thread = HistoryThread(alias)
    try:
        thread.submit(functools.partial(kept.note_run, run)).result(PATIENCE)
    except Exception as error:  # noqa: BLE001  (no error may change the outcome of the run)
        logger.debug("The health of the site was not updated: %s", error)
    finally:
        thread.close(0)
