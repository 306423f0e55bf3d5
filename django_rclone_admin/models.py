"""The run history. It is history only: what backups there are is asked of the remote."""

from __future__ import annotations

import uuid
from datetime import datetime, timedelta
from typing import Any

from django.db import NotSupportedError, models
from django.utils import timezone
from django.utils.translation import gettext_lazy as _
from django.utils.translation import pgettext_lazy

from .conf import get_settings
from .engine.catalog import State
from .listing import BackupQuerySet

LOG_CHARACTERS = 64_000
UNFINISHED = "unfinished"
"""In the options of a run while it changes a database; left there only where nobody knows how far that came."""
UNTAKEN_AFTER = timedelta(days=1)
"""How long a run may wait in a queue of tasks. A worker that takes it later finds it ended, and does nothing."""


class Kind(models.TextChoices):
    """What a run does."""

    DB_BACKUP = "db_backup", _("database backup")
    DB_RESTORE = "db_restore", _("database restore")
    MEDIA_BACKUP = "media_backup", _("media backup")
    MEDIA_RESTORE = "media_restore", _("media restore")
    VERIFY = "verify", _("verification")
    PRUNE = "prune", _("clean-up")


class Status(models.TextChoices):
    """Where a run stands. The first two are active and hold the lock; the others are final."""

    QUEUED = "queued", _("queued")
    RUNNING = "running", _("running")
    SUCCEEDED = "succeeded", _("succeeded")
    FAILED = "failed", _("failed")
    CANCELLED = "cancelled", _("cancelled")
    INTERRUPTED = "interrupted", _("interrupted")
    """The process that worked on it went away."""


ACTIVE = (Status.QUEUED, Status.RUNNING)


class Trigger(models.TextChoices):
    """What started a run."""

    ADMIN = "admin", _("admin")
    COMMAND = "command", _("command")
    SCHEDULE = "schedule", _("schedule")
    API = "api", _("API")
    SAFETY = "safety", _("before a restore")


class BackupRunQuerySet(models.QuerySet["BackupRun"]):
    """Runs, asked in the words of the domain."""

    def active(self) -> BackupRunQuerySet:
        """Runs that wait or work."""
        return self.filter(status__in=ACTIVE)

    def stale(self) -> BackupRunQuerySet:
        """Active runs whose heart has not beaten for ``STALE_AFTER`` seconds, and those that no worker ever takes.

        Nobody's heart beats for a run in a queue of tasks: it waits for as long as ``UNTAKEN_AFTER``.
        """
        now = timezone.now()
        silent = models.Q(heartbeat_at__lt=now - timedelta(seconds=get_settings().stale_after))
        untaken = models.Q(
            status=Status.QUEUED, heartbeat_at__isnull=True, created_at__lt=now - UNTAKEN_AFTER
        )
        return self.active().filter(silent | untaken)


class BackupRun(models.Model):
    """One piece of work: a backup, a restore, a verification or a clean-up.

    ``lock`` is the lock: unique while the run is active, NULL afterwards, so that on every database engine at most one
    run works on a database at any moment. No foreign keys: this table must survive every restore.
    """

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    kind = models.CharField(_("kind"), max_length=20, choices=Kind.choices)
    status = models.CharField(_("status"), max_length=20, choices=Status.choices, default=Status.QUEUED)
    lock = models.CharField(  # noqa: DJ001  (NULL, because only NULLs may repeat in a unique column)
        max_length=150, null=True, unique=True, editable=False
    )
    database = models.CharField(_("database"), max_length=100, blank=True)
    path = models.CharField(
        _("path"), max_length=500, blank=True, help_text=_("Of the backup, relative to the remote.")
    )
    label = models.CharField(_("label"), max_length=200, blank=True)
    trigger = models.CharField(_("started from"), max_length=20, choices=Trigger.choices, default=Trigger.API)
    requested_by = models.CharField(_("started by"), max_length=150, blank=True)
    options = models.JSONField(_("options"), default=dict, blank=True)
    created_at = models.DateTimeField(_("created"), default=timezone.now, db_index=True)
    started_at = models.DateTimeField(pgettext_lazy("time", "started"), null=True)
    finished_at = models.DateTimeField(pgettext_lazy("time", "finished"), null=True)
    heartbeat_at = models.DateTimeField(_("last sign of life"), null=True)
    cancel_requested_at = models.DateTimeField(_("cancel requested"), null=True)
    bytes_done = models.BigIntegerField(_("bytes done"), default=0)
    bytes_total = models.BigIntegerField(
        _("bytes in total"), null=True, help_text=_("An estimate while it runs.")
    )
    size = models.BigIntegerField(_("size"), null=True, help_text=_("Stored bytes."))
    raw_size = models.BigIntegerField(_("size before compression"), null=True)
    sha256 = models.CharField("SHA-256", max_length=64, blank=True)
    message = models.TextField(_("message"), blank=True)
    hint = models.TextField(_("hint"), blank=True)
    log = models.TextField(_("log"), blank=True)
    host = models.CharField(_("host"), max_length=255, blank=True)
    pid = models.IntegerField(_("process"), null=True)

    objects = BackupRunQuerySet.as_manager()

    class Meta:
        verbose_name = _("run")
        verbose_name_plural = _("runs")
        ordering = ("-created_at",)
        default_permissions = ("view",)
        permissions = [("cancel_backuprun", _("Can cancel a run"))]

    def __str__(self) -> str:
        return f"{self.get_kind_display()} {self.database}".strip()

    @property
    def is_active(self) -> bool:
        """Whether it waits or works."""
        return self.status in ACTIVE

    @property
    def duration(self) -> timedelta | None:
        """How long it worked, up to now if it still does."""
        if self.started_at is None:
            return None
        return (self.finished_at or timezone.now()) - self.started_at

    @property
    def is_half_done(self) -> bool:
        """Whether it has ended and may have changed a part of what it wanted to change."""
        return not self.is_active and bool(self.options.get(UNFINISHED))

    @property
    def lock_name(self) -> str:
        """What the run locks while it is active: one database, or the media."""
        is_media = self.kind in (Kind.MEDIA_BACKUP, Kind.MEDIA_RESTORE) or (self.kind, self.database) == (
            Kind.PRUNE,
            "media",
        )
        return "media" if is_media else f"db:{self.database}"

    def write_log(self, line: str) -> None:
        """Add a line to the log, which keeps its end when it gets too long. Does not save."""
        stamp = timezone.now().strftime("%H:%M:%S")
        self.log = f"{self.log}{stamp} {line}\n"[-LOG_CHARACTERS:]

    def end(self, status: Status, message: str, hint: str = "") -> None:
        """Set the outcome and give the lock back. Does not save."""
        self.status, self.message, self.hint, self.lock = status, message, hint, None
        self.finished_at = timezone.now()

    def as_dict(self) -> dict[str, object]:
        """Return what the JSON output of the commands shows."""
        shown = {field.name: getattr(self, field.name) for field in self._meta.fields if field.name != "lock"}
        return {
            key: value.isoformat() if isinstance(value, datetime) else str(value) if key == "id" else value
            for key, value in shown.items()
        }


