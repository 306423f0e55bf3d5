"""Remove the backups that no retention rule keeps."""

from __future__ import annotations

from collections.abc import Sequence

from django.utils.translation import gettext as _

from .. import clock
from ..conf import get_settings
from ..core.catalog import BACKUPS, StoredObject
from ..core.retention import Decision, decide
from ..core.store import remove
from .job import Job


def decide_all(objects: Sequence[StoredObject], databases: Sequence[str]) -> list[Decision]:
    """Decide on every backup of these databases by the configured policy."""
    policy, now = get_settings().policy, clock.now()
    return [
        decision
        for database in databases
        for decision in decide([each for each in objects if each.database == database], policy, now)
    ]


class Pruning:
    """The work of a clean-up of one database. ``decisions`` is what it decided on each backup."""

    def __init__(self) -> None:
        self.decisions: list[Decision] = []

    def __call__(self, job: Job) -> str:
        job.stage(_("Looking at the remote"))
        objects = [each for each in job.catalog.objects() if each.state in BACKUPS]
        self.decisions = decide_all(objects, [job.run.database])
        unwanted = [each.backup for each in self.decisions if not each.keep]
        for backup in unwanted:
            job.stage(_("Removing %(name)s") % {"name": backup.name})
            remove(job.catalog, backup)
        return _("Removed %(count)d backups.") % {"count": len(unwanted)}
