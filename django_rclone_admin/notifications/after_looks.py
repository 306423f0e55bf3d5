"""After each look at the health, and after each run: one of all processes announces new and solved problems."""

from __future__ import annotations

import logging
from collections.abc import Sequence

from django.db import Error

from ..health import kept
from ..health.levels import Level, Rule
from ..health.verdict import Health
from ..models.runs import BackupRun, Kind, Status
from ..notify_options import Event
from ..site_cache import site_cache
from . import claims, words
from .bounded import call_all
from .channels import Message
from .chosen import options
from .claims import Over, Problem
from .sending import send

logger = logging.getLogger("django_rclone_admin")

DATABASE_SECONDS = 5
"""Time limit for claiming notices in the database of the history."""
ALONE_SECONDS = 3600
"""How long a problem is not announced again where only Django's cache remembers the announcement."""
RULES = frozenset(str(each) for each in Rule)
DIGEST = "digest"
BACKUPS = (Kind.DB_BACKUP, Kind.MEDIA_BACKUP)


def announce_changes(run: BackupRun | None = None) -> None:
    """Announce new and solved problems.

    :param run: a run that has just ended.
    """
    claimed = call_all({"claims": lambda: _claim(run)}, seconds=DATABASE_SECONDS)["claims"]
    if isinstance(claimed, BaseException):
        logger.debug("Notices can't be claimed in the database of the history: %r", claimed)
        _announce_alone(run)
        return
    health, problems, over, is_digest_due = claimed
    if problems or over:
        _send_claimed(words.about_changes(problems, over, health), problems, over)
    if run is not None and run.status == Status.SUCCEEDED and run.kind in BACKUPS and _wants(Event.SUCCESS):
        send(words.about_success(run, health))
    if is_digest_due and health is not None:
        _send_digest(health)


def _claim(run: BackupRun | None) -> tuple[Health | None, list[Problem], list[Over], bool]:
    """Return what this process has to announce. Queries only the database of the history."""
    health = kept.last_known()
    known = health if health.is_known else None
    problems = _problems(known, run)
    new = claims.claim_new(each for each in problems if _is_wanted(each.key))
    over = claims.claim_over(problems, among=_judged(known, run)) if _wants(Event.RECOVERED) else []
    is_due = known is not None and _wants(Event.DIGEST) and claims.claim_daily(DIGEST)
    return known, new, over, is_due


def _problems(health: Health | None, run: BackupRun | None) -> list[Problem]:
    found = [
        Problem(key=each.key, level=each.level, subject=each.subject, sentence=each.sentence, hint=each.hint)
        for each in (health.findings if health else [])
        # An unknown state is not announced as a problem; known problems are.
        if each.level in (Level.WARNING, Level.CRITICAL)
    ]
    if run is not None and _has_failed(run):
        own = _problem_of(run)
        if own.key not in {each.key for each in found}:
            found.insert(0, own)
    return found


def _problem_of(run: BackupRun) -> Problem:
    part = run.database or "media"
    return Problem(
        key=_key_of(run),
        level=Level.WARNING,
        subject=part,
        sentence=f"{str(run.get_kind_display()).capitalize()}: {run.message}",
        hint=run.hint,
    )


def _key_of(run: BackupRun) -> str:
    """Return the key of the problem that runs of this kind fail; health has its own rule for backups."""
    rule = str(Rule.FAILING) if run.kind in BACKUPS else f"failed_{run.kind}"
    return f"{rule}:{run.database or 'media'}"


def _has_failed(run: BackupRun) -> bool:
    return run.status in (Status.FAILED, Status.INTERRUPTED)


def _judged(health: Health | None, run: BackupRun | None) -> frozenset[str]:
    """Return the kinds of problems that were evaluated: without facts, only those that the run itself shows."""
    rules = RULES if health else frozenset()
    if run is not None and run.status == Status.SUCCEEDED and run.kind not in BACKUPS:
        rules |= {_key_of(run).partition(":")[0]}
    return rules


def _is_wanted(key: str) -> bool:
    rule = key.partition(":")[0]
    if rule == f"failed_{Kind.VERIFY}":
        return _wants(Event.CHECK_FAILED) or _wants(Event.FAILED)
    if rule == Rule.FAILING:
        return _wants(Event.FAILED) or _wants(Event.UNHEALTHY)
    return _wants(Event.UNHEALTHY if rule in RULES else Event.FAILED)


def _wants(event: Event) -> bool:
    return event in options().events


def _send_claimed(message: Message, problems: Sequence[Problem], over: Sequence[Over]) -> None:
    was_sent = any(each.is_sent for each in send(message))
    keys = [each.key for each in problems]
    try:
        if was_sent:
            claims.told(keys)
            claims.forget(over)
        else:
            claims.release([*keys, *(each.key for each in over)])
    except Error as error:
        logger.debug("The announcement could not be recorded: %s", error)


def _send_digest(health: Health) -> None:
    if any(each.is_sent for each in send(words.digest(health))):
        claims.told([DIGEST])
    else:
        claims.release([DIGEST])


def _announce_alone(run: BackupRun | None) -> None:
    """Announce a failed run while the database of the history is down; Django's cache prevents repetitions."""
    if run is None or not _has_failed(run) or not _is_wanted(_key_of(run)):
        return
    problem = _problem_of(run)
    if site_cache.add(f"django_rclone_admin.notice.{problem.key}", True, ALONE_SECONDS):
        send(words.about_changes([problem], [], None))
