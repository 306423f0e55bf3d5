"""Fields whose Python values do not depend on the settings of the site."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from django.conf import settings
from django.db import models
from django.utils import timezone


class AwareDateTimeField(models.DateTimeField):  # type: ignore[type-arg]
    """A time that is always aware in Python.

    Where ``USE_TZ`` is off, columns contain the local time of the site, as for Django's own fields. This field
    converts in both directions. In migrations it is a plain ``DateTimeField``, because its column is one.
    """

    def from_db_value(self, value: datetime | None, expression: Any, connection: Any) -> datetime | None:
        return aware(value)

    def to_python(self, value: Any) -> datetime | None:
        return aware(super().to_python(value))

    def get_prep_value(self, value: Any) -> Any:
        time = super().get_prep_value(value)
        if not settings.USE_TZ and isinstance(time, datetime) and timezone.is_aware(time):
            return timezone.make_naive(time, timezone.get_default_timezone())
        return time

    def deconstruct(self) -> tuple[str, str, Any, Any]:
        name, _path, args, kwargs = super().deconstruct()
        return name, "django.db.models.DateTimeField", args, kwargs


class ListedDateTimeField(AwareDateTimeField):
    """The same for a model without a table: its queries compare aware times."""

    def get_prep_value(self, value: Any) -> Any:
        return self.to_python(value)


def aware(value: datetime | None) -> datetime | None:
    """Return a time as an aware one; a naive time is in the time zone of the site."""
    if value is None or timezone.is_aware(value):
        return value
    return timezone.make_aware(value, timezone.get_default_timezone())
