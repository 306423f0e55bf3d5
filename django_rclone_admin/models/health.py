"""The stored health of the site: the facts of the last look, and the notices that were sent."""

from __future__ import annotations

from django.db import models
from django.utils.translation import gettext_lazy

from .. import clock
from .fields import AwareDateTimeField


class SiteHealth(models.Model):
    """The facts of the last look at the backups, in one row. Like the history, it is never in backups."""

    name = models.CharField(primary_key=True, max_length=20, default="site", editable=False)
    facts = models.JSONField(gettext_lazy("facts"), default=dict)
    gathered_at = AwareDateTimeField(gettext_lazy("gathered"), default=clock.now)

    class Meta:
        verbose_name = gettext_lazy("health of the site")
        verbose_name_plural = gettext_lazy("health of the site")
        default_permissions = ()

    def __str__(self) -> str:
        return self.name


class Notice(models.Model):
    """A problem that is announced once when it appears and once when it is over.

    The row works as a claim: the process that inserts it, or changes ``claimed_at``, sends the notice. So only one
    process on all hosts does. Like the history, it is never in backups.
    """

    key = models.CharField(primary_key=True, max_length=150, editable=False)
    level = models.PositiveSmallIntegerField(gettext_lazy("level"), default=0)
    sentence = models.TextField(gettext_lazy("sentence"), blank=True)
    since = AwareDateTimeField(gettext_lazy("since"), default=clock.now)
    told_at = AwareDateTimeField(gettext_lazy("told"), null=True)
    claimed_at = AwareDateTimeField(gettext_lazy("claimed"), null=True)

    class Meta:
        verbose_name = gettext_lazy("notice")
        verbose_name_plural = gettext_lazy("notices")
        default_permissions = ()

    def __str__(self) -> str:
        return self.key
