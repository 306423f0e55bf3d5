"""The form of a schedule."""

from __future__ import annotations

import zoneinfo
from typing import Any

from django import forms
from django.conf import settings
from django.utils import timezone
from django.utils.text import capfirst
from django.utils.translation import gettext_lazy

from .. import api
from ..models import BackupSchedule
from ..schedules.words import PRESETS, in_words
from .choices import LEVELS


class ScheduleForm(forms.ModelForm):  # type: ignore[type-arg]
    """Preset times or an expression, and databases to tick."""

    preset = forms.ChoiceField(label=gettext_lazy("Times"), required=False)
    cron = forms.CharField(
        label=gettext_lazy("Cron expression"),
        required=False,
        max_length=100,
        help_text=gettext_lazy(
            "Minute, hour, day of the month, month, day of the week: “0 2 * * *” is 02:00 every day."
        ),
    )
    time_zone = forms.ChoiceField(label=gettext_lazy("Time zone"))
    databases = forms.MultipleChoiceField(
        label=gettext_lazy("Databases"),
        required=False,
        widget=forms.CheckboxSelectMultiple,
        help_text=gettext_lazy("None ticked: all databases, also those that are added later."),
    )
    level = forms.ChoiceField(
        label=gettext_lazy("Check"),
        required=False,
        choices=[("", gettext_lazy("no check")), *LEVELS],
        help_text=gettext_lazy(
            "After a backup: how thoroughly it is checked then. For a schedule of checks: up to which level."
        ),
    )

    class Meta:
        model = BackupSchedule
        fields = (
            "name",
            "action",
            "preset",
            "cron",
            "time_zone",
            "databases",
            "media",
            "clean",
            "level",
            "enabled",
            "paused_until",
            "paused_reason",
            "start_within",
            "spread",
        )

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        schedule: BackupSchedule = self.instance
        if schedule._state.adding and not self.initial.get("cron"):
            self.initial["preset"] = PRESETS[0]
            self.initial["time_zone"] = timezone.get_default_timezone_name()
        elif schedule.cron in PRESETS:
            self.initial["preset"] = schedule.cron
        self._offer_choices(schedule)
        if "paused_until" in self.fields:  # Django's widget has two inputs, each with a label
            for part, label in zip(
                self.fields["paused_until"].widget.widgets,
                (gettext_lazy("Date"), gettext_lazy("Time")),
                strict=True,
            ):
                part.attrs["aria-label"] = label
        for field in self.fields.values():  # as Django does it with those that it makes itself
            field.label = capfirst(field.label)
        paused = schedule.paused_until
        if paused and not settings.USE_TZ:  # Django's widget would show UTC
            self.initial["paused_until"] = timezone.make_naive(paused, timezone.get_default_timezone())

    def _offer_choices(self, schedule: BackupSchedule) -> None:
        chosen = schedule.databases if isinstance(schedule.databases, list) else []
        databases = dict.fromkeys([*api.all_databases(), *(each for each in chosen if isinstance(each, str))])
        zones = {*zoneinfo.available_timezones(), schedule.time_zone, timezone.get_default_timezone_name()}
        choices: dict[str, list[tuple[str, Any]]] = {
            "preset": [
                *((each, in_words(each)) for each in PRESETS),
                ("", gettext_lazy("by the expression below")),
            ],
            "databases": [(each, each) for each in databases],
            "time_zone": [(each, each) for each in sorted(zones)],
        }
        for name, offered in choices.items():
            field = self.fields.get(name)
            if isinstance(field, forms.ChoiceField):  # missing for users with only view permission
                field.choices = offered

    def clean(self) -> dict[str, Any]:
        """Take the expression from the preset, if one was chosen."""
        cleaned: dict[str, Any] = super().clean() or self.cleaned_data
        cleaned["cron"] = cleaned.get("preset") or cleaned.get("cron", "")
        return cleaned
