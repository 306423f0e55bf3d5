"""Remove the backups that no rule of the retention keeps."""

from __future__ import annotations

from collections.abc import Sequence

from django.utils import timezone
from django.utils.translation import gettext as _

from ..conf import get_settings
from ..engine.catalog import BACKUPS, StoredObject
from ..engine.retention import Decision, decide
from ..engine.store import remove
from .job import Job


def decide_all(objects: Sequence[StoredObject], databases: Sequence[str]) -> list[Decision]:
    """Decide on every backup of these databases by the configured policy."""
    policy, now = get_settings().policy, timezone.now()
    return [
        decision
        for database in databases
        for decision in decide([each for each in objects if each.database == database], policy, now)
    ]


def prune(job: Job, decisions: list[Decision] | None = None) -> str:
    """Remove what the retention does not keep of the run's database.

    :param decisions: is filled with what was decided.
    """
    job.stage(_("Looking at the remote"))
    objects = [each for each in job.catalog.objects() if each.state in BACKUPS]
    decided = decide_all(objects, [job.run.database])
    for decision in decided:
        if not decision.keep:
            job.stage(_("Removing %(name)s") % {"name": decision.backup.name})
            remove(job.catalog, decision.backup)
    if decisions is not None:
        decisions += decided
    return _("Removed %(count)d backups.") % {"count": sum(not each.keep for each in decided)}
