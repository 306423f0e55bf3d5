"""Carries out one run: its record, its heartbeat, its signals."""

from __future__ import annotations

import functools
import logging
from collections.abc import Callable
from typing import TypeVar

from django.db import Error
from django.dispatch import Signal
from django.utils.translation import gettext as _

from .. import signals, wording
from ..cached_listing import forget_listing
from ..conf import get_settings
from ..core.catalog import Catalog
from ..core.control import Control
from ..core.retry import PASSING, Kinds, retry
from ..exceptions import BackupError, Cancelled, Interrupted, gettext_noop
from ..models import beats
from ..models.runs import BackupRun, Kind, Status
from ..remote import get_catalog
from . import history
from .at_work import ending, running
from .connections import interruptible
from .heart import Heart

logger = logging.getLogger("django_rclone_admin")

T = TypeVar("T")
Progress = Callable[[BackupRun], None]

CHANGED: dict[str, str] = {
    Kind.MEDIA_BACKUP: gettext_noop(
        "Some files may be in the mirror already; the next media backup goes on from there."
    ),
    Kind.MEDIA_RESTORE: gettext_noop(
        "Some files may have been restored or removed; the log of the run lists what was undone."
    ),
    Kind.PRUNE: gettext_noop("Some backups may have been removed before that."),
    Kind.DB_BACKUP: gettext_noop(
        "Unfinished objects may be left on the remote; the next backup removes what it can."
    ),
}
"""What a failed run may have changed permanently, by kind."""


class Vetoed(BackupError):
    """A receiver of a ``pre_*`` signal has raised."""

    default_hint = gettext_noop("Nothing was changed. The message comes from that receiver.")


class Job:
    """The context of one run's work."""

    def __init__(
        self, run: BackupRun, control: Control, *, recorded: bool, progress: Progress | None = None
    ) -> None:
        self.run, self.control = run, control
        self.heart = Heart(run, control, self._look, recorded=recorded)
        self._progress = progress
        self.success = ""
        """The message of an irreversible success: the run succeeds even if an error is raised later."""
        self._stage = self._then = ""

    @property
    def recorded(self) -> bool:
        """Whether the run has a row."""
        return self.heart.recorded

    @functools.cached_property
    def catalog(self) -> Catalog:
        """The catalog; its calls end when the run is stopped."""
        return get_catalog(self.control)

    def stage(self, message: str, *, then: str = "") -> None:
        """Set the current stage; the heartbeat writes it to the row.

        :param then: the stage after the source of a transfer has ended and before its sink has.
        """
        self.control.check()
        self.control.files_total, self.control.is_drained = 0, False
        self._then = then
        self._stage = self.run.message = message
        self.run.write_log(message)

    def _look(self) -> None:
        """Copy the progress to the row, and call the progress function."""
        self.count()
        if self._then and self.control.is_drained:
            self.run.message = self._then
        if self.control.files_total:
            files = {"done": self.control.files_done, "total": self.control.files_total}
            self.run.message = _("%(stage)s: %(done)d of %(total)d files") % {"stage": self._stage, **files}
        if self._progress:
            self._progress(self.run)

    def count(self) -> None:
        """Copy the number of moved bytes to the row, and the expected total while that is plausible."""
        done, total = self.control.bytes_done, self.control.bytes_total
        self.run.bytes_done = done
        self.run.bytes_total = total if total is not None and total >= done else None

    def note(self, message: str) -> None:
        """Add a line to the log."""
        self.run.write_log(message)

    def retrying(self, attempt: Callable[[int], T], *, on: Kinds = PASSING) -> T:
        """Retry an attempt after temporary errors of the remote; see :func:`~django_rclone_admin.core.retry.retry`."""

        def note_retry(error: BackupError, pause: float) -> None:
            values = {"seconds": pause, "error": wording.describe(error)[0]}
            if pause:
                self.stage(_("Trying again in %(seconds)d seconds after: %(error)s") % values)
            else:
                self.note(_("Trying again after: %(error)s") % values)

        return retry(attempt, self.control, note_retry, on=on)

    def send_vetoable(self, signal: Signal, **values: object) -> None:
        """Send a signal whose receivers may veto.

        :raises Vetoed: a receiver did.
        """
        try:
            signal.send(sender=BackupRun, run=self.run, **values)
        except BackupError:
            raise
        except Exception as error:
            raise Vetoed(
                gettext_noop("A signal receiver in your project blocked this run: %(reason)s"), reason=error
            ) from error

    def send_robust(self, signal: Signal, **values: object) -> None:
        """Send a signal; errors of receivers are only logged."""
        for receiver, answer in signal.send_robust(sender=BackupRun, run=self.run, **values):
            if isinstance(answer, Exception):
                logger.error("A receiver of a backup signal failed: %r", receiver, exc_info=answer)
                self.note(_("A signal receiver failed; see the log of the site."))

    def save(self) -> None:
        """Write the row, if the table exists; insert it again if a restore has replaced it.

        The work is done, so its outcome does not depend on this write.
        """
        try:
            self._write(self._save_end)
        except Error as error:
            logger.warning("The end of a run could not be recorded: %s", error)

    def save_options(self) -> None:
        """Write the options to the row at once, so that they survive this process.

        :raises django.db.Error: the write failed.
        """
        self._write(functools.partial(self.run.save, update_fields=["options", "number"]))

    def _save_end(self) -> None:
        self.run.finished_at = beats.now(history.database())
        self.run.save()

    def _write(self, save: Callable[[], object]) -> None:
        if self.recorded:
            self.heart.write(save)


