"""Stores the facts of the last look in the database of the history, so that the health can be read without rclone."""

from __future__ import annotations

import dataclasses
import functools
import logging
from collections.abc import Sequence
from typing import Any

from django.db import Error
from django.db.models import Q

from .. import clock
from ..conf import get_settings
from ..connectors.registry import all_databases
from ..core.check_marks import AHEAD
from ..core.naming import MEDIA
from ..jobs import history
from ..jobs.stale import outside_request, without_waiting
from ..models.health import SiteHealth
from ..models.runs import BackupRun, Kind, Status
from ..savepoints import savepoint
from .facts import PartFacts, SiteFacts
from .gather import gather, gather_locally, place
from .history_facts import Ended
from .limits import is_judged
from .updates import with_backup, with_check
from .verdict import Health, judge, unknown

logger = logging.getLogger("django_rclone_admin")

ROW = "site"


def check(*, only: Sequence[str] = (), **limits: Any) -> Health:
    """Look at the remote and the history, store the facts, and evaluate them.

    :param only: evaluate only these databases.
    :param limits: limits that replace those in ``HEALTH``, this time.
    """
    facts = gather(load())
    keep(facts)
    return judge(facts, only=only, **limits)


def last_known(only: Sequence[str] = ()) -> Health:
    """Evaluate the facts of the last look. Calls no rclone: one small query.

    :param only: evaluate only these databases.
    """
    facts = load()
    return unknown(_nothing_known(only)) if facts is None else judge(facts, only=only)


def load() -> SiteFacts | None:
    """Return the facts of the last look at the configured remote; ``None`` if there was none, or they can't be read."""
    try:
        with savepoint(history.database()):
            document = (
                SiteHealth.objects.using(history.database())
                .filter(pk=ROW)
                .values_list("facts", flat=True)
                .first()
            )
        facts = SiteFacts.from_document(document) if document else None
    except (Error, TypeError, ValueError, KeyError, AttributeError) as error:
        logger.debug("The stored health can't be read: %s", error)
        return None
    return facts if facts and facts.place == place() else None


def keep(facts: SiteFacts) -> None:
    """Store these facts, unless newer ones were stored meanwhile.

    They can be gathered again, so a failure is not an error.
    """
    outside_request(functools.partial(_keep, facts))


def _keep(facts: SiteFacts) -> None:
    values = {"facts": facts.as_document(), "gathered_at": facts.gathered_at}
    rows = SiteHealth.objects.using(history.database())
    try:
        with without_waiting(history.database()), savepoint(history.database()):
            _row, is_new = rows.get_or_create(pk=ROW, defaults=values)
            if not is_new:
                # A time in the future comes from a host with a wrong clock.
                newer = Q(gathered_at__gt=facts.gathered_at, gathered_at__lt=clock.now() + AHEAD)
                rows.filter(pk=ROW).exclude(newer).update(**values)
    except Error as error:
        logger.debug("The health of the site could not be stored: %s", error)


def note_run(run: BackupRun) -> None:
    """Update the stored facts after a run, from the history. Calls no rclone."""
    known = load()
    facts = gather_locally(known)
    if run.status == Status.SUCCEEDED and run.kind in (Kind.DB_BACKUP, Kind.MEDIA_BACKUP) and run.path:
        ended = Ended.of(run)
        parts = [
            with_backup(each, ended) if each.database == ended.database and not _has(each, run.path) else each
            for each in facts.parts
        ]
        # The run has read the remote.
        facts = dataclasses.replace(facts, parts=parts, trouble=None, gathered_at=clock.now())
    if run.kind == Kind.VERIFY:
        part_of = run.database or MEDIA
        parts = [with_check(each, run) if each.database == part_of else each for each in facts.parts]
        facts = dataclasses.replace(facts, parts=parts)
    keep(facts)


def _has(part: PartFacts, path: str) -> bool:
    return part.last is not None and part.last.path == path


def _nothing_known(only: Sequence[str]) -> SiteFacts:
    health = get_settings().health
    names = [each for each in all_databases() if is_judged(each, health) and (not only or each in only)]
    parts = [PartFacts(database=each, is_listed=False) for each in names]
    return SiteFacts(gathered_at=clock.now(), place=place(), parts=parts)
