"""The schedules: what is backed up, checked, cleaned up and copied, and when."""

from __future__ import annotations

from collections.abc import Iterable

from django.db import models
from django.utils.translation import gettext_lazy as _

from .fields import AwareDateTimeField


class Action(models.TextChoices):
    """What a schedule does."""

    BACKUP = "backup", _("back up")
    VERIFY = "verify", _("check backups")
    PRUNE = "prune", _("delete old backups")


class BackupSchedule(models.Model):
    """A piece of work and its times.

    It is the site's configuration and travels in backups like any other table: a restored server goes on backing up.
    """

    name = models.CharField(_("name"), max_length=100)
    action = models.CharField(_("what"), max_length=20, choices=Action.choices, default=Action.BACKUP)
    cron = models.CharField(_("when"), max_length=100, help_text=_("A cron expression, such as “0 2 * * *”."))
    time_zone = models.CharField(_("time zone"), max_length=64, default="UTC")
    databases = models.JSONField(
        _("databases"), default=list, blank=True, help_text=_("Empty: all databases.")
    )
    media = models.BooleanField(_("media files"), default=True)
    # takes the place of Model.clean, see full_clean
    clean = models.BooleanField(  # type: ignore[assignment]
        _("clean up"), default=False, help_text=_("Afterwards, delete old backups by your retention rules.")
    )
    level = models.CharField(_("check level"), max_length=20, blank=True)
    enabled = models.BooleanField(_("enabled"), default=True)
    paused_until = AwareDateTimeField(_("paused until"), null=True, blank=True)
    paused_reason = models.CharField(_("reason for the pause"), max_length=200, blank=True)
    start_within = models.PositiveIntegerField(
        _("start within"), default=0, help_text=_("Minutes. A later start is skipped. 0: however late.")
    )
    spread = models.PositiveIntegerField(
        _("spread"),
        default=0,
        help_text=_("Minutes over which the start is moved, so that sites take turns."),
    )
    next_run_at = AwareDateTimeField(_("next run"), null=True, editable=False)
    last_due_at = AwareDateTimeField(_("last due"), null=True, editable=False)
    last_run = models.UUIDField(_("last run"), null=True, editable=False)

    class Meta:
        verbose_name = _("schedule")
        verbose_name_plural = _("schedules")
        ordering = ("name",)

    def __str__(self) -> str:
        return self.name

    def full_clean(
        self,
        exclude: Iterable[str] | None = None,
        validate_unique: bool = True,
        validate_constraints: bool = True,
    ) -> None:
        """Do what Django does, but for ``Model.clean``: that name is the field's."""
        exclude = set(exclude or ())
        self.clean_fields(exclude=exclude)
        if validate_unique:
            self.validate_unique(exclude=exclude)
        if validate_constraints:
            self.validate_constraints(exclude=exclude)
