"""The backups on the remote, as a model without a table."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from django.db import NotSupportedError, models
from django.utils.translation import gettext_lazy as _
from django.utils.translation import pgettext_lazy

from ..core.check_marks import Level
from ..core.retention import SAFETY_PERIOD
from ..core.states import State
from .fields import ListedDateTimeField
from .queryset import BackupQuerySet
from .runs import Trigger


class Backup(models.Model):
    """One backup on the remote. Its rows come from the backup list, see :mod:`~django_rclone_admin.models.queryset`."""

    class Kind(models.TextChoices):
        DATABASE = "database", _("database")
        MEDIA = "media", _("media")

    class State(models.TextChoices):
        COMPLETE = State.COMPLETE.value, _("complete")
        LEGACY = State.LEGACY.value, _("legacy")
        DAMAGED = State.DAMAGED.value, _("damaged")

    class Level(models.TextChoices):
        CHECKSUM = Level.CHECKSUM.value, _("checksum")
        STRUCTURE = Level.STRUCTURE.value, _("structure")
        RESTORE = Level.RESTORE.value, _("restored")
        SITE = Level.SITE.value, _("read by the site")

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

    path = models.CharField(_("path"), max_length=500, primary_key=True)
    name = models.CharField(_("name"), max_length=500)
    kind = models.CharField(_("kind"), max_length=20, choices=Kind.choices)
    database = models.CharField(_("database"), max_length=100)
    taken_at = ListedDateTimeField(_("taken"))
    size = models.BigIntegerField(_("size"))
    state = models.CharField(_("state"), max_length=20, choices=State.choices)
    pinned = models.BooleanField(_("pinned"), default=False)
    proven = models.CharField(_("proven"), max_length=20, choices=Level.choices, blank=True)
    proven_at = ListedDateTimeField(_("proven"), null=True)
    failed = models.CharField(_("failed check"), max_length=20, choices=Level.choices, blank=True)
    checks = models.JSONField(_("checks"), default=list)
    engine = models.CharField(_("engine"), max_length=50, blank=True)
    connector = models.CharField(_("connector"), max_length=200, blank=True)
    finished_at = ListedDateTimeField(pgettext_lazy("time", "finished"), null=True)
    raw_size = models.BigIntegerField(_("size before compression"), null=True)
    sha256 = models.CharField("SHA-256", max_length=64, blank=True)
    compression = models.CharField(_("compression"), max_length=20, blank=True)
    server_version = models.CharField(_("server version"), max_length=50, blank=True)
    tool_version = models.CharField(_("tool version"), max_length=50, blank=True)
    django_version = models.CharField(_("Django version"), max_length=50, blank=True)
    package_version = models.CharField(_("package version"), max_length=50, blank=True)
    migrations = models.JSONField(_("migrations"), default=dict)
    tables = models.JSONField(_("tables"), default=list)
    contents = models.JSONField(_("other contents"), default=dict)
    left_out = models.JSONField(_("left out"), default=dict)
    warnings = models.JSONField(_("warnings"), default=list)
    label = models.CharField(_("label"), max_length=200, blank=True)
    trigger = models.CharField(_("started from"), max_length=20, choices=Trigger.choices, blank=True)
    run = models.CharField(_("run"), max_length=40, blank=True)
    host = models.CharField(_("host"), max_length=255, blank=True)
    files = models.BigIntegerField(_("files"), null=True)
    group = models.CharField(_("made together"), max_length=40, blank=True)

    objects = BackupQuerySet.as_manager()

    class Meta:
        managed = False
        # Queries by the base manager, such as “dumpdata --all”, must not use a table either.
        base_manager_name = "objects"
        verbose_name = _("backup")
        verbose_name_plural = _("backups")
        ordering = ("-taken_at", "-name")
        default_permissions = ("view", "delete")
        permissions = [
            ("run_backup", _("Can run a backup")),
            ("restore_backup", _("Can restore a backup")),
            ("verify_backup", _("Can verify a backup")),
            ("open_backup", _("Can open a backup and see all its rows")),
            ("download_backup", _("Can download a backup")),
            ("pin_backup", _("Can pin a backup")),
        ]

    def __str__(self) -> str:
        return self.name

    def save(self, *args: Any, **kwargs: Any) -> None:
        raise NotSupportedError("A backup is made by a run, and never changed.")

    def delete(self, *args: Any, **kwargs: Any) -> tuple[int, dict[str, int]]:
        """Remove the backup from the remote, with its manifest, its pin, and file versions that only it needs."""
        return Backup.objects.filter(path=self.path).delete()

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
