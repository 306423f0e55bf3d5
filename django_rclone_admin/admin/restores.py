"""The restore pages: the plan, the confirmation, and the start of the run."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from django.contrib import admin, messages
from django.contrib.admin.utils import quote
from django.db.models import QuerySet
from django.http import Http404, HttpRequest, HttpResponse
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from .. import api, wording
from ..exceptions import BackupDamaged, BackupError, BackupNotFound, gettext_noop
from ..models import Backup, BackupRun
from .choices import RestoreChoices
from .forms import RestoreForm, RestoreMediaForm
from .pages import LIST, RUN, Pages, has_permission, origin_of, require_permission, shows_errors
from .run_link import key_of

COMPARE_SECONDS = 120
"""Time limit for finding out what a media restore would change."""


class Restores(Pages):
    """The action, the confirmation and the start of restores; a part of the admin of backups."""

    def get_urls(self) -> list[Any]:
        return [self.route("restore/", self.restore_view, "restore"), *super().get_urls()]

    def has_restore_permission(self, request: HttpRequest) -> bool:
        return has_permission(request, "restore")

    @admin.action(description=gettext_lazy("Restore selected"), permissions=["restore"])
    def restore_selected(self, request: HttpRequest, queryset: QuerySet[Any]) -> HttpResponse | None:
        chosen = list(queryset)
        if len(chosen) != 1:
            self.message_user(
                request, gettext_lazy("Choose one backup: a restore replaces one database."), messages.ERROR
            )
            return None
        return self.go("backup_restore", path=chosen[0].path)

    @shows_errors
    def restore_view(self, request: HttpRequest) -> HttpResponse:
        """Show what a restore will do; carry it out when the name of the database was typed."""
        require_permission(request, "restore")
        path = request.POST.get("path") or request.GET.get("path", "")
        if media := Backup.objects.filter(kind=Backup.Kind.MEDIA, path=path).first():
            return self._confirm_media(request, media)
        choices = RestoreChoices.of_request(request)
        plan = api.plan_restore(path, **choices.arguments)
        form = RestoreForm(request.POST if request.method == "POST" else None, target=plan.target)
        if form.is_valid():
            run = api.start_restore_database(plan.backup.path, **choices.arguments, origin=origin_of(request))
            return self._watch(request, run, plan.backup.path)
        context = {
            "title": _("Restore %(database)s?") % {"database": plan.target},
            "plan": plan,
            "form": form,
            "choices": choices.fields,
            "sessions_inside": api.holds_sessions(plan.target),
            "is_legacy": plan.backup.state is api.State.LEGACY,
        }
        return self.page(request, "restore", context)

    def _confirm_media(self, request: HttpRequest, backup: Backup) -> HttpResponse:
        """Confirm and start a media restore: of all files of a backup, or of the one in the query."""
        if not backup.is_restorable:
            raise BackupDamaged(
                gettext_noop("The backup %(name)s is damaged and was not restored."), name=backup.name
            )
        chosen = request.POST.getlist("file") or request.GET.getlist("file")
        files = _chosen_files(backup, chosen)
        is_answered = request.method == "POST" and not {"choosing", "compare"} & {*request.POST, *request.GET}
        form = RestoreMediaForm(
            request.POST if is_answered else None,
            target=backup.kind,
            initial={"exact": "exact" in {**request.GET, **request.POST}},
        )
        if chosen or "choosing" in request.POST:  # no other file is touched
            del form.fields["exact"]
        if "choosing" in request.POST and not chosen:
            messages.error(request, _("Choose at least one file or folder."))
            return self.go("backup_files", quote(backup.pk))
        if form.is_valid():
            exact = form.cleaned_data.get("exact", False)
            run = api.start_restore_media(
                backup.path, exact=exact, files=chosen or None, origin=origin_of(request)
            )
            what = f"{backup.path}: {', '.join(chosen)}" if chosen else backup.path
            return self._watch(request, run, what)
        context = {
            "title": _media_title(chosen, len(files)),
            "backup": backup,
            "form": form,
            "chosen": chosen,
            "several": len(chosen) > 1 or len(files) > 1,
            "chosen_count": len(files),
            "may_run": has_permission(request, "run"),
            "is_kept": api.keeps_replaced_media(),
        }
        # The page is sent at once; htmx loads what the restore would change, which takes a while to find out.
        if "compare" in request.GET:
            try:
                context["plan"] = api.plan_restore_media(
                    backup.path, files=chosen or None, timeout=COMPARE_SECONDS
                )
            except BackupError as error:
                context["problem"], context["hint"] = wording.describe(error)
        return self.page(request, "restore_media", context)

    def _watch(self, request: HttpRequest, run: BackupRun, what: str) -> HttpResponse:
        """Log that a restore has started, and redirect to its page."""
        self.log_change(request, run, _("Restore of %(path)s started.") % {"path": what})
        if has_permission(request, "view", "backuprun"):
            return self.go(RUN, run.pk, key=key_of(run))
        messages.success(request, _("The restore has started."))
        return self.go(LIST)


def _chosen_files(backup: Backup, chosen: Sequence[str]) -> list[str]:
    """Return the paths of the files that were chosen, by themselves or with their folder.

    :raises Http404: the backup lacks one of them.
    """
    if not chosen:
        return []
    try:
        return [each.path for each in api.list_media_files(backup.path, chosen)]
    except BackupNotFound as error:
        raise Http404 from error


def _media_title(chosen: Sequence[str], count: int) -> str:
    if not chosen:
        return _("Restore the media files?")
    if len(chosen) == 1:
        return _("Restore %(name)s?") % {"name": chosen[0]}
    return _("Restore %(files)s?") % {"files": wording.files(count)}
