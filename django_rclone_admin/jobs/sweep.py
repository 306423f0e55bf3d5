"""Removes what earlier runs left on the remote."""

from __future__ import annotations

from collections.abc import Sequence

from django.db import DatabaseError
from django.utils.translation import gettext as _

from .. import clock, wording
from ..core.answers import Entry
from ..core.catalog import Catalog, StoredObject
from ..core.store import UNKNOWN_PARTIAL_AGE, sweep
from ..exceptions import BackupError
from . import stale
from .job import Job


def sweep_uploads(job: Job, catalog: Catalog, objects: Sequence[StoredObject]) -> None:
    """Remove the uploads in flight of finished runs.

    A failed removal is only noted: an account that may add but not delete objects can still make backups.
    """

    def is_over(run_id: str) -> bool | None:
        if run_id == str(job.run.pk):
            return False
        try:
            return job.heart.write(
                lambda: stale.is_over(run_id)
            )  # an unresponsive history must not block the run
        except DatabaseError:
            return None

    def note_failure(error: BackupError) -> None:
        values = {"error": wording.describe(error)[0]}
        job.note(_("An unfinished upload of an earlier run could not be removed: %(error)s") % values)

    if count := sweep(catalog, objects, is_over, clock.now(), note_failure):
        job.note(_("Removed %(count)d partial uploads of earlier runs.") % {"count": count})


def sweep_records(job: Job, catalog: Catalog, entries: Sequence[Entry]) -> None:
    """Remove the check records whose backup is gone, except young ones: the storage may show their backup late.

    :param entries: the listing of the folder.
    """
    gone = [
        name for name, mark in catalog.orphans(entries).items() if clock.now() - mark.at > UNKNOWN_PARTIAL_AGE
    ]
    try:
        for name in gone:
            catalog.rclone.delete(catalog.path(name))
    except BackupError as error:
        values = {"error": wording.describe(error)[0]}
        job.note(_("A check record of a deleted backup could not be removed: %(error)s") % values)
