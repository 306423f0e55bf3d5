"""The schedules: what is backed up, checked, cleaned up and copied, and when."""

from __future__ import annotations

import os
import socket
from collections.abc import Iterable
from datetime import datetime, timedelta
from typing import Any

from django.core.exceptions import ValidationError
from django.db import models
from django.utils.crypto import salted_hmac
from django.utils.translation import gettext_lazy

from .. import clock, wording
from ..core import identity
from ..core.identity import Identity
from ..cron import Cron
from ..exceptions import UsageError
from .fields import AwareDateTimeField

WHEN = ("cron", "time_zone", "spread", "enabled", "paused_until")
"""The fields that define its times. A change restarts the schedule: times missed before the change are not caught
up."""
NOTES = ("next_run_at", "last_due_at", "last_run", "seen_at", "claimed_at", "claimed_by", "problem")
"""The fields in which passes record their state. A save leaves them alone, unless it has set them."""


class Action(models.TextChoices):
    """What a schedule does."""

    BACKUP = "backup", gettext_lazy("back up")
    VERIFY = "verify", gettext_lazy("check backups")
    PRUNE = "prune", gettext_lazy("delete old backups")


class BackupSchedule(models.Model):
    """An action and its times.

    It is the site's configuration and is in backups like any other table: a restored server continues to back up.

    ``last_due_at`` is the last time that was handled; for a new schedule the time of its creation, so that earlier
    times do not count.
    """

    name = models.CharField(gettext_lazy("name"), max_length=100)
    action = models.CharField(
        gettext_lazy("what"), max_length=20, choices=Action.choices, default=Action.BACKUP
    )
    cron = models.CharField(
        gettext_lazy("when"),
        max_length=100,
        help_text=gettext_lazy("A cron expression, such as “0 2 * * *”."),
    )
    time_zone = models.CharField(gettext_lazy("time zone"), max_length=64, default="UTC")
    databases = models.JSONField(
        gettext_lazy("databases"), default=list, blank=True, help_text=gettext_lazy("Empty: all databases.")
    )
    media = models.BooleanField(gettext_lazy("media files"), default=True)
    # replaces Model.clean, see full_clean
    clean = models.BooleanField(  # type: ignore[assignment]
        gettext_lazy("clean up"),
        default=False,
        help_text=gettext_lazy("Afterwards, delete old backups by your retention rules."),
    )
    level = models.CharField(gettext_lazy("check level"), max_length=20, blank=True)
    enabled = models.BooleanField(gettext_lazy("enabled"), default=True)
    paused_until = AwareDateTimeField(gettext_lazy("paused until"), null=True, blank=True)
    paused_reason = models.CharField(gettext_lazy("reason for the pause"), max_length=200, blank=True)
    start_within = models.PositiveIntegerField(
        gettext_lazy("start within"),
        default=0,
        help_text=gettext_lazy("Minutes. A later start is skipped. 0: however late."),
    )
    spread = models.PositiveIntegerField(
        gettext_lazy("spread"),
        default=0,
        help_text=gettext_lazy("Minutes over which the start is moved, so that sites take turns."),
    )
    next_run_at = AwareDateTimeField(gettext_lazy("next run"), null=True, editable=False)
    last_due_at = AwareDateTimeField(gettext_lazy("last due"), null=True, default=clock.now, editable=False)
    last_run = models.UUIDField(gettext_lazy("last run"), null=True, editable=False)
    seen_at = AwareDateTimeField(gettext_lazy("last seen by runschedules"), null=True, editable=False)
    claimed_at = AwareDateTimeField(gettext_lazy("at work since"), null=True, editable=False)
    claimed_by = models.CharField(gettext_lazy("at work in"), max_length=200, blank=True, editable=False)
    problem = models.TextField(gettext_lazy("problem"), blank=True, editable=False)

    _loaded: dict[str, Any] = {}
    """The values of the row when it was last read or written."""

    class Meta:
        verbose_name = gettext_lazy("schedule")
        verbose_name_plural = gettext_lazy("schedules")
        ordering = ("name",)

    def __str__(self) -> str:
        return self.name

    def save(self, *args: Any, **kwargs: Any) -> None:
        """Write the schedule.

        If its times have changed, times before now count as handled: neither an edit nor the end of a pause catches up
        missed runs. The state recorded by passes since the row was read is kept.
        """
        is_new = self._state.adding or self.pk is None
        changed = set() if is_new else self._changed()
        if changed & set(WHEN):
            if "last_due_at" not in changed:
                self.last_due_at = clock.now()
            changed |= {"last_due_at", "next_run_at"}
        if is_new or "next_run_at" in changed:
            self.next_run_at = self.next_time()
        if not is_new and self._loaded and not args:
            kwargs["update_fields"] = self._written(kwargs.get("update_fields"), changed)
        super().save(*args, **kwargs)
        self._remember()
        if is_new and self.spread:  # its offset depends on the key, which exists only now
            self.next_run_at = self.next_time()
            super().save(update_fields=["next_run_at"])
            self._remember()

    def _changed(self) -> set[str]:
        return {name for name, value in self._loaded.items() if getattr(self, name) != value}

    def _written(self, named: Iterable[str] | None, changed: set[str]) -> set[str]:
        """Return the fields that a save writes.

        :param named: the fields named by the caller.
        """
        if named is not None:
            own = {"last_due_at", "next_run_at"} & changed if set(named) & set(WHEN) else set()
            return {*named, *own}
        every = {field.name for field in self._meta.fields if not field.primary_key}
        return every - (set(NOTES) - changed) - self.get_deferred_fields()

    @classmethod
    def from_db(cls, *args: Any, **kwargs: Any) -> BackupSchedule:
        """Remember the values of the row, so that a later save does not overwrite newer state."""
        schedule = super().from_db(*args, **kwargs)
        schedule._remember()
        return schedule

    def refresh_from_db(self, *args: Any, **kwargs: Any) -> None:
        """Read the row again and remember its values."""
        super().refresh_from_db(*args, **kwargs)
        self._remember()

    def _remember(self) -> None:
        self._loaded = {name: self.__dict__[name] for name in (*WHEN, *NOTES) if name in self.__dict__}

    @property
    def times(self) -> Cron:
        """Its times, without the spread.

        :raises UsageError: the expression or the time zone is invalid; only a full clean prevents saving them.
        """
        return Cron(expression=self.cron, time_zone=self.time_zone)

    @property
    def offset(self) -> timedelta:
        """The delay after its expression's times: equal on every host, different on most other sites."""
        if not self.spread:
            return timedelta(0)
        number = int(
            salted_hmac("django_rclone_admin.spread", str(self.pk), algorithm="sha256").hexdigest(), 16
        )
        return timedelta(minutes=number % (self.spread + 1))

    def last_time(self, now: datetime) -> datetime | None:
        """Return its last time up to now, as stored in the column.

        :raises UsageError: see :attr:`times`.
        """
        found = self.times.last(now - self.offset)
        if found is None:
            return None
        # Where USE_TZ is off, an hour that occurs twice is stored as the same value.
        field: Any = self._meta.get_field("last_due_at")
        moment: datetime = field.to_python(field.get_prep_value(found + self.offset))
        return moment

    def next_times(self, after: datetime, count: int) -> list[datetime]:
        """Return its next times after a moment.

        :raises UsageError: see :attr:`times`.
        """
        return [each + self.offset for each in self.times.upcoming(after - self.offset, count)]

    def next_time(self) -> datetime | None:
        """Return its next run by its own fields; ``None`` if it does not run."""
        if not self.enabled:
            return None
        try:
            return next(iter(self.next_times(max(filter(None, [clock.now(), self.paused_until])), 1)), None)
        except UsageError:
            return None

    @property
    def is_paused(self) -> bool:
        """Whether a pause is in effect."""
        until: datetime | None = self.paused_until
        return until is not None and until > clock.now()

    @property
    def process(self) -> Identity | None:
        """The process that executes it, if known."""
        return Identity.parse(self.claimed_by)

    def full_clean(
        self,
        exclude: Iterable[str] | None = None,
        validate_unique: bool = True,
        validate_constraints: bool = True,
    ) -> None:
        """Validate like Django, without ``Model.clean``, whose name is that of the field; also validate the times."""
        exclude = set(exclude or ())
        self.clean_fields(exclude=exclude)
        self._clean_times()
        if validate_unique:
            self.validate_unique(exclude=exclude)
        if validate_constraints:
            self.validate_constraints(exclude=exclude)

    def _clean_times(self) -> None:
        """Validate the expression and the time zone separately.

        :raises ValidationError: one of them is invalid.
        """
        found = {}
        for name, given in (
            ("cron", {"expression": self.cron}),
            ("time_zone", {"time_zone": self.time_zone}),
        ):
            try:
                Cron(**{"expression": "* * * * *", **given})
            except UsageError as error:
                found[name] = " ".join(wording.describe(error))
        if found:
            raise ValidationError(found)


def this_process() -> str:
    """Return the identity of this process, for ``claimed_by``."""
    return str(identity.current() or f"{socket.gethostname()} {os.getpid()}")
