"""The preview of what the retention rules remove, and of other rules."""

from __future__ import annotations

from typing import Any

from django import forms
from django.http import HttpRequest, HttpResponse
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy, pgettext_lazy

from .. import api, wording
from ..exceptions import UsageError
from .pages import Pages, require_permission, shows_errors

MOST = 100_000


def _count(label: Any) -> forms.IntegerField:
    return forms.IntegerField(label=label, required=False, min_value=0, max_value=MOST)


class RulesForm(forms.Form):
    """Rules to try, by their names in the settings; an empty one is inactive."""

    last = _count(gettext_lazy("last"))
    hourly = _count(pgettext_lazy("backups", "hourly"))
    daily = _count(pgettext_lazy("backups", "daily"))
    weekly = _count(pgettext_lazy("backups", "weekly"))
    monthly = _count(pgettext_lazy("backups", "monthly"))
    yearly = _count(pgettext_lazy("backups", "yearly"))
    within_days = forms.FloatField(
        label=gettext_lazy("within days"), required=False, min_value=0, max_value=MOST
    )
    min_keep = _count(gettext_lazy("at least"))

    @property
    def rules(self) -> dict[str, float]:
        """The rules that were entered."""
        return {name: value or 0 for name, value in self.cleaned_data.items() if value or name == "last"}


class RetentionPage(Pages):
    """The preview of the clean-up; a part of the admin of backups."""

    def get_urls(self) -> list[Any]:
        return [self.route("retention/", self.retention_view, "retention"), *super().get_urls()]

    @shows_errors
    def retention_view(self, request: HttpRequest) -> HttpResponse:
        """Show which backups are removed when, by the configured rules and by those in the form. Changes nothing."""
        require_permission(request, "view")
        rules = api.retention_rules()
        form = RulesForm(request.GET) if RulesForm.base_fields.keys() & request.GET.keys() else None
        wanted = form.rules if form and form.is_valid() else None
        tried: list[api.RetentionPreview] | None = None
        if form and wanted is not None:
            try:
                tried = api.preview_retention(wanted)
            except UsageError as error:
                form.add_error(None, " ".join(wording.describe(error)))
        before = api.preview_retention()
        context = {
            "title": gettext_lazy("Clean-up preview"),
            "form": form or RulesForm(initial=rules),
            "parts": [_part(each, _find(tried, each.database)) for each in before],
            "is_tried": tried is not None,
        }
        return self.page(request, "retention", context)


def _find(previews: list[api.RetentionPreview] | None, database: str) -> api.RetentionPreview | None:
    return next((each for each in previews or [] if each.database == database), None)


def _part(before: api.RetentionPreview, after: api.RetentionPreview | None) -> dict[str, Any]:
    """Return the template context of one database."""
    fates = {each.backup.name: _fate(after, each) for each in after.decisions} if after else {}
    return {
        "name": before.database,
        "every": wording.span(before.every),
        "stored": before.stored,
        "kept": before.kept,
        "tried": after.kept if after else None,
        "rows": [
            {
                "backup": each.backup,
                "before": _fate(before, each),
                "after": fates.get(each.backup.name),
            }
            for each in before.decisions
        ],
    }


def _fate(preview: api.RetentionPreview, decision: api.Decision) -> dict[str, Any]:
    """Return what will happen to a backup, with reasons."""
    moment = preview.goes_at.get(decision.backup.name)
    reasons = ", ".join(map(_, decision.reasons))
    if not decision.keep:
        return {"verdict": _("removed by the next clean-up"), "reasons": reasons, "keep": False}
    if moment is None:
        return {"verdict": _("stays"), "reasons": reasons, "keep": True}
    verdict = _("removed about %(day)s")
    return {"verdict": verdict % {"day": wording.day(moment)}, "reasons": reasons, "keep": True}
