"""What is announced where a channel is set: changes of the health, and the begin and the end of runs."""

from __future__ import annotations

import copy
import functools
import logging

from ..exceptions import BackupError
from ..health.kept import last_known
from ..models.runs import BackupRun, Status, Trigger
from . import sentry
from .after_looks import BACKUPS, announce_changes
from .bounded import Call, call_all
from .channels import ping
from .chosen import is_configured, options
from .worker import worker

logger = logging.getLogger("django_rclone_admin")

PING_SECONDS = 8
"""Time limit for a monitor."""


def look_again() -> None:
    """Announce what has changed after a look at the health."""
    if is_configured():
        worker.add(announce_changes)


def note_start(run: BackupRun) -> None:
    """Tell monitors that a run has begun."""
    if _is_watched(run):
        worker.add(functools.partial(_call_monitors, copy.copy(run), "start", "in_progress"))


def note_end(run: BackupRun) -> None:
    """Tell monitors and people how a run has ended."""
    if _is_watched(run):
        is_good = run.status == Status.SUCCEEDED
        outcome, status = ("", "ok") if is_good else ("fail", "error")
        worker.add(functools.partial(_call_monitors, run, outcome, status))
    worker.add(functools.partial(announce_changes, run))


def _is_watched(run: BackupRun) -> bool:
    """Whether monitors expect such runs: backups, except safety backups."""
    return run.kind in BACKUPS and run.trigger != Trigger.SAFETY


def _ping(address: str, run: BackupRun, outcome: str) -> None:
    """Ping a monitor. One that covers several databases must not receive a success while another database fails."""
    if not outcome and isinstance(options().ping_url, str):
        others = [each for each in last_known().parts if each.database != (run.database or "media")]
        if any(each.facts.failure for each in others):
            outcome = "fail"
    ping(address, str(run.pk), outcome)


def _call_monitors(run: BackupRun, outcome: str, status: str) -> None:
    chosen, calls = options(), dict[str, Call]()
    if address := chosen.ping_url_of(run.database or "media"):
        calls["ping"] = functools.partial(_ping, address, run, outcome)
    if chosen.sentry is not False and sentry.is_set_up():
        calls["sentry"] = functools.partial(sentry.check_in, run, status)
    for name, result in call_all(calls, seconds=PING_SECONDS).items():
        if isinstance(result, BaseException):
            reason = str(result) if isinstance(result, BackupError) else type(result).__name__
            logger.warning("%s could not be told of a run: %s", name.capitalize(), reason)
