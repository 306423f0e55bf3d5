"""The run history. It is history only: the remote tells which backups exist."""

from __future__ import annotations

import uuid
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Self

from django.db import models
from django.utils.translation import gettext_lazy, pgettext_lazy

from .. import clock
from ..conf import get_settings
from ..core.identity import Identity
from ..core.printable import printable
from . import beats
from .fields import AwareDateTimeField

LOG_CHARACTERS = 64_000
INTERNAL = frozenset({"lock", "identity", "number"})
"""Internal fields."""
UNTAKEN_AFTER = timedelta(days=1)
"""How long a run may wait in a task queue. A worker that takes it later finds it closed, and does nothing."""


class Kind(models.TextChoices):
    """The kind of work of a run."""

    DB_BACKUP = "db_backup", gettext_lazy("database backup")
    DB_RESTORE = "db_restore", gettext_lazy("database restore")
    MEDIA_BACKUP = "media_backup", gettext_lazy("media backup")
    MEDIA_RESTORE = "media_restore", gettext_lazy("media restore")
    VERIFY = "verify", gettext_lazy("check")
    PRUNE = "prune", gettext_lazy("clean-up")
    OPEN = "open", gettext_lazy("opening of a backup")
    COPY = "copy", gettext_lazy("copying of backups")


READERS = (Kind.VERIFY, Kind.OPEN, Kind.COPY)
"""Kinds that change neither a database nor its backups."""


class Status(models.TextChoices):
    """The state of a run. The first two are active and hold the lock; the others are final."""

    QUEUED = "queued", gettext_lazy("queued")
    RUNNING = "running", gettext_lazy("running")
    SUCCEEDED = "succeeded", gettext_lazy("succeeded")
    FAILED = "failed", gettext_lazy("failed")
    CANCELLED = "cancelled", gettext_lazy("cancelled")
    INTERRUPTED = "interrupted", gettext_lazy("interrupted")
    """Its process ended unexpectedly."""


ACTIVE = (Status.QUEUED, Status.RUNNING)


def is_run_id(text: str) -> bool:
    """Whether a text is a valid id of a run."""
    try:
        uuid.UUID(text)
    except ValueError:
        return False
    return True


class Trigger(models.TextChoices):
    """What started a run."""

    ADMIN = "admin", gettext_lazy("admin")
    COMMAND = "command", gettext_lazy("command")
    SCHEDULE = "schedule", gettext_lazy("schedule")
    API = "api", gettext_lazy("API")
    SAFETY = "safety", gettext_lazy("before a restore")


