"""A run at one moment, in the words and numbers that its progress shows."""

from __future__ import annotations

from datetime import timedelta

from django.utils.translation import gettext as _

from .. import api, wording
from ..models import BackupRun, Kind, OpenedBackup, Status
from .run_link import key_of

LOG_LINES = 12


class Progress:
    """What the template of a run's progress needs; the same for the page and for each poll."""

    def __init__(self, run: BackupRun) -> None:
        self.run = run

    @property
    def name(self) -> str:
        """What the run does as long as it does it, and what it was afterwards; its status stands beside."""
        doing, was = self._words()
        return (doing if self.run.is_active else was) % {"database": self.run.database}

    @property
    def title(self) -> str:
        """What the run does, or how it ended, in one line."""
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
    def outcome(self) -> str:
        """How it ended, for somebody who may see no more of it than that; empty as long as it has not."""
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
        """What its address needs to be answered when a restore has replaced the sessions."""
        return key_of(self.run)

    @property
    def is_undo(self) -> bool:
        """Whether it puts back what another restore has replaced."""
        return api.is_undo(self.run)

    def _words(self) -> tuple[str, str]:
        """Return what is said of the run as long as it works, and afterwards."""
        if self.is_undo:
            return _("Undoing the restore of %(database)s"), _("Undo of the restore of %(database)s")
        words = {
            Kind.DB_BACKUP.value: (_("Backing up %(database)s"), _("Backup of %(database)s")),
            Kind.DB_RESTORE.value: (_("Restoring %(database)s"), _("Restore of %(database)s")),
            Kind.MEDIA_BACKUP.value: (_("Backing up the media files"), _("Backup of the media files")),
            Kind.MEDIA_RESTORE.value: (_("Restoring the media files"), _("Restore of the media files")),
            Kind.PRUNE.value: (_("Cleaning up %(database)s"), _("Clean-up of %(database)s")),
            Kind.VERIFY.value: (_("Checking backups of %(database)s"), _("Check of backups of %(database)s")),
            Kind.OPEN.value: (
                _("Opening a backup of %(database)s"),
                _("Opening of a backup of %(database)s"),
            ),
        }
        other = str(self.run).capitalize().replace("%", "%%")
        return words.get(self.run.kind, (other, other))

    @property
    def percent(self) -> int | None:
        """How far it is, by the size of the last run of its kind; ``None`` when nobody knows."""
        if not self.run.bytes_total:
            return None
        return min(99, self.run.bytes_done * 100 // self.run.bytes_total)

    @property
    def amount(self) -> str:
        """How many bytes have moved."""
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
        if not self.run.bytes_total:
            return done
        return _("%(done)s of about %(total)s") % {"done": done, "total": wording.size(self.run.bytes_total)}

    @property
    def elapsed(self) -> timedelta:
        """How long it has been at work."""
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
        """How long it will still take, at this rate; empty when nobody knows."""
        percent = self.percent
        if not percent or percent >= 99 or not self.rate:
            return ""
        rest = self.elapsed * (100 - percent) / percent
        return _("about %(time)s left") % {"time": wording.duration(rest)}

    @property
    def log(self) -> str:
        """The last lines of the log, without a last one that says what stands above it."""
        lines = self.run.log.splitlines()
        if lines and self.run.message and lines[-1].partition(" ")[2] == self.run.message:
            del lines[-1]
        return "\n".join(lines[-LOG_LINES:])

    @property
    def is_stopping(self) -> bool:
        """Whether it was told to stop and has not yet."""
        return self.run.is_active and self.run.cancel_requested_at is not None

    @property
    def is_open(self) -> bool:
        """Whether it has opened a backup that is still there."""
        is_done = self.run.kind == Kind.OPEN and self.run.status == Status.SUCCEEDED
        return is_done and OpenedBackup.objects.staying().filter(pk=self.run.pk).exists()

    @property
    def is_stale(self) -> bool:
        """Whether it says that it works, but gives no sign of life."""
        return api.has_lost_its_process(self.run)

    @property
    def reassurance(self) -> str:
        """For a restore that did not succeed: what matters most then."""
        # Of one whose process died nobody knows how far it was: it may have committed in its last moment.
        ended = self.run.status in (Status.FAILED, Status.CANCELLED) and not self.run.is_half_done
        if self.run.kind != Kind.DB_RESTORE or not ended:
            return ""
        return _("The database is as it was before: this restore is all-or-nothing.")
