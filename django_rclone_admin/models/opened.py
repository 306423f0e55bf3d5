"""The opened backups: restored beside everything live, read-only, for a while."""

from __future__ import annotations

import uuid

from django.db import models
from django.utils.translation import gettext_lazy as _

from .. import clock
from .fields import AwareDateTimeField


class OpenedBackup(models.Model):
    """A backup that was restored into a place of its own, and its Django alias.

    Like the history, this table never travels in backups: what it names exists on this server alone.
    """

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    path = models.CharField(_("path"), max_length=500, help_text=_("Of the backup, relative to the remote."))
    database = models.CharField(_("database"), max_length=100)
    server = models.CharField(_("server"), max_length=100, help_text=_("The alias whose server holds it."))
    vendor = models.CharField(_("engine"), max_length=50)
    place = models.CharField(
        _("place"),
        max_length=500,
        help_text=_("The name of its database or schema, or the path of its file."),
    )
    host = models.CharField(_("host"), max_length=255, blank=True)
    opened_at = AwareDateTimeField(_("opened"), default=clock.now)
    expires_at = AwareDateTimeField(_("expires"))
    opened_by = models.CharField(_("opened by"), max_length=150, blank=True)
    rows = models.JSONField(_("rows"), default=dict, blank=True, help_text=_("Of each table."))

    class Meta:
        verbose_name = _("opened backup")
        verbose_name_plural = _("opened backups")
        ordering = ("-opened_at",)
        default_permissions = ()

    def __str__(self) -> str:
        return self.path.rpartition("/")[2]

    @property
    def alias(self) -> str:
        """The Django alias that reads it."""
        return f"backup_{self.id.hex[:8]}"
