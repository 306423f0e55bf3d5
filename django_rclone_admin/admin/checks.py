"""Checks in the admin: started from the list and from the page of a backup, with their records for printing."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from django.contrib import admin, messages
from django.contrib.admin.utils import quote
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse
from django.utils.html import format_html, format_html_join
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy, ngettext

from .. import api, wording
from ..exceptions import BackupError
from ..models import Backup, BackupRun
from .choices import LEVELS, MEDIA_LEVELS
from .pages import (
    DETAIL,
    RUN,
    Pages,
    badge,
    get_backup_or_404,
    has_permission,
    origin_of,
    require_permission,
    show_error,
    shows_errors,
)

BADGES = {"passed": "complete", "failed": "damaged", "unchecked": "legacy"}
"""Outcomes, with the state whose colour they use."""


class Checks(Pages):
    """The checks; a part of the admin of backups."""

    def render_change_form(
        self,
        request: HttpRequest,
        context: dict[str, Any],
        add: bool = False,
        change: bool = False,
        form_url: str = "",
        obj: Any = None,
    ) -> HttpResponse:
        """Add the levels up to which this backup can be checked."""
        context["levels"] = MEDIA_LEVELS if obj and obj.is_media else LEVELS
        return super().render_change_form(request, context, add, change, form_url, obj)

    def has_verify_permission(self, request: HttpRequest) -> bool:
        return has_permission(request, "verify")

    @admin.display(description=gettext_lazy("proven"), ordering="proven_at")
    def shown_proven(self, backup: Backup) -> str:
        if failed := next((each for each in backup.checks if each["level"] == backup.failed), None):
            return result(failed, backup.kind)
        if not backup.proven:
            return format_html('<span class="dra-quiet">{}</span>', _("never checked"))
        return format_html(
            '<span class="dra-nowrap" title="{}">✓ {} <span class="dra-quiet"><bdi>{}</bdi></span></span>',
            wording.time(backup.proven_at),
            wording.level(backup.proven, backup.kind),
            wording.ago(backup.proven_at),
        )

    @admin.display(description=gettext_lazy("checks"))
    def shown_checks(self, backup: Backup) -> str:
        if not backup.checks:
            return "–"
        return format_html(
            '{} <a href="{}">{}</a>',
            format_html_join(" ", "{}", ((result(each, backup.kind),) for each in backup.checks)),
            self.address("backup_checks", quote(backup.pk)),
            _("Show the records"),
        )

    @admin.action(description=gettext_lazy("Check selected"), permissions=["verify"])
    def verify_selected(self, request: HttpRequest, queryset: QuerySet[Any]) -> HttpResponse | None:
        backups = list(queryset)
        runs = self._start_checks(request, backups, "structure")
        if runs:
            text = ngettext(
                "Check of %(count)d backup started.", "Check of %(count)d backups started.", len(backups)
            )
            messages.success(request, text % {"count": len(backups)})
        return None

    @shows_errors
    def verify_view(self, request: HttpRequest, object_id: str) -> HttpResponse:
        """Start the check of a backup."""
        require_permission(request, "verify")
        backup = get_backup_or_404(object_id)
        runs = self._start_checks(request, [backup], request.POST.get("level", "structure"))
        if runs and has_permission(request, "view", "backuprun"):
            return self.go(RUN, runs[0].pk)
        return self.go(DETAIL, object_id)

    def _start_checks(self, request: HttpRequest, backups: Sequence[Backup], level: str) -> list[BackupRun]:
        """Start one run for each database, which checks one backup after the other."""
        groups: dict[tuple[str, str], list[Backup]] = {}
        for each in backups:
            groups.setdefault((each.kind, each.database), []).append(each)
        runs = []
        for first, *others in groups.values():
            try:
                run = api.start_verify_backup(
                    first.path, level=level, then=[each.path for each in others], origin=origin_of(request)
                )
            except BackupError as error:
                show_error(request, error)
                continue
            runs.append(run)
            for each in (first, *others):
                self.log_change(request, each, _("Check started."))
        return runs

    @shows_errors
    def checks_view(self, request: HttpRequest, object_id: str) -> HttpResponse:
        """Show the check records of a backup, for printing."""
        require_permission(request, "view")
        backup = get_backup_or_404(object_id)
        context = {
            "title": _("Checks of %(name)s") % {"name": backup.name},
            "backup": backup,
            "records": [
                _Shown(each, backup.kind, self.run_link(each.run)) for each in api.list_checks(backup.path)
            ],
        }
        return self.page(request, "checks", context)

    def check_urls(self, require_post: Any) -> list[Any]:
        """Return the URL patterns of these pages."""
        return [
            self.route("<path:object_id>/check/", require_post(self.verify_view), "check"),
            self.route("<path:object_id>/checks/", self.checks_view, "checks"),
        ]


class _Shown:
    """A record in the words of its page."""

    def __init__(self, record: api.Record, kind: str, run: str) -> None:
        self.record, self._kind, self.run = record, kind, run

    @property
    def result(self) -> str:
        return badge(BADGES[self.record.outcome], wording.outcome(self.record.outcome))

    @property
    def check(self) -> str:
        return wording.check(self.record.level, self._kind)

    @property
    def duration(self) -> str:
        return wording.duration(self.record.finished_at - self.record.started_at)

    @property
    def lost(self) -> str:
        return "" if self.record.age_seconds is None else wording.seconds(self.record.age_seconds)

    @property
    def tables(self) -> list[tuple[str, object, object]]:
        return [(name, each["expected"], each["found"]) for name, each in self.record.tables.items()]

    @property
    def versions(self) -> str:
        return ", ".join(f"{name} {version}" for name, version in self.record.versions.items())


def result(check: dict[str, Any], kind: str) -> str:
    return badge(
        BADGES[check["outcome"]],
        f"{wording.check(check['level'], kind)}: {wording.outcome(check['outcome'])}",
    )