USER_LENGTH = 150
"""Characters of a user name that a run stores: the limit of Django's own users. An e-mail address may be longer."""
LABEL_LENGTH = 200
"""Characters of a label that a run stores."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Origin:
    """The trigger of a run and the person who requested it."""

    trigger: str = Trigger.API
    """A :class:`Trigger`."""
    requested_by: str = ""
    """A user name."""

    @classmethod
    def of(cls, run: BackupRun) -> Self:
        """Return the origin of a run, for further runs that it starts."""
        return cls(trigger=run.trigger, requested_by=run.requested_by)

    def as_fields(self, label: str = "") -> dict[str, Any]:
        """Return the origin, and a label, as fields of a run: what a person has typed never prevents a backup."""
        return {
            "trigger": self.trigger,
            "requested_by": printable(self.requested_by)[:USER_LENGTH],
            "label": printable(label)[:LABEL_LENGTH],
        }


API = Origin()


class BackupRunQuerySet(models.QuerySet["BackupRun"]):
    """Runs, with queries in terms of the domain."""

    def active(self) -> BackupRunQuerySet:
        """Return queued and running runs."""
        return self.filter(status__in=ACTIVE)

    def stale(self) -> BackupRunQuerySet:
        """Return active runs without a heartbeat for ``STALE_AFTER`` seconds, and those that no worker has taken.

        A run in a task queue writes no heartbeat: it becomes stale after ``UNTAKEN_AFTER``.
        """
        active = self.active().defer("log")
        return self.filter(pk__in=[run.pk for run in active if run.is_silent(self.db)])

    def last_end(self) -> str:
        """Return a text that changes whenever a run ends, in any process."""
        ended = self.filter(finished_at__isnull=False).order_by("-finished_at", "-pk")
        return " ".join(map(str, ended.values_list("pk", "finished_at").first() or ()))


class BackupRun(models.Model):
    """One run: a backup, a restore, a check, a clean-up, an opening or a copy.

    The column ``lock`` is unique while the run is active and NULL afterwards, so that on every database engine at most
    one run works on a database at any moment. The table uses no foreign keys: this table must survive every restore.
    """

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    kind = models.CharField(gettext_lazy("kind"), max_length=20, choices=Kind.choices)
    status = models.CharField(
        gettext_lazy("status"), max_length=20, choices=Status.choices, default=Status.QUEUED
    )
    lock = models.CharField(  # noqa: DJ001  (NULL, because only NULLs may repeat in a unique column)
        max_length=150, null=True, unique=True, editable=False
    )
    database = models.CharField(gettext_lazy("database"), max_length=100, blank=True)
    path = models.CharField(
        gettext_lazy("path"),
        max_length=500,
        blank=True,
        help_text=gettext_lazy("Of the backup, relative to the remote."),
    )
    label = models.CharField(gettext_lazy("label"), max_length=LABEL_LENGTH, blank=True)
    trigger = models.CharField(
        gettext_lazy("started from"), max_length=20, choices=Trigger.choices, default=Trigger.API
    )
    requested_by = models.CharField(gettext_lazy("started by"), max_length=USER_LENGTH, blank=True)
    options = models.JSONField(gettext_lazy("options"), default=dict, blank=True)
    created_at = AwareDateTimeField(gettext_lazy("created"), default=clock.now, db_index=True)
    started_at = AwareDateTimeField(pgettext_lazy("time", "started"), null=True)
    finished_at = AwareDateTimeField(pgettext_lazy("time", "finished"), null=True)
    heartbeat_at = AwareDateTimeField(gettext_lazy("last heartbeat"), null=True)
    cancel_requested_at = AwareDateTimeField(gettext_lazy("cancel requested"), null=True)
    bytes_done = models.BigIntegerField(gettext_lazy("bytes done"), default=0)
    bytes_total = models.BigIntegerField(
        gettext_lazy("bytes in total"), null=True, help_text=gettext_lazy("An estimate while it runs.")
    )
    size = models.BigIntegerField(gettext_lazy("size"), null=True, help_text=gettext_lazy("Stored bytes."))
    raw_size = models.BigIntegerField(gettext_lazy("size before compression"), null=True)
    sha256 = models.CharField("SHA-256", max_length=64, blank=True)
    message = models.TextField(gettext_lazy("message"), blank=True)
    hint = models.TextField(gettext_lazy("hint"), blank=True)
    log = models.TextField(gettext_lazy("log"), blank=True)
    host = models.CharField(gettext_lazy("host"), max_length=255, blank=True)
    pid = models.IntegerField(gettext_lazy("process"), null=True)
    identity = models.CharField(max_length=200, null=True, editable=False)  # noqa: DJ001  (NULL: not known)
    number = models.BigIntegerField(
        null=True,
        editable=False,
        help_text=gettext_lazy("The place of a restore in the order of the restores."),
    )

    objects = BackupRunQuerySet.as_manager()

    class Meta:
        verbose_name = gettext_lazy("run")
        verbose_name_plural = gettext_lazy(
            "run history"
        )  # the list, in menus; its rows are counted as “runs”
        ordering = ("-created_at",)
        default_permissions = ("view",)
        permissions = [("cancel_backuprun", gettext_lazy("Can cancel a run"))]
        indexes = [models.Index(fields=["finished_at"], name="dra_run_finished")]

    def __str__(self) -> str:
        return f"{self.get_kind_display()} {self.database}".strip()

    @property
    def is_active(self) -> bool:
        """Whether it is queued or running."""
        return self.status in ACTIVE

    @property
    def duration(self) -> timedelta | None:
        """How long it ran, or has been running."""
        started: datetime | None = self.started_at
        finished: datetime | None = self.finished_at
        return None if started is None else (finished or clock.now()) - started

    @property
    def is_half_done(self) -> bool:
        """Whether it has ended after possibly changing a part of its target."""
        return not self.is_active and bool(self.options.get("unfinished"))

    @property
    def process(self) -> Identity | None:
        """The process that executes it, or in which it waits, if known."""
        return Identity.parse(self.identity)

    @property
    def lock_name(self) -> str:
        """The name of its lock: for one database, the media files, or reading the backups of a database.

        Runs that only read have a separate lock, so that they never block a backup.
        """
        if self.kind in READERS:
            return f"read:{self.database}"
        is_media = self.kind in (Kind.MEDIA_BACKUP, Kind.MEDIA_RESTORE) or (self.kind, self.database) == (
            Kind.PRUNE,
            "media",
        )
        return "media" if is_media else f"db:{self.database}"

    def is_dead(self) -> bool | None:
        """Whether its process has ended; ``None`` where this process can't see it."""
        process = self.process
        return process.is_dead() if process and process.pid == self.pid else None

    def is_silent(self, alias: str) -> bool:
        """Whether its last heartbeat is ``STALE_AFTER`` seconds old; without a heartbeat, whether no worker has taken
        it.

        :param alias: the database of the history.
        """
        if self.heartbeat_at is not None:
            silence = beats.silence(self.heartbeat_at, self.process, self.pk, alias)
            return silence > timedelta(seconds=get_settings().stale_after)
        return self.status == Status.QUEUED and beats.now(alias) - self.created_at > UNTAKEN_AFTER

    def write_log(self, line: str) -> None:
        """Append a line to the log; a long log keeps only its end. Does not save."""
        stamp = clock.now().strftime("%H:%M:%S")
        self.log = f"{self.log}{stamp} {line}\n"[-LOG_CHARACTERS:]

    def end(self, status: Status, message: str, hint: str = "", *, at: datetime | None = None) -> None:
        """Set the outcome and release the lock. Does not save.

        :param at: the time by the history's clock.
        """
        self.status, self.message, self.hint, self.lock = status, message, hint, None
        self.finished_at = at or clock.now()

    def as_dict(self) -> dict[str, object]:
        """Return the fields for the JSON output of commands."""
        shown = {
            field.name: getattr(self, field.name) for field in self._meta.fields if field.name not in INTERNAL
        }
        return {
            key: value.isoformat() if isinstance(value, datetime) else str(value) if key == "id" else value
            for key, value in shown.items()
        }
