"""The backup list and the pages of one backup."""

from __future__ import annotations

import functools
import uuid
from collections.abc import Callable
from typing import Any

from django.contrib import admin, messages
from django.contrib.admin.utils import unquote
from django.contrib.admin.views.main import ERROR_FLAG, ChangeList
from django.db import NotSupportedError
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse, StreamingHttpResponse
from django.shortcuts import redirect
from django.template.response import TemplateResponse
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy, ngettext
from django.views.decorators.http import require_POST

from .. import api, wording
from ..exceptions import BackupError
from ..models import Backup, BackupRun
from .banner import show_banner
from .checks import Checks
from .columns import BackupColumns
from .deletion import Deleting
from .doctor import Doctor
from .files import Files
from .filters import DatabaseFilter, KindFilter, ProvenFilter, SafetyFilter, StateFilter
from .forms import RunBackupForm
from .opened import Opens
from .pages import (
    APP,
    DETAIL,
    LIST,
    RUN,
    get_backup_or_404,
    has_permission,
    origin_of,
    rendered,
    require_permission,
    show_error,
    shows_errors,
)
from .progress import Progress
from .restores import Restores
from .retention import RetentionPage
from .row_facts import note_on_rows
from .streams import download
from .unlisted import unlisted


def _active_runs() -> list[Progress]:
    return [Progress(run) for run in BackupRun.objects.active()]


