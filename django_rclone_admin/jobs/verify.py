"""Checks a backup: reads it, opens it, and records the result.

Each level includes those before it. The check ends at the first level that fails or can't be carried out; the earlier
levels have passed nevertheless.
"""

from __future__ import annotations

import dataclasses
import platform
import socket
from datetime import datetime

import django
from django.utils.translation import gettext as _

from .. import __version__, clock, wording
from ..core.catalog import StoredObject
from ..core.check_marks import Level, Outcome
from ..core.records import Record, store
from ..core.rotation import highest
from ..exceptions import (
    BackupError,
    BackupNotFound,
    CheckFailed,
    NotChecked,
    ProgramMissing,
    RemoteError,
    gettext_noop,
)
from ..models.runs import BackupRun
from ..remote import find_backups, media_catalog
from .check_media import check_media
from .check_opened import Opening, check_opened
from .check_stored import check_stored
from .checking import FAILURES, Check
from .job import Job
from .options import VerifyOptions


def verify(job: Job, *, backup: StoredObject | None = None) -> str:
    """Check the run's backup, and record the result.

    :param backup: the backup at ``run.path``, if the caller has found it in the listing. Another look would not show
        more: a written manifest never changes, and a backup that was removed meanwhile can't be read.
    :raises CheckFailed: it failed.
    :raises NotChecked: a level could not be carried out.
    :raises BackupError: the check was interrupted. Then nothing is recorded.
    """
    started = clock.now()
    job.stage(_("Looking at the backup"))
    if backup is None or backup.manifest is None:
        [backup] = find_backups([job.catalog, media_catalog(job.catalog)], [job.run.path])
    wanted = highest(backup, Level(VerifyOptions.from_run(job.run).level))
    check = Check(job=job, backup=backup, wanted=wanted)
    outcome, error = _carry_out(check)
    reached = check.proven if outcome is Outcome.PASSED else check.level
    assert reached is not None
    records = [_record(check, started, reached, outcome, error)]
    if check.proven and check.proven is not reached:
        records.insert(0, _record(check, started, check.proven, Outcome.PASSED, None))
    job.stage(_("Writing the record"))
    store(job.catalog.rclone, backup, records, lambda failure: _note_kept_record(job, failure))
    job.run.size, job.run.sha256 = check.size, check.sha256
    _note_result(job.run, reached, outcome, records[-1].reason)
    for note in check.notes:
        job.note(note)
    if error:
        raise error
    values = {
        "name": backup.name,
        "level": wording.level(reached, backup.kind),
        "note": " ".join(check.notes),
    }
    return (_("%(name)s passed: %(level)s. %(note)s") % values).strip()


def _carry_out(check: Check) -> tuple[Outcome, BackupError | None]:
    """Return the outcome of a check, and the error of its run unless it passed."""
    try:
        _climb(check)
    except RemoteError:
        _refuse_gone(check)
        raise
    except FAILURES as error:
        _refuse_gone(check)
        return Outcome.FAILED, _failed(check, error)
    except (NotChecked, ProgramMissing) as error:
        return Outcome.UNCHECKED, _not_checked(check, error)
    return Outcome.PASSED, None


def _refuse_gone(check: Check) -> None:
    """Distinguish a removed backup from a damaged one: a bucket returns nothing for either.

    :raises BackupNotFound: the backup was removed.
    """
    try:
        is_gone = check.job.catalog.rclone.size(check.backup.path) is None
    except RemoteError:  # unknown, so what was found stands
        return
    if is_gone:
        raise BackupNotFound(
            gettext_noop("There is no backup “%(name)s” on the remote."), name=check.backup.name
        )


def _climb(check: Check) -> None:
    if check.backup.kind == "media":
        check_media(check)
        return
    if check.wanted.includes(Level.RESTORE):
        with Opening(check) as opening:
            check_stored(check, opening.beside)
            check_opened(check, opening)
    else:
        check_stored(check)


def _failed(check: Check, error: BackupError) -> CheckFailed:
    is_warning = check.level is Level.SITE
    return CheckFailed(
        gettext_noop("%(name)s failed the check “%(level)s”: %(reason)s"),
        hint=gettext_noop("The backup itself can be restored. Check the data of the site, or VERIFY_CHECKS.")
        if is_warning
        else gettext_noop(
            "The backup counts as damaged now. Make a new backup. If the problem may have been temporary, check this one again."
        ),
        name=check.backup.name,
        level=check.level,
        reason=error,
    )


def _not_checked(check: Check, error: BackupError) -> NotChecked:
    return NotChecked(
        gettext_noop("%(name)s could not be checked up to the level “%(level)s”: %(reason)s"),
        hint=error.hint.replace("%", "%%"),
        name=check.backup.name,
        level=check.level,
        reason=error,
    )


def _record(
    check: Check, started: datetime, level: Level, outcome: Outcome, error: BackupError | None
) -> Record:
    backup, run = check.backup, check.job.run
    taken_at = backup.manifest.taken_at if backup.manifest else backup.taken_at
    reason = str(error.params.get("reason", error)) if error else ""
    return Record(
        backup=backup.name,
        database=backup.database,
        level=level,
        outcome=outcome,
        reason=" ".join([reason, *check.notes]).strip(),
        started_at=started,
        finished_at=clock.now(),
        age_seconds=max(0.0, (started - taken_at).total_seconds()) if taken_at else None,
        sha256=check.sha256,
        size=check.size,
        tables=check.tables,
        versions={
            "django-rclone-admin": __version__,
            "django": django.get_version(),
            "python": platform.python_version(),
            **check.versions,
        },
        host=socket.gethostname(),
        requested_by=run.requested_by,
        run=str(run.pk),
    )


def _note_result(run: BackupRun, level: Level, outcome: Outcome, reason: str) -> None:
    options = VerifyOptions.from_run(run)
    run.options = dataclasses.replace(
        options, reached=str(level), outcome=str(outcome), reason=reason
    ).as_dict()


def _note_kept_record(job: Job, error: BackupError) -> None:
    values = {"error": wording.describe(error)[0]}
    job.note(_("An older check record could not be removed: %(error)s") % values)
