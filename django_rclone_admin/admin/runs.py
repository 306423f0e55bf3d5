"""The run list and the page of one run."""

from __future__ import annotations

from typing import Any
from urllib.parse import urlencode

from django.contrib import admin, messages
from django.contrib.admin.utils import quote
from django.core.exceptions import PermissionDenied
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse
from django.http.response import HttpResponseBase
from django.shortcuts import get_object_or_404, redirect, render
from django.urls import path, reverse
from django.utils.html import format_html
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_POST

from .. import api, wording
from ..exceptions import BackupError
from ..models import BackupRun, Kind, Status
from ..models.runs import is_run_id
from .again import AGAIN, RESTORES, restore_again, start_again, verb_of
from .filters import ExistingFilter, RunDatabaseFilter
from .forms import RestoreForm
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
)
from .progress import Progress
from .run_facts import facts, source_of
from .run_link import anonymous_context, is_logged_in, key_of, run_of_key

STOP_POLLING = 286
"""The status with which htmx stops polling."""


@admin.register(BackupRun)
class BackupRunAdmin(Pages):
    """The run history, read-only, with live progress of active runs."""

    change_list_template = f"admin/{APP}/backuprun/change_list.html"
    change_form_template = f"admin/{APP}/backuprun/change_form.html"
    list_display = (
        "shown_what",
        "shown_status",
        "shown_of",
        "shown_start",
        "shown_duration",
        "shown_size",
        "shown_who",
    )
    list_filter = (
        ("status", ExistingFilter),
        ("kind", ExistingFilter),
        ("database", RunDatabaseFilter),
        ("trigger", ExistingFilter),
    )
    search_fields = ("database", "path", "label", "message", "requested_by")
    date_hierarchy = "created_at"
    actions = None

    @admin.display(description=gettext_lazy("run"), ordering="kind")
    def shown_what(self, run: BackupRun) -> str:
        return str(run.get_kind_display())

    @admin.display(description=gettext_lazy("status"), ordering="status")
    def shown_status(self, run: BackupRun) -> str:
        return badge(run.status, run.get_status_display())

    @admin.display(description=gettext_lazy("of"), ordering="database")
    def shown_of(self, run: BackupRun) -> str:
        return source_of(run)

    @admin.display(description=gettext_lazy("started"), ordering="created_at")
    def shown_start(self, run: BackupRun) -> str:
        time = run.started_at or run.created_at
        return format_html(
            '<span title="{}" class="dra-when"><bdi>{}</bdi> <span class="dra-quiet"><bdi>{}</bdi></span></span>',
            wording.time(time),
            wording.when(time),
            wording.ago(time),
        )

    @admin.display(description=gettext_lazy("duration"))
    def shown_duration(self, run: BackupRun) -> str:
        return wording.duration(run.duration)

    @admin.display(description=gettext_lazy("size"), ordering="size", empty_value="")
    def shown_size(self, run: BackupRun) -> str:
        return (
            ""
            if run.size is None
            else format_html('<span class="dra-number">{}</span>', wording.size(run.size))
        )

    @admin.display(description=gettext_lazy("who"), ordering="requested_by")
    def shown_who(self, run: BackupRun) -> str:
        if not run.requested_by:
            return str(run.get_trigger_display())
        return format_html(
            '<span class="dra-nowrap"><bdi>{}</bdi> <span class="dra-quiet">{}</span></span>',
            run.requested_by,
            run.get_trigger_display(),
        )

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def get_queryset(self, request: HttpRequest) -> QuerySet[BackupRun]:
        runs: QuerySet[BackupRun] = super().get_queryset(request)  # type: ignore[assignment]
        return runs if api.has_history() else runs.none()

    def changelist_view(
        self, request: HttpRequest, extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        self.has_history(request)
        return super().changelist_view(
            request, {"title": gettext_lazy("Run history"), **(extra_context or {})}
        )

    def change_view(
        self,
        request: HttpRequest,
        object_id: str,
        form_url: str = "",
        extra_context: dict[str, Any] | None = None,
    ) -> HttpResponse:
        if not self.has_history(request):
            return self.go(LIST)
        run = BackupRun.objects.filter(pk=object_id).first() if is_run_id(object_id) else None
        if run is None:  # Django shows its own message
            return super().change_view(request, object_id, form_url, extra_context)
        require_permission(request, "view", "backuprun")
        if request.method == "POST":  # the history is read-only
            raise PermissionDenied
        may_see = bool(run.path) and has_permission(request, "view")
        address = self.address("backup_change", quote(run.path)) if may_see else ""
        context = {**self._progress(request, run), "facts": facts(run, backup=address)}
        return self.page(
            request, "change_form", {"title": context["progress"].crumb, **context, **(extra_context or {})}
        )

    def get_urls(self) -> list[Any]:
        view, name = self.admin_site.admin_view, f"{APP}_backuprun_"
        return [
            # Not wrapped in admin_view: if a restore has replaced the session, the page must not poll a login page for
            # ever, nor redirect there without an explanation.
            path("<uuid:run_id>/change/", never_cache(self.run_view), name=f"{name}change"),
            path("<uuid:run_id>/progress/", never_cache(self.progress_view), name=f"{name}progress"),
            path("<uuid:run_id>/cancel/", view(require_POST(self.cancel_view)), name=f"{name}cancel"),
            path("<uuid:run_id>/undo/", view(self.undo_view), name=f"{name}undo"),
            path("<uuid:run_id>/retry/", view(require_POST(self.retry_view)), name=f"{name}retry"),
            *super().get_urls(),
        ]

    def run_view(self, request: HttpRequest, run_id: Any) -> HttpResponseBase:
        """The page of a run; without a session but with its link, only the outcome."""
        is_asked = request.method != "POST" and not is_logged_in(self.admin_site, request)
        run = run_of_key(request, run_id) if is_asked else None
        if run is None:
            answer: HttpResponseBase = self.admin_site.admin_view(self.change_view)(request, str(run_id))
            return answer
        return self._outcome(request, run, "outcome")

    def _outcome(
        self, request: HttpRequest, run: BackupRun | None, template: str, run_id: Any = None
    ) -> HttpResponse:
        """Answer a visitor who has lost the session."""
        request.current_app = self.admin_site.name
        page = self.address(RUN, run.pk if run else run_id)
        login = reverse("admin:login", current_app=self.admin_site.name)
        login = f"{login}?{urlencode({'next': page})}"
        if run is None and "HX-Request" not in request.headers:
            return redirect(login)
        context = {
            **anonymous_context(self.admin_site, request),
            "progress": Progress(run) if run else None,
            "title": Progress(run).title if run else "",
            "login_url": login,
            "is_poll": "HX-Request" in request.headers,
            "media": self.media,
        }
        response = render(request, f"admin/{APP}/{template}.html", context)
        if "HX-Request" in request.headers and not (run and run.is_active):
            response.status_code = STOP_POLLING
        return response

    def progress_view(self, request: HttpRequest, run_id: Any) -> HttpResponse:
        """The progress of a run, for htmx: the same template as on the page. It calls no rclone."""
        request.current_app = self.admin_site.name
        if not is_logged_in(self.admin_site, request):
            return self._outcome(request, run_of_key(request, run_id), "includes/signed_out", run_id)
        require_permission(request, "view", "backuprun")
        run = get_object_or_404(BackupRun, pk=run_id)
        if Progress(run).is_stale:
            api.reap_stale()
            run.refresh_from_db()
        context = {**self._progress(request, run), "is_short": "short" in request.GET, "is_poll": True}
        response = render(request, f"admin/{APP}/includes/progress.html", context)
        if not run.is_active:
            response.status_code = STOP_POLLING
            response.headers["HX-Trigger"] = "backups-changed"
        return response

    def cancel_view(self, request: HttpRequest, run_id: Any) -> HttpResponse:
        """Request that a run stops."""
        require_permission(request, "cancel", "backuprun")
        run = get_object_or_404(BackupRun, pk=run_id)
        if run.is_active:
            api.cancel(run)
            self.log_change(request, run, _("Cancelled."))
            messages.info(request, _("Stopping the run."))
        else:
            messages.info(request, _("The run had already finished."))
        return self.go(RUN, run_id)

    def retry_view(self, request: HttpRequest, run_id: Any) -> HttpResponse:
        """Repeat a run: a backup at once, a restore through its confirmation."""
        run = get_object_or_404(BackupRun, pk=run_id)
        require_permission(request, verb_of(run))
        if run.kind not in AGAIN:
            raise PermissionDenied
        if undone := api.undone_run(run):
            return self.go("backuprun_undo", undone.pk)
        if run.kind in RESTORES:
            return self.go("backup_restore", **restore_again(run))
        try:
            again = start_again(run, origin_of(request))
        except api.RunInProgress as error:
            messages.info(request, wording.describe(error)[0])
            return self.go(RUN, error.run.pk if error.run else run_id)
        except BackupError as error:
            show_error(request, error)
            return self.go(RUN, run_id)
        is_good = run.status == Status.SUCCEEDED
        self.log_change(request, again, _("Run again.") if is_good else _("Tried again."))
        return self.go(RUN, again.pk)

    def undo_view(self, request: HttpRequest, run_id: Any) -> HttpResponse:
        """Show what undoing a restore does; undo it when the name of the database was typed."""
        require_permission(request, "restore")
        run = get_object_or_404(BackupRun, pk=run_id)
        if not api.is_undoable(run):
            messages.error(
                request, _("Only the last restore can be undone, as long as what it replaced is kept.")
            )
            return self.go(RUN, run_id)
        is_media, kept = run.kind == Kind.MEDIA_RESTORE, None
        if is_media:
            try:
                kept = api.plan_undo_restore_media()
            except BackupError as error:
                show_error(request, error)
                return self.go(RUN, run_id)
        target = "media" if is_media else run.database
        form = RestoreForm(request.POST if request.method == "POST" else None, target=target)
        if form.is_valid():
            return self._undo(request, run)
        context = {
            "title": _undo_title(run),
            "run": run,
            "form": form,
            "kept": kept
            and {"back": [each.path for each in kept.back], "gone": [each.path for each in kept.gone]},
            "sessions_inside": not is_media and api.holds_sessions(run.database),
        }
        return self.page(request, "undo", context)

    def _undo(self, request: HttpRequest, run: BackupRun) -> HttpResponse:
        try:
            if run.kind == Kind.MEDIA_RESTORE:
                undo = api.start_undo_restore_media(origin=origin_of(request))
            else:
                undo = api.start_undo_restore(run.database, origin=origin_of(request))
        except BackupError as error:
            show_error(request, error)
            return self.go(RUN, run.pk)
        self.log_change(request, undo, _("Undo of a restore started."))
        return self.go(RUN, undo.pk, key=key_of(undo))

    def _progress(self, request: HttpRequest, run: BackupRun) -> dict[str, Any]:
        """Return the context for the progress template."""
        return {
            "progress": Progress(run),
            "may_cancel": has_permission(request, "cancel", "backuprun"),
            "may_open": has_permission(request, "open"),
            "may_retry": self._may_retry(request, run),
            "may_undo": has_permission(request, "restore") and api.is_undoable(run),
        }

    def _may_retry(self, request: HttpRequest, run: BackupRun) -> bool:
        if run.is_active or run.kind not in AGAIN:
            return False
        if run.kind in RESTORES:  # a successful one is repeated from the page of its backup
            can_be_done = bool(run.path) or api.undone_run(run) is not None
            return run.status != Status.SUCCEEDED and can_be_done and has_permission(request, "restore")
        return has_permission(request, verb_of(run))


def _undo_title(run: BackupRun) -> str:
    if run.kind == Kind.MEDIA_RESTORE:
        if api.is_undo(run):
            return _("Go back to the restored media files?")
        return _("Undo the restore of the media files?")
    if api.is_undo(run):
        return _("Go back to the restored data of %(database)s?") % {"database": run.database}
    return _("Undo the restore of %(database)s?") % {"database": run.database}
