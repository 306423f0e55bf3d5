"""Updates the facts after a run has ended, without another look at the remote."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

from django.utils import timezone

from .. import clock
from ..core.check_marks import DAMAGING, Level, Outcome
from ..core.states import State
from ..jobs.options import VerifyOptions
from ..models.runs import BackupRun, Trigger
from .facts import DAYS, BackupFacts, Day, PartFacts
from .history_facts import Ended

BY_HAND = (Trigger.ADMIN, Trigger.SAFETY)
"""Triggers of backups that will not recur automatically."""


def with_backup(part: PartFacts, run: Ended) -> PartFacts:
    """Return the facts of a database after a new backup."""
    if run.trigger == Trigger.SAFETY or not run.path:
        return part
    size = run.size or 0
    if part.kind == "media" and part.last:
        size = part.last.total_size  # the run has only the size of the file list
    last = BackupFacts(
        name=run.path.rpartition("/")[2],
        path=run.path,
        taken_at=run.began_at,
        total_size=size,
        state=str(State.COMPLETE),
    )
    return dataclasses.replace(
        part,
        last=last,
        size_before=part.last.total_size if part.last and part.last.state == State.COMPLETE else None,
        is_newest_damaged=False,
        automatic_at=part.automatic_at if run.trigger in BY_HAND else run.began_at,
        sizes=[*part.sizes, size][-DAYS:],
        days=_mark_today(part.days),
        count=part.count + 1,
        stored=part.stored + size,
    )


def _mark_today(days: Sequence[Day]) -> list[Day]:
    today = timezone.localtime(clock.now()).date()
    return [dataclasses.replace(each, state="ok") if each.day == today else each for each in days]


def with_check(part: PartFacts, run: BackupRun) -> PartFacts:
    """Return the facts of a database after a check of one of its backups."""
    options = VerifyOptions.from_run(run)
    if options.outcome == Outcome.PASSED:
        return dataclasses.replace(part, proven_at=run.finished_at, proven_level=options.reached)
    if options.outcome != Outcome.FAILED:
        return part
    name, is_last = run.path.rpartition("/")[2], part.last is not None and part.last.path == run.path
    if Level(options.reached) not in DAMAGING:
        return dataclasses.replace(part, failed_check=options.reached) if is_last else part
    damaged = [name, *(each for each in part.damaged if each != name)]
    # Only a look at the remote can tell which backup is the last good one now.
    return dataclasses.replace(part, damaged=damaged, is_newest_damaged=part.is_newest_damaged or is_last)
