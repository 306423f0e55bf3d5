"""The backups on the remote, as a model without a table."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from django.core.checks import CheckMessage
from django.db import NotSupportedError, models
from django.utils.translation import gettext_lazy, pgettext_lazy

from ..core.check_marks import Level
from ..core.retention import SAFETY_PERIOD
from ..core.states import State
from .fields import ListedDateTimeField
from .queryset import BackupQuerySet
from .runs import Trigger


class Backup(models.Model):
    """One backup on the remote. Its rows come from the backup list, see :mod:`~django_rclone_admin.models.queryset`."""

    class Kind(models.TextChoices):
        DATABASE = "database", gettext_lazy("database")
        MEDIA = "media", gettext_lazy("media")

    class State(models.TextChoices):
        COMPLETE = State.COMPLETE.value, gettext_lazy("complete")
        LEGACY = State.LEGACY.value, gettext_lazy("legacy")
        DAMAGED = State.DAMAGED.value, gettext_lazy("damaged")

    class Level(models.TextChoices):
        CHECKSUM = Level.CHECKSUM.value, gettext_lazy("checksum")
        STRUCTURE = Level.STRUCTURE.value, gettext_lazy("structure")
        RESTORE = Level.RESTORE.value, gettext_lazy("restored")
        SITE = Level.SITE.value, gettext_lazy("read by the site")

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
        "contents",
        "left_out",
        "warnings",
        "label",
        "trigger",
        "run",
        "host",
        "files",
        "group",
    )

    path = models.CharField(gettext_lazy("path"), max_length=500, primary_key=True)
    name = models.CharField(gettext_lazy("name"), max_length=500)
    kind = models.CharField(gettext_lazy("kind"), max_length=20, choices=Kind.choices)
    database = models.CharField(gettext_lazy("database"), max_length=100)
    taken_at = ListedDateTimeField(gettext_lazy("taken"))
    size = models.BigIntegerField(gettext_lazy("size"))
    state = models.CharField(gettext_lazy("state"), max_length=20, choices=State.choices)
    pinned = models.BooleanField(gettext_lazy("pinned"), default=False)
    proven = models.CharField(gettext_lazy("proven"), max_length=20, choices=Level.choices, blank=True)
    proven_at = ListedDateTimeField(gettext_lazy("proven"), null=True)
    failed = models.CharField(gettext_lazy("failed check"), max_length=20, choices=Level.choices, blank=True)
    checks = models.JSONField(gettext_lazy("checks"), default=list)
    engine = models.CharField(gettext_lazy("engine"), max_length=50, blank=True)
    connector = models.CharField(gettext_lazy("connector"), max_length=200, blank=True)
    finished_at = ListedDateTimeField(pgettext_lazy("time", "finished"), null=True)
    raw_size = models.BigIntegerField(gettext_lazy("size before compression"), null=True)
    sha256 = models.CharField("SHA-256", max_length=64, blank=True)
    compression = models.CharField(gettext_lazy("compression"), max_length=20, blank=True)
    server_version = models.CharField(gettext_lazy("server version"), max_length=50, blank=True)
    tool_version = models.CharField(gettext_lazy("tool version"), max_length=50, blank=True)
    django_version = models.CharField(gettext_lazy("Django version"), max_length=50, blank=True)
    package_version = models.CharField(gettext_lazy("package version"), max_length=50, blank=True)
    migrations = models.JSONField(gettext_lazy("migrations"), default=dict)
    tables = models.JSONField(gettext_lazy("tables"), default=list)
    contents = models.JSONField(gettext_lazy("other contents"), default=dict)
    left_out = models.JSONField(gettext_lazy("left out"), default=dict)
    warnings = models.JSONField(gettext_lazy("warnings"), default=list)
    label = models.CharField(gettext_lazy("label"), max_length=200, blank=True)
    trigger = models.CharField(
        gettext_lazy("started from"), max_length=20, choices=Trigger.choices, blank=True
    )
    run = models.CharField(gettext_lazy("run"), max_length=40, blank=True)
    host = models.CharField(gettext_lazy("host"), max_length=255, blank=True)
    files = models.BigIntegerField(gettext_lazy("files"), null=True)
    group = models.CharField(gettext_lazy("made together"), max_length=40, blank=True)

    objects = BackupQuerySet.as_manager()

    class Meta:
        managed = False
        # Queries by the base manager, such as “dumpdata --all”, must not use a table either.
        base_manager_name = "objects"
        verbose_name = gettext_lazy("backup")
        verbose_name_plural = gettext_lazy("backups")
        ordering = ("-taken_at", "-name")
        default_permissions = ("view", "delete")
        permissions = [
            ("run_backup", gettext_lazy("Can run a backup")),
            ("restore_backup", gettext_lazy("Can restore a backup")),
            ("verify_backup", gettext_lazy("Can verify a backup")),
            ("open_backup", gettext_lazy("Can open a backup and see all its rows")),
            ("download_backup", gettext_lazy("Can download a backup")),
            ("pin_backup", gettext_lazy("Can pin a backup")),
        ]

    def __str__(self) -> str:
        return self.name

    def save(self, *args: Any, **kwargs: Any) -> None:
        raise NotSupportedError("A backup is made by a run, and never changed.")

    def delete(self, *args: Any, **kwargs: Any) -> tuple[int, dict[str, int]]:
        """Remove the backup from the remote, with its manifest, its pin, and file versions that only it needs."""
        return Backup.objects.filter(path=self.path).delete()

    @classmethod
    def check(cls, **kwargs: Any) -> list[CheckMessage]:
        # There is no table, so what a database thinks of its columns does not matter.
        return super().check(**{**kwargs, "databases": []})

    def refresh_from_db(self, *args: Any, **kwargs: Any) -> None:
        fresh = Backup.objects.get(path=self.path)
        for field in self._meta.concrete_fields:
            setattr(self, field.name, getattr(fresh, field.name))

    @property
    def is_restorable(self) -> bool:
        """Whether a restore may be tried. Without a manifest, the needed file versions of a media backup are
        unknown."""
        return self.state == self.State.COMPLETE or (self.state == self.State.LEGACY and not self.is_media)

    @property
    def is_media(self) -> bool:
        """Whether this is a media backup."""
        return self.kind == self.Kind.MEDIA

    @property
    def kept_until(self) -> datetime | None:
        """The time until which a safety backup is kept; ``None`` for other backups, which follow the retention
        rules."""
        taken_at: datetime = self.taken_at
        return taken_at + SAFETY_PERIOD if self.trigger == Trigger.SAFETY else None