class Backup(models.Model):
    """One backup on the remote. There is no table: rows come from the listing, see :mod:`~django_rclone_admin.listing`."""

    class Kind(models.TextChoices):
        DATABASE = "database", _("database")
        MEDIA = "media", _("media")

    class State(models.TextChoices):
        COMPLETE = State.COMPLETE.value, _("complete")
        LEGACY = State.LEGACY.value, _("legacy")
        DAMAGED = State.DAMAGED.value, _("damaged")

    FROM_MANIFEST = (
        "engine",
        "connector",
        "finished_at",
        "raw_size",
        "sha256",
        "compression",
        "server_version",
        "tool_version",
        "django_version",
        "package_version",
        "migrations",
        "tables",
        "label",
        "trigger",
        "run",
        "host",
        "files",
        "group",
    )

    path = models.CharField(_("path"), max_length=500, primary_key=True)
    name = models.CharField(_("name"), max_length=500)
    kind = models.CharField(_("kind"), max_length=20, choices=Kind.choices)
    database = models.CharField(_("database"), max_length=100)
    taken_at = models.DateTimeField(_("taken"))
    size = models.BigIntegerField(_("size"))
    state = models.CharField(_("state"), max_length=20, choices=State.choices)
    pinned = models.BooleanField(_("pinned"), default=False)
    engine = models.CharField(_("engine"), max_length=50, blank=True)
    connector = models.CharField(_("connector"), max_length=200, blank=True)
    finished_at = models.DateTimeField(pgettext_lazy("time", "finished"), null=True)
    raw_size = models.BigIntegerField(_("size before compression"), null=True)
    sha256 = models.CharField("SHA-256", max_length=64, blank=True)
    compression = models.CharField(_("compression"), max_length=20, blank=True)
    server_version = models.CharField(_("server version"), max_length=50, blank=True)
    tool_version = models.CharField(_("tool version"), max_length=50, blank=True)
    django_version = models.CharField(_("Django version"), max_length=50, blank=True)
    package_version = models.CharField(_("package version"), max_length=50, blank=True)
    migrations = models.JSONField(_("migrations"), default=dict)
    tables = models.JSONField(_("tables"), default=list)
    label = models.CharField(_("label"), max_length=200, blank=True)
    trigger = models.CharField(_("started from"), max_length=20, choices=Trigger.choices, blank=True)
    run = models.CharField(_("run"), max_length=40, blank=True)
    host = models.CharField(_("host"), max_length=255, blank=True)
    files = models.BigIntegerField(_("files"), null=True)
    group = models.CharField(_("made together"), max_length=40, blank=True)

    objects = BackupQuerySet.as_manager()

    class Meta:
        managed = False
        # What asks by the base manager, as “dumpdata --all” does, must not look for a table either.
        base_manager_name = "objects"
        verbose_name = _("backup")
        verbose_name_plural = _("backups")
        ordering = ("-taken_at", "-name")
        default_permissions = ("view", "delete")
        permissions = [
            ("run_backup", _("Can run a backup")),
            ("restore_backup", _("Can restore a backup")),
            ("verify_backup", _("Can verify a backup")),
            ("download_backup", _("Can download a backup")),
            ("pin_backup", _("Can pin a backup")),
        ]

    def __str__(self) -> str:
        return self.name

    def save(self, *args: Any, **kwargs: Any) -> None:
        raise NotSupportedError("A backup is made by a run, and never changed.")

    def delete(self, *args: Any, **kwargs: Any) -> tuple[int, dict[str, int]]:
        """Take the backup off the remote, with its manifest and its pin, and the versions of files that only it needs."""
        return Backup.objects.filter(path=self.path).delete()

    def refresh_from_db(self, *args: Any, **kwargs: Any) -> None:
        fresh = Backup.objects.get(path=self.path)
        for field in self._meta.concrete_fields:
            setattr(self, field.name, getattr(fresh, field.name))

    @property
    def is_restorable(self) -> bool:
        """Whether a restore may be tried. Without its manifest, nobody knows which versions a media backup needs."""
        return self.state == self.State.COMPLETE or (self.state == self.State.LEGACY and not self.is_media)

    @property
    def is_media(self) -> bool:
        """Whether it is one of the media files."""
        return self.kind == self.Kind.MEDIA
