"""The run list and the page of one run."""

from __future__ import annotations

from typing import Any
from urllib.parse import urlencode

from django.contrib import admin, messages
from django.contrib.admin.utils import quote
from django.core.exceptions import PermissionDenied
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.urls import path, reverse
from django.utils.html import format_html
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_POST

from .. import api, wording
from ..exceptions import BackupError
from ..models import BackupRun, Kind
from .choices import RestoreChoices
from .forms import RestoreForm
from .pages import (
    APP,
    LIST,
    RUN,
    Pages,
    badge,
    has_permission,
    is_uuid,
    moment,
    origin_of,
    require_permission,
    show_error,
)
from .progress import Progress

BACKUPS, RESTORES = (Kind.DB_BACKUP, Kind.MEDIA_BACKUP), (Kind.DB_RESTORE, Kind.MEDIA_RESTORE)
STOP_POLLING = 286
"""htmx polls no more after an answer with this status."""


class DatabaseFilter(admin.AllValuesFieldListFilter):
    """By database; runs of the media files have none."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.lookup_choices = self.lookup_choices.exclude(database="")


@admin.register(BackupRun)
class BackupRunAdmin(Pages):
    """The history, read-only; and the runs that are at work, live."""

    change_list_template = f"admin/{APP}/backuprun/change_list.html"
    change_form_template = f"admin/{APP}/backuprun/change_form.html"
    list_display = (
        "shown_what",
        "shown_status",
        "database",
        "shown_start",
        "shown_duration",
        "shown_size",
        "shown_who",
    )
    list_filter = ("status", "kind", ("database", DatabaseFilter), "trigger", "created_at")
    search_fields = ("database", "path", "label", "message", "requested_by")
    date_hierarchy = "created_at"
    actions = None
    fieldsets = (
        (None, {"fields": ("shown_what", "database", "shown_backup", "label", "message", "hint")}),
        (
            _("Origin"),
            {"fields": ("trigger", "requested_by", "host", "pid", "created_at", "started_at", "finished_at")},
        ),
        (_("Bytes"), {"fields": ("shown_size", "shown_raw_size", "sha256"), "classes": ["collapse"]}),
    )

    @admin.display(description=_("run"), ordering="kind")
    def shown_what(self, run: BackupRun) -> str:
        return str(run.get_kind_display())

    @admin.display(description=_("status"), ordering="status")
    def shown_status(self, run: BackupRun) -> str:
        return badge(run.status, run.get_status_display())

    @admin.display(description=_("started"), ordering="created_at")
    def shown_start(self, run: BackupRun) -> str:
        return moment(run.started_at or run.created_at)

    @admin.display(description=_("duration"))
    def shown_duration(self, run: BackupRun) -> str:
        return wording.duration(run.duration)

    @admin.display(description=_("size"), ordering="size")
    def shown_size(self, run: BackupRun) -> str:
        return format_html('<span class="dra-number">{}</span>', wording.size(run.size))

    @admin.display(description=_("size before compression"))
    def shown_raw_size(self, run: BackupRun) -> str:
        return wording.size(run.raw_size)

    @admin.display(description=_("who"), ordering="requested_by")
    def shown_who(self, run: BackupRun) -> str:
        return (
            f"{run.requested_by} ({run.get_trigger_display()})"
            if run.requested_by
            else run.get_trigger_display()
        )

    @admin.display(description=_("backup"))
    def shown_backup(self, run: BackupRun) -> str:
        if not run.path:
            return "–"
        if not getattr(run, "may_see_backup", False):
            return run.path
        return format_html('<a href="{}">{}</a>', self.address("backup_change", quote(run.path)), run.path)

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def get_queryset(self, request: HttpRequest) -> QuerySet[BackupRun]:
        runs: QuerySet[BackupRun] = super().get_queryset(request)  # type: ignore[assignment]
        return runs if api.has_history() else runs.none()

    def get_object(self, request: HttpRequest, object_id: str, from_field: str | None = None) -> Any:
        run = super().get_object(request, object_id, from_field)
        if isinstance(run, BackupRun):
            # What a column shows may depend on who looks; this object is shared by all requests, the row is not.
            run.may_see_backup = has_permission(request, "view")  # type: ignore[attr-defined]
        return run

    def changelist_view(
        self, request: HttpRequest, extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        self.has_history(request)
        return super().changelist_view(request, {"title": _("Run history"), **(extra_context or {})})

    def change_view(
        self,
        request: HttpRequest,
        object_id: str,
        form_url: str = "",
        extra_context: dict[str, Any] | None = None,
    ) -> HttpResponse:
        if not self.has_history(request):
            return self.go(LIST)
        run = BackupRun.objects.filter(pk=object_id).first() if is_uuid(object_id) else None
        context: dict[str, Any] = {}
        if run:
            context = {**self._progress(request, run), "title": Progress(run).title, "subtitle": None}
        return super().change_view(request, object_id, form_url, {**context, **(extra_context or {})})

    def get_urls(self) -> list[Any]:
        view, name = self.admin_site.admin_view, f"{APP}_backuprun_"
        return [
            # No admin_view: somebody whose session a restore has replaced must not poll a sign-in page for ever.
            path("<uuid:run_id>/progress/", never_cache(self.progress_view), name=f"{name}progress"),
            path("<uuid:run_id>/cancel/", view(require_POST(self.cancel_view)), name=f"{name}cancel"),
            path("<uuid:run_id>/undo/", view(self.undo_view), name=f"{name}undo"),
            path("<uuid:run_id>/retry/", view(require_POST(self.retry_view)), name=f"{name}retry"),
            *super().get_urls(),
        ]

    def progress_view(self, request: HttpRequest, run_id: Any) -> HttpResponse:
        """One look at a run, for htmx: the same template as on the page. No call of rclone."""
        request.current_app = self.admin_site.name
        page = self.address(RUN, run_id)
        if not self.admin_site.has_permission(request):
            login = reverse("admin:login", current_app=self.admin_site.name)
            login = f"{login}?{urlencode({'next': page})}"
            if "HX-Request" not in request.headers:
                return redirect(login)
            template = f"admin/{APP}/includes/signed_out.html"
            return render(request, template, {"login_url": login}, status=STOP_POLLING)
        require_permission(request, "view", "backuprun")
        run = get_object_or_404(BackupRun, pk=run_id)
        if Progress(run).is_stale:
            api.reap_stale()
            run.refresh_from_db()
        context = {**self._progress(request, run), "is_short": "short" in request.GET}
        response = render(request, f"admin/{APP}/includes/progress.html", context)
        if not run.is_active:
            response.status_code = STOP_POLLING
            response.headers["HX-Trigger"] = "backups-changed"
        return response

    def cancel_view(self, request: HttpRequest, run_id: Any) -> HttpResponse:
        """Ask a run to stop."""
        require_permission(request, "cancel", "backuprun")
        run = get_object_or_404(BackupRun, pk=run_id)
        if run.is_active:
            api.cancel(run)
            self.log_change(request, run, gettext("Cancelled."))
            messages.info(request, gettext("Stopping the run."))
        else:
            messages.info(request, gettext("The run had already finished."))
        return self.go(RUN, run_id)

    def retry_view(self, request: HttpRequest, run_id: Any) -> HttpResponse:
        """Do the same again: a backup at once, a restore through its confirmation."""
        run = get_object_or_404(BackupRun, pk=run_id)
        require_permission(request, "restore" if run.kind in RESTORES else "run")
        if run.kind not in (*RESTORES, *BACKUPS):
            raise PermissionDenied
        if run.kind in RESTORES:
            return self.go("backup_restore", **_restore_again(run))
        try:
            options = {
                "label": run.label,
                "clean": run.options.get("clean", False),
                "group": run.options.get("group", ""),
                "origin": origin_of(request),
            }
            if run.kind == Kind.MEDIA_BACKUP:
                again = api.start_backup_media(**options)
            else:
                again = api.start_backup_database(run.database, **options)
        except api.RunInProgress as error:
            messages.info(request, wording.describe(error)[0])
            return self.go(RUN, error.run.pk if error.run else run_id)
        except BackupError as error:
            show_error(request, error)
            return self.go(RUN, run_id)
        self.log_change(request, again, gettext("Tried again."))
        return self.go(RUN, again.pk)

    def undo_view(self, request: HttpRequest, run_id: Any) -> HttpResponse:
        """Say what undoing a restore does; carry it out when the name of the database was typed."""
        require_permission(request, "restore")
        run = get_object_or_404(BackupRun, pk=run_id)
        if not api.is_undoable(run):
            messages.error(request, gettext("Only the last restore of a database can be undone."))
            return self.go(RUN, run_id)
        form = RestoreForm(request.POST if request.method == "POST" else None, target=run.database)
        if form.is_valid():
            return self._undo(request, run)
        context = {
            "title": gettext("Undo the restore of %(database)s?") % {"database": run.database},
            "run": run,
            "form": form,
            "sessions_inside": api.holds_sessions(run.database),
        }
        return self.page(request, "undo", context)

    def _undo(self, request: HttpRequest, run: BackupRun) -> HttpResponse:
        try:
            undo = api.start_undo_restore(run.database, origin=origin_of(request))
        except BackupError as error:
            show_error(request, error)
            return self.go(RUN, run.pk)
        self.log_change(request, undo, gettext("Undo of a restore started."))
        return self.go(RUN, undo.pk)

    def _progress(self, request: HttpRequest, run: BackupRun) -> dict[str, Any]:
        """What the template of the progress needs."""
        return {
            "progress": Progress(run),
            "may_cancel": has_permission(request, "cancel", "backuprun"),
            "may_open": has_permission(request, "open"),
            "may_retry": self._may_retry(request, run),
            "may_undo": has_permission(request, "restore") and api.is_undoable(run),
        }

    def _may_retry(self, request: HttpRequest, run: BackupRun) -> bool:
        if run.is_active or run.kind not in (*RESTORES, *BACKUPS):
            return False
        if run.kind in RESTORES:
            return bool(run.path) and has_permission(request, "restore")
        return has_permission(request, "run")


def _restore_again(run: BackupRun) -> dict[str, Any]:
    """Return what the confirmation has to be asked for, to do the same as a run has tried."""
    if run.kind == Kind.DB_RESTORE:
        return {"path": run.path, **RestoreChoices.of_run(run).fields}
    exact = "yes" if run.options.get("exact") else ""
    return {"path": run.path, "exact": exact, "file": run.options.get("files")}
