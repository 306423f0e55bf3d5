"""Opened backups: the button that opens one, their list, and the page of one."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from django.contrib import admin, messages
from django.contrib.admin.utils import unquote
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy
from django.views.decorators.http import require_POST

from .. import api, wording
from ..exceptions import BackupError
from ..models import Backup, OpenedBackup
from .checks import result
from .forms import RestoreForm
from .pages import (
    APP,
    DETAIL,
    LIST,
    RUN,
    Pages,
    get_backup_or_404,
    has_permission,
    moment,
    origin_of,
    require_permission,
    show_error,
    shows_errors,
    with_heading,
)
from .run_link import key_of

OPENED, OPENED_LIST = "openedbackup_change", "openedbackup_changelist"


class Opens(Pages):
    """The button that opens a backup; a part of the admin of backups."""

    def get_urls(self) -> list[Any]:
        return [
            self.route("<path:object_id>/open/", require_POST(self.open_view), "open"),
            *super().get_urls(),
        ]

    @shows_errors
    def open_view(self, request: HttpRequest, object_id: str) -> HttpResponse:
        """Start opening a backup, and redirect to its run."""
        require_permission(request, "open")
        backup = get_backup_or_404(object_id)
        try:
            run = api.start_open_backup(backup.path, origin=origin_of(request))
        except api.RunInProgress as error:
            # A second click must not look like a failure: show the active run.
            messages.info(request, wording.describe(error)[0])
            if error.run and has_permission(request, "view", "backuprun"):
                return self.go(RUN, error.run.pk)
            return self.go(DETAIL, object_id)
        self.log_change(request, run, _("Opening of %(path)s started.") % {"path": backup.path})
        if has_permission(request, "view", "backuprun"):
            return self.go(RUN, run.pk)
        messages.success(request, _("The backup is being opened."))
        return self.go(OPENED_LIST)


@admin.register(OpenedBackup)
class OpenedBackupAdmin(Pages):
    """Lists the opened backups, with their actions."""

    change_list_template = f"admin/{APP}/openedbackup/change_list.html"
    list_display = ("shown_what", "shown_opened", "shown_until", "shown_who", "shown_server")
    actions = None
    show_full_result_count = False

    @admin.display(description=gettext_lazy("backup"))
    def shown_what(self, opened: OpenedBackup) -> str:
        return _title(opened)

    @admin.display(description=gettext_lazy("opened"), ordering="opened_at")
    def shown_opened(self, opened: OpenedBackup) -> str:
        return moment(opened.opened_at)

    @admin.display(description=gettext_lazy("closes"), ordering="expires_at")
    def shown_until(self, opened: OpenedBackup) -> str:
        return with_heading(_("closes"), wording.when(opened.expires_at))

    @admin.display(description=gettext_lazy("opened by"), ordering="opened_by", empty_value="")
    def shown_who(self, opened: OpenedBackup) -> str:
        return opened.opened_by and with_heading(_("opened by"), opened.opened_by)

    @admin.display(description=gettext_lazy("server"), ordering="server")
    def shown_server(self, opened: OpenedBackup) -> str:
        return with_heading(_("on the server of"), opened.server)

    # -- permissions: the right to open backups includes viewing all opened ones -------------------------------------

    def has_view_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return has_permission(request, "open")

    def has_module_permission(self, request: HttpRequest) -> bool:
        return has_permission(request, "open")

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    # -- pages -------------------------------------------------------------------------------------------------------

    def get_queryset(self, request: HttpRequest) -> QuerySet[Any]:
        # No query before “migrate” has created the table.
        found = [each.pk for each in api.list_opened_backups(everywhere=False)]
        return OpenedBackup.objects.filter(pk__in=found) if found else OpenedBackup.objects.none()

    def changelist_view(
        self, request: HttpRequest, extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        require_permission(request, "open")
        self.has_history(request)
        return super().changelist_view(
            request, {"title": gettext_lazy("Opened backups"), **(extra_context or {})}
        )

    def get_urls(self) -> list[Any]:
        return [
            self.route("<uuid:opened_id>/change/", self.opened_view, "change"),
            self.route("<uuid:opened_id>/close/", require_POST(self.close_view), "close"),
            self.route("<uuid:opened_id>/keep/", require_POST(self.keep_view), "keep"),
            self.route("<uuid:opened_id>/live/", self.live_view, "live"),
            *super().get_urls(),
        ]

    def opened_view(self, request: HttpRequest, opened_id: Any) -> HttpResponse:
        """The page of an opened backup. htmx loads the differences, because counting rows may take a while."""
        require_permission(request, "open")
        opened = self._find(request, opened_id)
        if opened is None:
            return self.go(OPENED_LIST)
        context: dict[str, Any] = {
            "title": _title(opened),
            "opened": opened,
            "opening": wording.duration(timedelta(seconds=opened.seconds)),
            "tables": len(opened.rows),
            "rows": sum(each or 0 for each in opened.rows.values()),
            "checks": _checks(opened),
            "may_restore": has_permission(request, "restore"),
            "may_see_backup": has_permission(request, "view"),
            "why_not_live": api.why_not_live(opened) if has_permission(request, "restore") else "",
        }
        if "compare" in request.GET:
            context["found"] = api.compare_opened_backup(opened)
        return self.page(request, "opened", context)

    def close_view(self, request: HttpRequest, opened_id: Any) -> HttpResponse:
        """Close an opened backup."""
        require_permission(request, "open")
        opened = self._find(request, opened_id)
        if opened is None:
            return self.go(OPENED_LIST)
        try:
            self.log_change(request, opened, _("Closed."))
            api.close_backup(opened)
        except BackupError as error:
            show_error(request, error)
            return self.go(OPENED, opened_id)
        messages.success(
            request,
            _("The opened backup of “%(database)s” was closed.") % {"database": opened.database},
        )
        return self.go(OPENED_LIST if OpenedBackup.objects.staying().exists() else LIST)

    def keep_view(self, request: HttpRequest, opened_id: Any) -> HttpResponse:
        """Keep it open longer."""
        require_permission(request, "open")
        if opened := self._find(request, opened_id):
            api.keep_open(opened)
            self.log_change(request, opened, _("Kept open."))
            values = {"time": wording.time(opened.expires_at)}
            messages.success(request, _("It stays open until %(time)s.") % values)
            return self.go(OPENED, opened_id)
        return self.go(OPENED_LIST)

    def live_view(self, request: HttpRequest, opened_id: Any) -> HttpResponse:
        """Show what putting it live does; do it when the name of the database was typed."""
        require_permission(request, "restore")
        opened = self._find(request, opened_id)
        if opened is None:
            return self.go(OPENED_LIST)
        if reason := api.why_not_live(opened):
            messages.error(request, reason)
            return self.go(OPENED, opened_id)
        form = RestoreForm(request.POST if request.method == "POST" else None, target=opened.database)
        if form.is_valid():
            return self._put_live(request, opened)
        context = {
            "title": _("Put this backup live as %(database)s?") % {"database": opened.database},
            "opened": opened,
            "form": form,
            "found": api.compare_opened_backup(opened),
            "sessions_inside": api.holds_sessions(opened.database),
            "safety_backup": api.makes_safety_backup(),
        }
        return self.page(request, "put_live", context)

    def _put_live(self, request: HttpRequest, opened: OpenedBackup) -> HttpResponse:
        try:
            run = api.start_put_live(opened, origin=origin_of(request))
        except BackupError as error:
            show_error(request, error)
            return self.go(OPENED, opened.pk)
        self.log_change(request, run, _("Putting %(path)s live started.") % {"path": opened.path})
        if has_permission(request, "view", "backuprun"):
            return self.go(RUN, run.pk, key=key_of(run))
        messages.success(request, _("The restore has started."))
        return self.go(LIST)

    def _find(self, request: HttpRequest, opened_id: Any) -> OpenedBackup | None:
        try:
            return api.get_opened_backup(unquote(str(opened_id)))
        except BackupError as error:
            show_error(request, error)
            return None


def _checks(opened: OpenedBackup) -> list[str]:
    """Return the check results of its backup; none if the remote does not answer, because the page works without it."""
    try:
        backup = Backup.objects.filter(path=opened.path).first()
    except BackupError:
        return []
    return [result(each, backup.kind) for each in backup.checks] if backup else []


def _title(opened: OpenedBackup) -> str:
    when = wording.time(opened.taken_at) if opened.taken_at else str(opened)
    return _("%(database)s, as of %(time)s") % {"database": opened.database, "time": when}
