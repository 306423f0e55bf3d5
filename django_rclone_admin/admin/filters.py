"""The filters of the backup list: they offer only values that occur."""

from __future__ import annotations

from typing import Any

from django.contrib import admin
from django.db.models import QuerySet
from django.http import HttpRequest
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from .. import api, wording
from ..models import Backup, Trigger

NEWEST = 100
"""The number of backups whose manifests a filter reads: one page of the list."""


class DatabaseFilter(admin.SimpleListFilter):
    """By database, if several have backups. Media files are another kind."""

    title = gettext_lazy("database")
    parameter_name = "database"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        listed = model_admin.get_queryset(request).values_list("kind", "database").distinct()
        found = sorted(database for kind, database in listed if kind == Backup.Kind.DATABASE)
        return [(each, each) for each in found] if len(found) > 1 or self.value() else []

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
        if not self.value():
            return queryset
        return queryset.filter(kind=Backup.Kind.DATABASE, database=self.value())


class _FieldFilter(admin.SimpleListFilter):
    """By the value of a field, if it differs between backups."""

    def __init__(self, request: HttpRequest, params: dict[str, Any], *others: Any) -> None:
        self.is_asked = self.parameter_name in params
        super().__init__(request, params, *others)

    def has_output(self) -> bool:
        return self.is_asked or len(self.lookup_choices) > 1

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
        return queryset.filter(**{str(self.parameter_name): self.value()}) if self.value() else queryset


class KindFilter(_FieldFilter):
    """Databases or media files, if both have backups."""

    title = gettext_lazy("kind")
    parameter_name = "kind__exact"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        found = set(model_admin.get_queryset(request).values_list("kind", flat=True).distinct())
        return [(value, str(label)) for value, label in Backup.Kind.choices if value in found]


class StateFilter(_FieldFilter):
    """By state. In a long list the states are unknown until all manifests are read, so all states are offered."""

    title = gettext_lazy("state")
    parameter_name = "state__exact"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        backups = model_admin.get_queryset(request)
        is_long, found = backups.count() > NEWEST, {each.state for each in backups[:NEWEST]}
        return [(value, str(label)) for value, label in Backup.State.choices if is_long or value in found]


class ProvenFilter(admin.SimpleListFilter):
    """By the highest level of checks that has passed. The backup list alone tells it."""

    title = gettext_lazy("proof")
    parameter_name = "proven"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        backups = model_admin.get_queryset(request)
        found = set(backups.values_list("proven", "failed").distinct())
        proven = {level for level, _failed in found}
        choices = [(str(level), wording.level(level)) for level in reversed(api.LEVELS) if level in proven]
        if any(failed for _level, failed in found):
            choices.append(("failed", _("a check failed")))
        if ("", "") in found:
            choices.append(("never", _("never checked")))
        return choices if len(choices) > 1 or self.value() else []

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
        match self.value():
            case None:
                return queryset
            case "never":
                return queryset.filter(proven="", failed="")
            case "failed":
                return queryset.exclude(failed="")
            case level:
                return queryset.filter(proven=level)


class SafetyFilter(admin.SimpleListFilter):
    """Hides safety backups by default: they are needed only after a restore, whose page offers an undo."""

    title = gettext_lazy("safety backups")
    parameter_name = "safety"

    def __init__(self, request: HttpRequest, params: dict[str, Any], model: Any, model_admin: Any) -> None:
        newest = model_admin.get_queryset(request)[:NEWEST]
        self.paths = [each.path for each in newest if each.trigger == Trigger.SAFETY]
        super().__init__(request, params, model, model_admin)

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        return [("shown", _("Shown"))] if self.paths else []

    def choices(self, changelist: Any) -> Any:
        for choice, label in zip(super().choices(changelist), (_("Hidden"), _("Shown")), strict=True):
            yield {**choice, "display": label}

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
        # Actions apply to ticked rows, and a search or a group may select safety backups.
        is_asked = self.value() == "shown" or request.method == "POST" or {"q", "group"} & request.GET.keys()
        return queryset if is_asked or not self.paths else queryset.exclude(pk__in=self.paths)


class RunDatabaseFilter(admin.AllValuesFieldListFilter):
    """By database; runs of the media files have an empty one."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.lookup_choices = self.lookup_choices.exclude(database__in=["", Backup.Kind.MEDIA])

    def has_output(self) -> bool:
        return len(self.lookup_choices) > 1 or self.lookup_val is not None


TITLES = {"trigger": gettext_lazy("origin"), "action": gettext_lazy("action")}
"""Names of fields that fit after “By”, where the heading of the column does not."""


class ExistingFilter(admin.ChoicesFieldListFilter):
    """By a field with choices: it offers only those that occur."""

    def __init__(
        self, field: Any, request: HttpRequest, params: Any, model: Any, model_admin: Any, field_path: str
    ) -> None:
        super().__init__(field, request, params, model, model_admin, field_path)
        self.title = TITLES.get(field.name, self.title)
        rows = model._default_manager.order_by(field.name).values_list(field.name, flat=True)
        self.found = set(rows.distinct()) if api.has_history() else set()

    def has_output(self) -> bool:
        return len(self.found) > 1 or self.lookup_val is not None

    def choices(self, changelist: Any) -> Any:
        values = [None, *(value for value, _label in self.field.flatchoices)]
        for value, choice in zip(values, super().choices(changelist), strict=False):
            if value is None or value in self.found or choice["selected"]:
                yield choice


class EnabledFilter(admin.SimpleListFilter):
    """Schedules that are on or off, if there are both."""

    title = gettext_lazy("state")
    parameter_name = "enabled__exact"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        found = set(model_admin.get_queryset(request).values_list("enabled", flat=True))
        return [("1", _("on")), ("0", _("off"))] if len(found) > 1 or self.value() else []

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
        return queryset.filter(enabled=self.value() == "1") if self.value() else queryset
