"""The facts of the last look, kept in the database of the history, so that many may ask and nobody calls rclone."""

from __future__ import annotations

import contextlib
import dataclasses
import functools
import logging
from collections.abc import Iterator, Sequence
from typing import Any

from django.db import Error, connections, transaction
from django.db.models import Q

from .. import clock
from ..conf import get_settings
from ..connectors.registry import all_databases
from ..core.check_marks import AHEAD
from ..core.file_lists import NAME as MEDIA
from ..jobs import history
from ..jobs.stale import outside_request, without_waiting
from ..models.health import SiteHealth
from ..models.runs import BackupRun, Kind, Status
from .facts import PartFacts, SiteFacts
from .gather import gather, gather_locally, place
from .history_facts import Ended
from .limits import is_judged
from .updates import with_backup, with_check
from .verdict import Health, judge, unknown

logger = logging.getLogger("django_rclone_admin")

ROW = "site"


def check(*, only: Sequence[str] = (), **limits: Any) -> Health:
    """Look at the remote and at the history, keep what was found, and judge it.

    :param only: judge these databases alone.
    :param limits: limits that take the place of those in ``HEALTH``, this time.
    """
    facts = gather(load())
    keep(facts)
    return judge(facts, only=only, **limits)


def last_known(only: Sequence[str] = ()) -> Health:
    """Judge the facts of the last look. Calls no rclone: one small query.

    :param only: judge these databases alone.
    """
    facts = load()
    return unknown(_nothing_known(only)) if facts is None else judge(facts, only=only)


def load() -> SiteFacts | None:
    """Return the facts of the last look at the configured remote; ``None`` where there was none, or they can't be read."""
    try:
        with _own_step():
            document = (
                SiteHealth.objects.using(history.database())
                .filter(pk=ROW)
                .values_list("facts", flat=True)
                .first()
            )
        facts = SiteFacts.from_document(document) if document else None
    except (Error, TypeError, ValueError, KeyError, AttributeError) as error:
        logger.debug("The kept health can't be read: %s", error)
        return None
    return facts if facts and facts.place == place() else None


def keep(facts: SiteFacts) -> None:
    """Keep these facts, unless somebody has kept newer ones meanwhile.

    They are a copy of what can be asked again, so that a failure is no error.
    """
    outside_request(functools.partial(_keep, facts))


def _keep(facts: SiteFacts) -> None:
    values = {"facts": facts.as_document(), "gathered_at": facts.gathered_at}
    rows = SiteHealth.objects.using(history.database())
    try:
        with without_waiting(history.database()), _own_step():
            _row, is_new = rows.get_or_create(pk=ROW, defaults=values)
            if not is_new:
                # What lies in the future is from a host with a wrong clock.
                newer = Q(gathered_at__gt=facts.gathered_at, gathered_at__lt=clock.now() + AHEAD)
                rows.filter(pk=ROW).exclude(newer).update(**values)
    except Error as error:
        logger.debug("The health of the site could not be kept: %s", error)


def note_run(run: BackupRun) -> None:
    """Bring the kept facts up to date after a run, by what the history knows. Calls no rclone."""
    known = load()
    facts = gather_locally(known)
    if run.status == Status.SUCCEEDED and run.kind in (Kind.DB_BACKUP, Kind.MEDIA_BACKUP) and run.path:
        ended = Ended.of(run)
        parts = [
            with_backup(each, ended) if each.database == ended.database and not _has(each, run.path) else each
            for each in facts.parts
        ]
        # The run has seen the remote.
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


@contextlib.contextmanager
def _own_step() -> Iterator[None]:
    """Keep a failing query from spoiling the transaction of whoever asks."""
    alias = history.database()
    if connections[alias].in_atomic_block:
        with transaction.atomic(using=alias):
            yield
    else:
        yield
