"""The way to a restore: what it will do, the word that confirms it, and the run."""

from __future__ import annotations

from typing import Any
from urllib.parse import urlencode

from django.contrib import admin, messages
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.urls import reverse
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _

from .. import api
from ..engine.catalog import State
from .forms import RestoreForm
from .pages import APP, LIST, RUN, Pages, demand, may, says_errors, who


class Restores(Pages):
    """The action, the confirmation and the start of restores; a part of the admin of backups."""

    def get_urls(self) -> list[Any]:
        return [self.route("restore/", self.restore_view, "restore"), *super().get_urls()]

    def has_restore_permission(self, request: HttpRequest) -> bool:
        return may(request, "restore")

    @admin.action(description=_("Restore selected"), permissions=["restore"])
    def restore_selected(self, request: HttpRequest, queryset: QuerySet[Any]) -> HttpResponse | None:
        chosen = list(queryset)
        if len(chosen) != 1:
            self.message_user(
                request, _("Choose one backup: a restore replaces one database."), messages.ERROR
            )
            return None
        return redirect(f"{reverse(f'admin:{APP}_backup_restore')}?{urlencode({'path': chosen[0].path})}")

    @says_errors
    def restore_view(self, request: HttpRequest) -> HttpResponse:
        """Say what a restore will do; carry it out when the name of the database was typed."""
        demand(request, "restore")
        plan = api.plan_restore(request.POST.get("path") or request.GET.get("path", ""))
        form = RestoreForm(request.POST if request.method == "POST" else None, target=plan.target)
        if form.is_valid():
            return self._restore(request, plan.backup.path)
        context = {
            "title": gettext("Restore %(database)s?") % {"database": plan.target},
            "plan": plan,
            "form": form,
            "sessions_inside": api.holds_sessions(plan.target),
            "is_legacy": plan.backup.state is State.LEGACY,
        }
        return self.page(request, "restore", context)

    def _restore(self, request: HttpRequest, backup_path: str) -> HttpResponse:
        run = api.start_restore_database(backup_path, **who(request))
        self.log_change(request, run, gettext("Restore of %(path)s started.") % {"path": backup_path})
        if may(request, "view", "backuprun"):
            return redirect(RUN, run.pk)
        messages.success(request, gettext("The restore has started."))
        return redirect(LIST)
