"""Undoes the last restore of the media files: restores replaced and removed files, and removes added ones."""

from __future__ import annotations

from pathlib import Path

from django.utils.translation import gettext as _

from .. import signals, wording
from ..core.local_files import as_rclone
from ..exceptions import LocalFileError, gettext_noop
from ..media import all_local_files, get_folder, get_mirror
from .job import Job
from .media_kept import Kept, nothing_to_undo, stores
from .media_rollback import MediaRollback
from .options import UndoOptions


def undo_media(job: Job) -> str:
    """Exchange the files again. It is a restore like any other, so the files that it replaces are kept, too."""
    job.send_vetoable(signals.pre_media_restore)
    job.stage(_("Looking at what was kept"))
    mirror = get_mirror(job.catalog)
    folder, store = get_folder(mirror), Path(UndoOptions.from_run(job.run).put_back)
    if folder is None or store not in stores(folder):
        raise nothing_to_undo()
    kept, here = Kept.read(store), all_local_files(mirror)
    there = {each.path: each for each in here.files}
    gone = []
    for each in kept.gone:
        path = as_rclone(each.path)
        if each.came_as(there.get(path)):
            gone.append(path)
        elif path in there:
            job.note(_("%(path)s was changed since the restore, and stays.") % {"path": repr(each.path)})
    with MediaRollback(job, folder, here) as rollback:
        job.stage(_("Restoring the kept files"))
        try:
            kept.offer(rollback.arrived)
        except OSError as error:
            raise LocalFileError(
                gettext_noop("The kept files can't be read: %(reason)s."),
                hint=gettext_noop("Nothing was changed. They are in %(folder)s."),
                reason=error.strerror or str(error),
                folder=store,
            ) from error
        rollback.remove(gone)
        rollback.put()
        job.control.confirm()
    kept.forget()
    job.send_robust(signals.post_media_restore)
    return _("Undone: %(back)s restored, %(gone)s removed.") % {
        "back": wording.files(len(kept.back)),
        "gone": wording.files(len(gone)),
    }
