"""Removes the database backups that no retention rule keeps."""

from __future__ import annotations

from collections.abc import Collection, Iterable

from django.utils import timezone
from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from .. import clock, wording
from ..conf import get_settings
from ..core.catalog import StoredObject
from ..core.retention import Decision, decide
from ..core.states import BACKUPS
from ..core.store import remove
from ..exceptions import BackupError
from .job import Job
from .reading import being_read
from .sweep import sweep_records


def decide_by_settings(objects: Iterable[StoredObject], made: Collection[str] = ()) -> list[Decision]:
    """Decide on every backup of one database, or of the media files, by the configured policy.

    :param made: paths of backups just made.
    """
    zone = timezone.get_default_timezone()
    return decide(objects, get_settings().policy, clock.now(), zone=zone, made=made)


class Pruning:
    """The work of a clean-up of one database. ``decisions`` contains its decision on each backup.

    :param made: paths of backups just made.
    """

    def __init__(self, made: Collection[str] = ()) -> None:
        self._made = made
        self.decisions: list[Decision] = []

    def __call__(self, job: Job) -> str:
        job.stage(_("Looking at the remote"))
        entries = job.catalog.rclone.entries(job.catalog.folder)
        backups = [each for each in job.catalog.arrange(entries) if each.state in BACKUPS]
        mine = job.catalog.inspect(each for each in backups if each.database == job.run.database)
        self.decisions = decide_by_settings(mine, self._made)
        count = self._remove(job)
        sweep_records(job, job.catalog, entries)
        return wording.removed(count)

    def _remove(self, job: Job) -> int:
        """Remove the backups that are not kept, and return their number."""
        count, total = 0, sum(not each.keep for each in self.decisions)
        for place, decision in enumerate(self.decisions):
            if decision.keep:
                continue
            backup = decision.backup
            if backup.path in being_read():
                self.decisions[place] = decision.while_read()
                continue
            job.stage(_("Removing %(name)s") % {"name": backup.name})
            try:
                remove(job.catalog, backup)
            except BackupError:
                note = ngettext(
                    "Removed %(count)d of %(total)d backup.", "Removed %(count)d of %(total)d backups.", total
                )
                job.note(note % {"count": count, "total": total})
                raise
            count += 1
        return count