def carry_out(
    run: BackupRun,
    work: Callable[[Job], str],
    *,
    progress: Progress | None = None,
    control: Control | None = None,
) -> BackupRun:
    """Carry out a running run: record it, write heartbeats, send the signals.

    :param work: returns the message of its success.
    :param progress: called with the run a few times a second, from another thread.
    :param control: the control of the run that this one is a part of.
    :raises BackupError: it failed; the row says so too.
    """
    settings = get_settings()
    control = control or Control(stall_timeout=settings.stall_timeout, lease=settings.stale_after)
    job = Job(run, control, recorded=not run._state.adding, progress=progress)
    running[str(run.pk)] = control
    if ending:
        control.stop(ending[0])
    try:
        with control.fenced(job.heart), job.heart:
            job.send_robust(signals.run_started)
            message = _work(job, work)
    except BaseException as error:
        if not job.success:
            _fail(job, error)
            raise
        logger.warning("A run was interrupted after its data was in place: %r", error)
        job.note(_("Interrupted after the data was in place: what follows a restore may be missing."))
        _succeed(job, job.success)
        if not isinstance(error, Exception):
            raise
    else:
        _succeed(job, message)
    finally:
        job.heart.close()
        del running[str(run.pk)]
    return run


def _succeed(job: Job, message: str) -> None:
    job.run.end(Status.SUCCEEDED, message)
    job.run.write_log(message)
    job.count()
    job.save()
    job.send_robust(signals.run_finished)


def _work(job: Job, work: Callable[[Job], str]) -> str:
    with interruptible(job.control, job.run.database, history.database()):
        try:
            return work(job)
        except (BackupError, Error):
            # A query that was cancelled raises a database error: report why it was cancelled.
            job.control.raise_if_stopped()
            raise
        finally:
            # Before the run is seen to have ended: then the pages read the list anew, once.
            forget_listing()


def _fail(job: Job, error: BaseException) -> None:
    status = Status.FAILED
    if isinstance(error, Cancelled | KeyboardInterrupt):
        status = Status.CANCELLED
    elif isinstance(error, Interrupted | SystemExit):
        status = Status.INTERRUPTED
    if isinstance(error, BackupError) and job.control.has_changed:
        error.changed = error.changed or CHANGED.get(job.run.kind, "")
    message, hint = wording.describe(error)
    job.run.end(status, message, hint)
    job.run.write_log(message)
    job.count()
    job.save()
    job.send_robust(signals.run_failed, exception=error)