@admin.register(Backup)
class BackupAdmin(BackupColumns, Restores, Opens, Files, Checks, Doctor, Deleting, RetentionPage):
    """Lists the backups on the remote."""

    change_list_template = f"admin/{APP}/backup/change_list.html"
    change_form_template = f"admin/{APP}/backup/change_form.html"
    list_display = ("shown_when", "shown_of", "shown_growth", "shown_proven", "shown_actions")
    list_filter = (DatabaseFilter, KindFilter, StateFilter, ProvenFilter, SafetyFilter)
    search_fields = ("name", "database", "label")
    date_hierarchy = "taken_at"
    actions = ("delete_selected", "restore_selected", "verify_selected", "pin_selected", "unpin_selected")
    show_full_result_count = False
    fieldsets = (
        (
            None,
            {
                "fields": (
                    "shown_source",
                    "shown_taken",
                    "shown_size",
                    "shown_state",
                    "shown_proven",
                    "shown_checks",
                    "shown_pin",
                    "label",
                    "shown_others",
                )
            },
        ),
        (
            gettext_lazy("Origin"),
            {"fields": ("trigger", "shown_run", "host", "shown_engine", "shown_client")},
        ),
        (gettext_lazy("Bytes"), {"fields": ("shown_raw_size", "compression", "sha256", "path")}),
        (
            gettext_lazy("Content"),
            {
                "fields": (
                    "shown_tables",
                    "shown_contents",
                    "shown_left_out",
                    "shown_warnings",
                    "shown_migrations",
                    "django_version",
                    "package_version",
                ),
                "classes": ["collapse"],
            },
        ),
    )
    media_fieldsets = (
        fieldsets[0],
        (
            gettext_lazy("Origin"),
            {"fields": ("trigger", "shown_run", "host", "django_version", "package_version")},
        ),
        (gettext_lazy("List of the files"), {"fields": ("shown_raw_size", "compression", "sha256", "path")}),
    )

    # -- permissions ------------------------------------------------------------------------------------------------

    def has_pin_permission(self, request: HttpRequest) -> bool:
        return has_permission(request, "pin")

    def get_model_perms(self, request: HttpRequest) -> dict[str, bool]:
        """Do what Django does; also show the health banner on the index of the admin, which calls this."""
        show_banner(request, self.admin_site.name)
        return super().get_model_perms(request)

    # -- the list ---------------------------------------------------------------------------------------------------

    def get_queryset(self, request: HttpRequest) -> QuerySet[Any]:
        queryset = super().get_queryset(request)
        return queryset.none() if hasattr(request, "lists_nothing") else queryset

    def changelist_view(
        self, request: HttpRequest, extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        """List all backups, or none when the remote does not answer; then the page says so."""
        sees_runs = self.has_history(request) and has_permission(request, "view", "backuprun")
        context = {
            "title": gettext_lazy("Backups"),
            "may_run": has_permission(request, "run"),
            "everything": {"databases": api.all_databases(), "media": api.has_media_files()},
            "may_see_runs": has_permission(request, "view", "backuprun"),
            "may_see_schedules": has_permission(request, "view", "backupschedule"),
            "may_cancel": has_permission(request, "cancel", "backuprun"),
            "active_runs": _active_runs() if sees_runs else [],
            "has_opened": has_permission(request, "open") and bool(api.list_opened_backups(everywhere=False)),
            **(extra_context or {}),
        }
        try:
            return rendered(super().changelist_view(request, context))
        except BackupError as failure:
            error = failure
        except NotSupportedError:
            # Like Django for unknown lookups
            return redirect(f"{request.path}?{ERROR_FLAG}=1")
        if request.method == "POST":
            show_error(request, error)
            return redirect(request.get_full_path())
        context |= {"health": api.health(), "unlisted": unlisted(error)}
        request.lists_nothing = True  # type: ignore[attr-defined]
        return super().changelist_view(request, context)

    def get_changelist_instance(self, request: HttpRequest) -> ChangeList:
        """Return the list, with further facts stored on each row for the columns."""
        changelist = super().get_changelist_instance(request)
        note_on_rows(request, list(changelist.result_list))
        return changelist

    def get_fieldsets(self, request: HttpRequest, obj: Any = None) -> Any:
        """Return the facts that are known; the name stands above them."""
        found = self.media_fieldsets if obj and obj.is_media else super().get_fieldsets(request, obj)
        if obj is None:
            return found
        known = [
            (
                title,
                {**options, "fields": [each for each in options["fields"] if self._is_known(str(each), obj)]},
            )
            for title, options in found
        ]
        return [(title, options) for title, options in known if options["fields"]]

    def _is_known(self, name: str, backup: Backup) -> bool:
        shown = getattr(self, name, None)
        return (shown(backup) if shown else getattr(backup, name)) not in ("", "–", None)

    @shows_errors
    def change_view(
        self,
        request: HttpRequest,
        object_id: str,
        form_url: str = "",
        extra_context: dict[str, Any] | None = None,
    ) -> HttpResponse:
        context = {
            "title": unquote(object_id).rpartition("/")[2],
            "subtitle": None,
            **{
                f"may_{verb}": has_permission(request, verb)
                for verb in ("restore", "open", "download", "pin", "verify")
            },
            "show_delete": False,  # the button is in the bar of the page
            **(extra_context or {}),
        }
        return super().change_view(request, object_id, form_url, context)

    # -- actions ----------------------------------------------------------------------------------------------------

    @admin.action(description=gettext_lazy("Pin selected"), permissions=["pin"])
    def pin_selected(self, request: HttpRequest, queryset: QuerySet[Any]) -> None:
        self._set_pins(request, list(queryset), pinned=True)

    @admin.action(description=gettext_lazy("Unpin selected"), permissions=["pin"])
    def unpin_selected(self, request: HttpRequest, queryset: QuerySet[Any]) -> None:
        self._set_pins(request, list(queryset), pinned=False)

    def _set_pins(self, request: HttpRequest, backups: list[Backup], *, pinned: bool) -> None:
        try:
            for each in backups:
                api.pin_backup(each.path, pinned=pinned)
                self.log_change(request, each, _("Pinned.") if pinned else _("Unpinned."))
        except BackupError as error:
            show_error(request, error)
            return
        text = (
            ngettext("Pinned %(count)d backup.", "Pinned %(count)d backups.", len(backups))
            if pinned
            else ngettext("Unpinned %(count)d backup.", "Unpinned %(count)d backups.", len(backups))
        )
        messages.success(request, text % {"count": len(backups)})

    def delete_model(self, request: HttpRequest, obj: Any) -> None:
        self._delete(request, [obj.path])

    def delete_queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> None:
        self._delete(request, list(queryset.values_list("pk", flat=True)))

    def _delete(self, request: HttpRequest, paths: list[str]) -> None:
        # File versions that only a deleted media backup needed may be many; they are removed after the response.
        api.delete_backups(paths, wait=False, origin=origin_of(request))

    @shows_errors
    def history_view(
        self, request: HttpRequest, object_id: str, extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        return super().history_view(request, object_id, extra_context)

    # -- further pages ----------------------------------------------------------------------------------------------

    def get_urls(self) -> list[Any]:
        page = self.route
        return [
            page("run/", self.run_now_view, "run_now"),
            page("refresh/", require_POST(self.refresh_view), "refresh"),
            page("health/", self.health_view, "health"),
            page("<path:object_id>/download/", self.download_view, "download"),
            page("<path:object_id>/pin/", require_POST(self.pin_view), "pin"),
            *self.check_urls(require_post=require_POST),
            *super().get_urls(),
        ]

    def run_now_view(self, request: HttpRequest) -> HttpResponse:
        """Start backups; GET shows the form for choosing them."""
        require_permission(request, "run")
        form = RunBackupForm(request.POST if request.method == "POST" else None)
        if not form.is_valid():
            return self.page(request, "run_now", {"title": gettext_lazy("Back up now"), "form": form})
        options = {key: form.cleaned_data[key] for key in ("label", "clean")}
        options["origin"] = origin_of(request)
        starts: list[tuple[str, Callable[..., BackupRun]]] = [
            (database, functools.partial(api.start_backup_database, database)) for database in form.chosen
        ]
        if form.cleaned_data.get("media"):
            starts.append((_("media files"), api.start_backup_media))
        options["group"] = str(uuid.uuid4()) if len(starts) > 1 else ""
        runs = [run for name, start in starts if (run := self._start(request, name, start, options))]
        if len(runs) == 1 and has_permission(request, "view", "backuprun"):
            return self.go(RUN, runs[0].pk)
        return self.go(LIST)

    def _start(
        self, request: HttpRequest, name: str, start: Callable[..., BackupRun], options: dict[str, Any]
    ) -> BackupRun | None:
        try:
            run = start(**options)
        except api.RunInProgress as error:
            # A second click must not look like a failure: show the active run.
            messages.info(request, wording.describe(error)[0])
            return error.run
        except BackupError as error:
            show_error(request, error)
            return None
        message = _("Backup of “%(database)s” started.") % {"database": name}
        self.log_change(request, run, message)
        messages.success(request, message)
        return run

    def refresh_view(self, request: HttpRequest) -> HttpResponse:
        """List the remote again."""
        require_permission(request, "view")
        api.refresh()
        return self.go(LIST)

    def health_view(self, request: HttpRequest) -> HttpResponse:
        """The panel above the list, loaded after the page so that a slow remote does not delay it."""
        require_permission(request, "view")
        health = api.health()
        if "HX-Request" not in request.headers:  # a link followed without JavaScript
            return self.page(request, "health", {"title": gettext_lazy("Health"), "health": health})
        request.current_app = self.admin_site.name
        return TemplateResponse(request, f"admin/{APP}/includes/health.html", {"health": health})

    @shows_errors
    def download_view(self, request: HttpRequest, object_id: str) -> HttpResponse | StreamingHttpResponse:
        """Stream the stored bytes."""
        require_permission(request, "download")
        backup = get_backup_or_404(object_id)
        stored, stream = api.read_backup(backup.path)
        self.log_change(request, backup, _("Downloaded."))
        return download(request, stored.name, stored.size, stream)

    @shows_errors
    def pin_view(self, request: HttpRequest, object_id: str) -> HttpResponse:
        """Pin a backup, or unpin it."""
        require_permission(request, "pin")
        backup = get_backup_or_404(object_id)
        self._set_pins(request, [backup], pinned=not backup.pinned)
        return self.go(DETAIL, object_id)
