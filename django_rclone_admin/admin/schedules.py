"""The schedules: their list, their form, and the suggestion for a new site."""

from __future__ import annotations

from datetime import datetime
from typing import Any
from zoneinfo import ZoneInfo

from django.contrib import admin, messages
from django.contrib.admin.views.main import ChangeList
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404
from django.template.loader import render_to_string
from django.template.response import TemplateResponse
from django.utils.formats import date_format
from django.utils.html import format_html
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy
from django.views.decorators.http import require_POST

from .. import api, clock, wording
from ..cron import Cron
from ..exceptions import BackupError
from ..models import BackupRun, BackupSchedule
from ..schedules.due import last_pass
from ..schedules.starting import RETENTION, offered, start
from ..schedules.words import in_words
from .filters import EnabledFilter, ExistingFilter
from .pages import (
    APP,
    LIST,
    RUN,
    Pages,
    badge,
    has_permission,
    origin_of,
    require_permission,
    show_error,
    with_heading,
)
from .schedule_form import ScheduleForm

SCHEDULES, SCHEDULE = "backupschedule_changelist", "backupschedule_change"
"""Names of pages, for :meth:`Pages.address`."""
MODEL = "backupschedule"
COMING = 5
"""How many upcoming times are shown."""
A_YEAR = 370
"""Times of a nightly schedule in somewhat more than a year, which includes both clock changes."""


