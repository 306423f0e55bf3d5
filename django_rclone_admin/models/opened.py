"""The opened backups: restored temporarily and read-only, separate from the live database."""

from __future__ import annotations

import uuid
from datetime import datetime

from django.db import models
from django.utils.translation import gettext_lazy

from .. import clock
from .fields import AwareDateTimeField


class OpenedBackupQuerySet(models.QuerySet["OpenedBackup"]):
    """Opened backups, with queries in terms of the domain."""

    def staying(self) -> OpenedBackupQuerySet:
        """Return those that are complete and open to everyone, not reserved for one run or process."""
        return self.filter(run=None, process="")

    def for_everybody(self) -> OpenedBackupQuerySet:
        """Return those, and those that are being filled; an opened backup has the id of the run that opens it."""
        return self.filter(process="").filter(models.Q(run=None) | models.Q(run=models.F("id")))


class OpenedBackup(models.Model):
    """A backup that was restored into a separate place, and its Django alias.

    The row is created before the place and deleted after it. So a place without a row is abandoned. While it is being
    filled, or if it is reserved for one run, ``run`` is set; ``process`` is set if it is reserved for one process.

    Like the history, this table is never in backups: it describes places of this server.
    """

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    path = models.CharField(
        gettext_lazy("path"), max_length=500, help_text=gettext_lazy("Of the backup, relative to the remote.")
    )
    database = models.CharField(gettext_lazy("database"), max_length=100)
    server = models.CharField(
        gettext_lazy("server"), max_length=100, help_text=gettext_lazy("The alias whose server holds it.")
    )
    vendor = models.CharField(gettext_lazy("engine"), max_length=50)
    place = models.CharField(
        gettext_lazy("place"),
        max_length=500,
        help_text=gettext_lazy("The name of its database or schema, or the path of its file."),
    )
    host = models.CharField(gettext_lazy("host"), max_length=255, blank=True)
    opened_at = AwareDateTimeField(gettext_lazy("opened"), default=clock.now)
    expires_at = AwareDateTimeField(gettext_lazy("expires"))
    opened_by = models.CharField(gettext_lazy("opened by"), max_length=150, blank=True)
    taken_at = AwareDateTimeField(gettext_lazy("taken"), null=True)
    seconds = models.FloatField(
        gettext_lazy("seconds"), default=0, help_text=gettext_lazy("That the opening took.")
    )
    run = models.UUIDField(
        gettext_lazy("run"),
        null=True,
        editable=False,
        help_text=gettext_lazy("The run that it is there for."),
    )
    process = models.CharField(max_length=200, blank=True, editable=False)
    rows = models.JSONField(
        gettext_lazy("rows"), default=dict, blank=True, help_text=gettext_lazy("Of each table.")
    )

    objects = OpenedBackupQuerySet.as_manager()

    class Meta:
        verbose_name = gettext_lazy("opened backup")
        verbose_name_plural = gettext_lazy("opened backups")
        ordering = ("-opened_at",)
        default_permissions = ()

    def __str__(self) -> str:
        return self.path.rpartition("/")[2]

    @property
    def alias(self) -> str:
        """The Django alias of its connection."""
        return f"backup_{self.id.hex[:8]}"

    def as_dict(self) -> dict[str, object]:
        """Return the fields for the JSON output of commands."""
        shown = {field.name: getattr(self, field.name) for field in self._meta.fields if field.editable}
        times = {key: value.isoformat() for key, value in shown.items() if isinstance(value, datetime)}
        return {"id": str(self.id), "alias": self.alias, **shown, **times}
