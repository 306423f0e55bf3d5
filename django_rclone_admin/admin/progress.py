"""A snapshot of a run, in the words and numbers of its progress display."""

from __future__ import annotations

from datetime import timedelta

from django.utils.translation import gettext as _

from .. import api, wording
from ..exceptions import NOTHING_CHANGED
from ..models import Backup, BackupRun, Kind, OpenedBackup, Status
from .run_link import key_of

LOG_LINES = 12
A_MOMENT = timedelta(seconds=10)
"""A remaining time below that is an estimate of no worth as a number."""


class Progress:
    """The values for the template of a run's progress; the same for the page and for each poll."""

    def __init__(self, run: BackupRun) -> None:
        self.run = run

    @property
    def name(self) -> str:
        """What the run is doing, or has been; its status is shown next to it."""
        doing, was = self._words()
        return (doing if self.run.is_active else was) % {"database": self.run.database}

    @property
    def title(self) -> str:
        """What the run is doing, or how it ended, in one line."""
        if self.run.status == Status.RUNNING:
            return self.name
        templates = {
            Status.QUEUED.value: _("%(run)s: waiting"),
            Status.SUCCEEDED.value: _("%(run)s succeeded"),
            Status.FAILED.value: _("%(run)s failed"),
            Status.CANCELLED.value: _("%(run)s was cancelled"),
            Status.INTERRUPTED.value: _("%(run)s was interrupted"),
        }
        return templates[self.run.status] % {"run": self.name}

    @property
    def crumb(self) -> str:
        """What the run is, whatever its state: the admin's own trail is not rendered again when the run ends."""
        return self._words()[1] % {"database": self.run.database}

    @property
    def outcome(self) -> str:
        """The outcome, for visitors who may see nothing else; empty while the run is active."""
        if self.run.is_active:
            return ""
        is_good = self.run.status == Status.SUCCEEDED
        if self.is_undo:
            return _("The undo succeeded.") if is_good else _("The undo did not succeed.")
        if self.run.kind in (Kind.DB_RESTORE, Kind.MEDIA_RESTORE):
            return _("The restore succeeded.") if is_good else _("The restore did not succeed.")
        return _("The run succeeded.") if is_good else _("The run did not succeed.")

    @property
    def key(self) -> str:
        """The key in the page's URL that works without a session."""
        return key_of(self.run)

    @property
    def is_undo(self) -> bool:
        """Whether it undoes another restore."""
        return api.is_undo(self.run)

    def _words(self) -> tuple[str, str]:
        """Return the descriptions of the run while it is active, and afterwards."""
        if self.is_undo and self.run.kind == Kind.MEDIA_RESTORE:
            return _("Undoing the restore of the media files"), _("Undo of the restore of the media files")
        if self.is_undo:
            return _("Undoing the restore of %(database)s"), _("Undo of the restore of %(database)s")
        words = {
            Kind.DB_BACKUP.value: (_("Backing up %(database)s"), _("Backup of %(database)s")),
            Kind.DB_RESTORE.value: (_("Restoring %(database)s"), _("Restore of %(database)s")),
            Kind.MEDIA_BACKUP.value: (_("Backing up the media files"), _("Backup of the media files")),
            Kind.MEDIA_RESTORE.value: (_("Restoring the media files"), _("Restore of the media files")),
            Kind.PRUNE.value: (_("Cleaning up %(database)s"), _("Clean-up of %(database)s")),
            Kind.VERIFY.value: (
                _("Checking a backup of %(database)s"),
                _("Check of a backup of %(database)s"),
            ),
            Kind.OPEN.value: (
                _("Opening a backup of %(database)s"),
                _("Opening of a backup of %(database)s"),
            ),
        }
        if self.run.kind == Kind.VERIFY and self.run.database == Backup.Kind.MEDIA:
            return _("Checking a media backup"), _("Check of a media backup")
        if self.run.kind == Kind.PRUNE and self.run.database == Backup.Kind.MEDIA:
            return _("Cleaning up the media backups"), _("Clean-up of the media backups")
        other = str(self.run).capitalize().replace("%", "%%")
        return words.get(self.run.kind, (other, other))

    @property
    def percent(self) -> int | None:
        """The progress, relative to the size of the last run of its kind; ``None`` if unknown."""
        if not self.run.bytes_total:
            return None
        return min(99, self.run.bytes_done * 100 // self.run.bytes_total)

    @property
    def amount(self) -> str:
        """The number of bytes moved, in words."""
        if not self.run.is_active and self.run.kind == Kind.MEDIA_BACKUP and self.run.size is not None:
            return _("%(size)s in the backup, %(moved)s of it copied") % {
                "size": wording.size(self.run.size),
                "moved": wording.size(self.run.bytes_done),
            }
        if not self.run.is_active and self.run.kind == Kind.VERIFY and self.run.size is not None:
            return _("%(size)s read") % {"size": wording.size(self.run.size)}
        if not self.run.is_active and self.run.size is not None:
            return _("%(size)s stored, %(raw)s uncompressed") % {
                "size": wording.size(self.run.size),
                "raw": wording.size(self.run.raw_size),
            }
        if not self.run.is_active and not self.run.bytes_done:
            return ""
        done = wording.size(self.run.bytes_done)
        if not self.run.bytes_total or self.run.status == Status.SUCCEEDED:
            return done
        return _("%(done)s of about %(total)s") % {"done": done, "total": wording.size(self.run.bytes_total)}

    @property
    def elapsed(self) -> timedelta:
        """How long it has been running."""
        return self.run.duration or timedelta(0)

    @property
    def elapsed_text(self) -> str:
        """The same in words."""
        return wording.duration(self.elapsed)

    @property
    def rate(self) -> str:
        """Bytes a second, on average; empty in the first second."""
        seconds = self.elapsed.total_seconds()
        if seconds < 1 or not self.run.bytes_done:
            return ""
        return _("%(size)s/s") % {"size": wording.size(int(self.run.bytes_done / seconds))}

    @property
    def left(self) -> str:
        """The remaining time at the current rate; empty if unknown."""
        percent = self.percent
        if not percent or percent >= 99 or not self.rate:
            return ""
        rest = self.elapsed * (100 - percent) / percent
        if rest < A_MOMENT:
            return _("a few seconds left")
        return _("about %(time)s left") % {"time": wording.duration(rest)}

    @property
    def log(self) -> str:
        """The last lines of the log, without a last line that is already shown above."""
        lines = self.run.log.splitlines()
        if lines and self.run.message and lines[-1].partition(" ")[2] == self.run.message:
            del lines[-1]
        return "\n".join(lines[-LOG_LINES:])

    @property
    def is_stopping(self) -> bool:
        """Whether it was asked to stop and is still running."""
        return self.run.is_active and self.run.cancel_requested_at is not None

    @property
    def is_open(self) -> bool:
        """Whether it has opened a backup that is still open."""
        is_done = self.run.kind == Kind.OPEN and self.run.status == Status.SUCCEEDED
        return is_done and OpenedBackup.objects.staying().filter(pk=self.run.pk).exists()

    @property
    def is_stale(self) -> bool:
        """Whether it is marked as active but writes no heartbeat."""
        return api.has_lost_its_process(self.run)

    @property
    def hint(self) -> str:
        """The hint of its error, unless the reassurance says the same."""
        return "" if self.reassurance and self.run.hint == _(NOTHING_CHANGED) else self.run.hint

    @property
    def reassurance(self) -> str:
        """The most important fact about a failed restore."""
        # If its process died, the progress is unknown: the restore may have been committed at the last moment.
        ended = self.run.status in (Status.FAILED, Status.CANCELLED) and not self.run.is_half_done
        if self.run.kind != Kind.DB_RESTORE or not ended:
            return ""
        return _("The database is as it was before: this restore is all-or-nothing.")