@admin.register(BackupSchedule)
class BackupScheduleAdmin(Pages):
    """What is backed up, checked and cleaned up automatically, and when."""

    form = ScheduleForm
    change_list_template = f"admin/{APP}/{MODEL}/change_list.html"
    change_form_template = f"admin/{APP}/{MODEL}/change_form.html"
    list_display = ("name", "shown_action", "shown_times", "shown_next", "shown_result")
    search_fields = ("name",)
    list_filter = (("action", ExistingFilter), EnabledFilter)
    readonly_fields = ("shown_preview", "shown_result")
    show_full_result_count = False
    fieldsets = (
        (None, {"fields": ("name", "action", "enabled")}),
        (gettext_lazy("When"), {"fields": ("preset", "cron", "time_zone", "shown_preview")}),
        (gettext_lazy("Databases and files"), {"fields": ("databases", "media", "clean", "level")}),
        (gettext_lazy("Pause"), {"fields": ("paused_until", "paused_reason")}),
        (gettext_lazy("Start"), {"fields": ("start_within", "spread"), "classes": ["collapse"]}),
    )

    # -- permissions: Django's own four --------------------------------------------------------------------------------

    def has_add_permission(self, request: HttpRequest) -> bool:
        return has_permission(request, "add", MODEL)

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return has_permission(request, "change", MODEL)

    # -- columns
    # --------------------------------------------------------------------------------------------------------

    @admin.display(description=gettext_lazy("what"), ordering="action")
    def shown_action(self, schedule: BackupSchedule) -> str:
        parts = ", ".join(map(str, schedule.databases)) if schedule.databases else _("all databases")
        if schedule.media:
            parts = _("%(databases)s and media files") % {"databases": parts}
        return format_html('{} <span class="dra-quiet">{}</span>', schedule.get_action_display(), parts)

    @admin.display(description=gettext_lazy("when"))
    def shown_times(self, schedule: BackupSchedule) -> str:
        try:
            words = in_words(schedule.times.expression)
        except BackupError:
            return format_html('{} <span class="dra-bad">{}</span>', schedule.cron, gettext_lazy("no times"))
        return format_html('{} <span class="dra-quiet">{}</span>', words, schedule.time_zone)

    @admin.display(description=gettext_lazy("next run"), ordering="next_run_at")
    def shown_next(self, schedule: BackupSchedule) -> str:
        if not schedule.enabled:
            return badge("cancelled", gettext_lazy("off"))
        if schedule.is_paused:
            until = _("paused until %(time)s") % {"time": wording.time(schedule.paused_until)}
            reason = format_html(' <span class="dra-quiet">{}</span>', schedule.paused_reason)
            return format_html("{}{}", badge("warning", until), reason)
        coming = schedule.next_time()
        return with_heading(_("next run"), _("never") if coming is None else wording.when(coming))

    @admin.display(description=gettext_lazy("last result"))
    def shown_result(self, schedule: BackupSchedule | None) -> str:
        if schedule is None:
            return _("not run yet")
        if schedule.claimed_at:
            return badge("running", gettext_lazy("running"))
        run: BackupRun | None = getattr(schedule, "shown_run", None)
        found = (
            format_html('<span class="dra-quiet">{}</span>', _("not run yet"))
            if run is None
            else format_html(
                '<a href="{}">{}</a> <span class="dra-quiet">{}</span>',
                self.address(RUN, run.pk),
                badge(run.status, run.get_status_display()),
                wording.ago(run.created_at),
            )
        )
        if not schedule.problem:
            return found
        return format_html('{} <span class="dra-hint dra-bad">{}</span>', found, schedule.problem)

    @admin.display(description=gettext_lazy("next times"))
    def shown_preview(self, schedule: BackupSchedule | None) -> str:
        # Django hands an empty one to the page on which one is added.
        first = schedule if schedule and schedule.cron else BackupSchedule(**_initial())
        return render_to_string(f"admin/{APP}/{MODEL}/times.html", {**describe(first), "is_first": True})

    # -- pages
    # ----------------------------------------------------------------------------------------------------------

    def get_changelist_instance(self, request: HttpRequest) -> ChangeList:
        """Return the list, with the last run of each schedule preloaded."""
        changelist = super().get_changelist_instance(request)
        _add_runs(changelist.result_list)
        return changelist

    def get_object(self, request: HttpRequest, object_id: str, from_field: str | None = None) -> Any:
        schedule = super().get_object(request, object_id, from_field)
        if isinstance(schedule, BackupSchedule):
            _add_runs([schedule])
        return schedule

    def get_form(self, request: HttpRequest, obj: Any = None, change: bool = False, **kwargs: Any) -> Any:
        """Return the form; its times are explained while the user types."""
        form = super().get_form(request, obj, change, **kwargs)
        for name in ("preset", "cron", "time_zone", "spread"):
            if name in form.base_fields:
                form.base_fields[name].widget.attrs |= {
                    "hx-get": self.address("backupschedule_times"),
                    "hx-trigger": "input changed delay:300ms",
                    "hx-include": "closest form",
                    "hx-params": "preset,cron,time_zone,spread",
                    "hx-target": "#dra-times",
                    "hx-swap": "outerHTML",
                }
        return form

    def changelist_view(
        self, request: HttpRequest, extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        if not self.has_history(request):
            return self.go(LIST)
        has_schedules = BackupSchedule.objects.exists()
        context = {
            "title": gettext_lazy("Schedules"),
            "may_add": self.has_add_permission(request),
            "offer": None if has_schedules else offered(),
            "cron_line": api.cron_line() if has_schedules and last_pass() is None else "",
            "retention": None if api.retention_rules().keys() - {"last"} else RETENTION,
            **(extra_context or {}),
        }
        return super().changelist_view(request, context)

    def change_view(
        self,
        request: HttpRequest,
        object_id: str,
        form_url: str = "",
        extra_context: dict[str, Any] | None = None,
    ) -> HttpResponse:
        context = {"may_run": has_permission(request, "run"), **(extra_context or {})}
        return super().change_view(request, object_id, form_url, context)

    def get_urls(self) -> list[Any]:
        return [
            self.route("times/", self.times_view, "times"),
            self.route("offer/", require_POST(self.offer_view), "offer"),
            self.route("<int:key>/run/", require_POST(self.run_view), "run"),
            *super().get_urls(),
        ]

    def times_view(self, request: HttpRequest) -> HttpResponse:
        """Explain an expression, and show its next times, for htmx."""
        require_permission(request, "view", MODEL)
        given = request.GET
        spread = given.get("spread", "")
        schedule = BackupSchedule(
            cron=given.get("preset") or given.get("cron", ""),
            time_zone=given.get("time_zone", "UTC"),
            spread=min(int(spread), 10_000) if spread.isascii() and spread.isdigit() else 0,
        )
        return TemplateResponse(request, f"admin/{APP}/{MODEL}/times.html", describe(schedule))

    def offer_view(self, request: HttpRequest) -> HttpResponse:
        """Create the suggested schedules."""
        require_permission(request, "add", MODEL)
        if BackupSchedule.objects.exists():
            messages.info(request, _("There are schedules already."))
            return self.go(SCHEDULES)
        for schedule in offered():
            schedule.save()
            self.log_addition(request, schedule, _("Added by the offer for a new site."))
        messages.success(
            request, _("Two schedules were added. Have “manage.py runschedules” run every minute.")
        )
        return self.go(SCHEDULES)

    def run_view(self, request: HttpRequest, key: int) -> HttpResponse:
        """Run a schedule now."""
        require_permission(request, "run")
        schedule = get_object_or_404(BackupSchedule, pk=key)
        try:
            runs = start(schedule, origin_of(request))
        except api.RunInProgress as error:
            messages.info(request, wording.describe(error)[0])
            return self.go(SCHEDULE, key)
        except BackupError as error:
            show_error(request, error)
            return self.go(SCHEDULE, key)
        message = _("“%(name)s” started.") % {"name": schedule.name}
        self.log_change(request, schedule, message)
        messages.success(request, message)
        if len(runs) == 1 and has_permission(request, "view", "backuprun"):
            return self.go(RUN, runs[0].pk)
        return self.go(SCHEDULES)


def describe(schedule: BackupSchedule) -> dict[str, Any]:
    """Return what a page shows about a schedule's times: a description, the next ones, effects of clock changes; or an
    error."""
    try:
        cron = schedule.times
        coming = schedule.next_times(clock.now(), COMING)
    except BackupError as error:
        problem, hint = wording.describe(error)
        return {"problem": problem, "hint": hint}
    moved = cron.changes(clock.now(), A_YEAR) if cron.is_fixed else []
    return {
        "words": in_words(cron.expression),
        "times": [_local(each, cron) for each in coming],
        "moved": [_local(each, cron) for each in moved[:1]],
        "spread": schedule.spread if schedule._state.adding else 0,
    }


def _local(moment: datetime, cron: Cron) -> str:
    """Return a time in the time zone of the schedule, with the day of the week."""
    return date_format(moment.astimezone(ZoneInfo(cron.time_zone)), "D j M Y H:i")


def _initial() -> dict[str, Any]:
    [nightly, *_others] = offered()
    return {"cron": nightly.cron, "time_zone": nightly.time_zone}


def _add_runs(schedules: Any) -> None:
    """Preload the last run of each schedule, by one query."""
    keys = [each.last_run for each in schedules if each.last_run]
    runs = BackupRun.objects.defer("log").in_bulk(keys) if keys and api.has_history() else {}
    for each in schedules:
        each.shown_run = runs.get(each.last_run)
