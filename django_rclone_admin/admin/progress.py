"""A run at one moment, in the words and numbers that its progress shows."""

from __future__ import annotations

from datetime import timedelta

from django.utils.translation import gettext as _

from .. import api, wording
from ..models import BackupRun, Kind, OpenedBackup, Status

LOG_LINES = 12


class Progress:
    """What the template of a run's progress needs; the same for the page and for each poll."""

    def __init__(self, run: BackupRun) -> None:
        self.run = run

    @property
    def title(self) -> str:
        """What the run does, in one line."""
        titles = {
            Kind.DB_BACKUP.value: _("Backing up %(database)s"),
            Kind.DB_RESTORE.value: _("Restoring %(database)s"),
            Kind.MEDIA_BACKUP.value: _("Backing up the media files"),
            Kind.MEDIA_RESTORE.value: _("Restoring the media files"),
            Kind.PRUNE.value: _("Cleaning up %(database)s"),
            Kind.OPEN.value: _("Opening a backup of %(database)s"),
        }
        template = titles.get(self.run.kind)
        return template % {"database": self.run.database} if template else str(self.run)

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
        if not self.run.is_active and self.run.size is not None:
            return _("%(size)s stored, %(raw)s uncompressed") % {
                "size": wording.size(self.run.size),
                "raw": wording.size(self.run.raw_size),
            }
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
        """The last lines of the log."""
        return "\n".join(self.run.log.splitlines()[-LOG_LINES:])

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
        return _("The database is as it was before: a restore happens as a whole or not at all.")
