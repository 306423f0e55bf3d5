"""What the backup list and the backup page show of one backup."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from django.contrib import admin
from django.contrib.admin.utils import quote
from django.db.models import QuerySet
from django.http import HttpRequest
from django.utils.html import format_html, format_html_join
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _

from .. import api, wording
from ..models import Backup, BackupRun, Trigger
from .pages import DETAIL, LIST, RUN, Pages, badge, is_uuid, moment

NEAR = timedelta(days=1)
"""How far the times of backups that were started together may be from each other: some wait, or list many files."""


class DatabaseFilter(admin.SimpleListFilter):
    """By database: those configured here and those that have backups. Media files are another kind."""

    title = _("database")
    parameter_name = "database"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        databases = model_admin.get_queryset(request).filter(kind=Backup.Kind.DATABASE)
        listed = databases.values_list("database", flat=True).distinct()
        return [(each, each) for each in sorted({*listed, *api.all_databases()})]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
        if not self.value():
            return queryset
        return queryset.filter(kind=Backup.Kind.DATABASE, database=self.value())


def _source(backup: Backup) -> str:
    return gettext("media files") if backup.is_media else backup.database


class BackupColumns(Pages):
    """The columns; a part of the admin of backups."""

    @admin.display(description=_("taken"), ordering="taken_at")
    def shown_when(self, backup: Backup) -> str:
        return format_html(
            '<span title="{}" class="dra-when">{} <span class="dra-quiet">{}</span></span>',
            backup.name,
            wording.when(backup.taken_at),
            wording.ago(backup.taken_at),
        )

    @admin.display(description=_("of"), ordering="database")
    def shown_of(self, backup: Backup) -> str:
        marks = [
            ("warning", _("pinned")) if backup.pinned else None,
            (backup.state, backup.get_state_display()) if backup.state != Backup.State.COMPLETE else None,
            ("safety", _("safety backup")) if backup.trigger == Trigger.SAFETY else None,
        ]
        badges = format_html_join("", " {}", ((badge(*mark),) for mark in marks if mark))
        label = format_html(' <span class="dra-quiet">{}</span>', backup.label) if backup.label else ""
        return format_html("{}{}{}", self.shown_source(backup), badges, label)

    @admin.display(description=_("actions"))
    def shown_actions(self, backup: Backup) -> str:
        links = [(self.address(DETAIL, quote(backup.pk)), _("Open"))]
        if backup.is_restorable and getattr(backup, "may_restore", False):
            links.insert(0, (self.address("backup_restore", path=backup.path), _("Restore")))
        if backup.is_media and backup.is_restorable:
            links.append((self.address("backup_files", quote(backup.pk)), _("Files")))
        return format_html(
            '<span class="dra-actions">{}</span>', format_html_join("", '<a href="{}">{}</a>', links)
        )

    @admin.display(description=_("made together with"))
    def shown_others(self, backup: Backup) -> str:
        if not backup.group:
            return "–"
        # Only the manifests of about the same time are read.
        near = (backup.taken_at - NEAR, backup.taken_at + NEAR)
        others = Backup.objects.filter(taken_at__range=near).exclude(pk=backup.pk)
        links = [
            (self.address(DETAIL, quote(each.pk)), _source(each), each.name)
            for each in others
            if each.group == backup.group
        ]
        return format_html_join(", ", '<a href="{}">{}</a> <span class="dra-quiet">{}</span>', links) or "–"

    @admin.display(description=_("database"), ordering="database")
    def shown_source(self, backup: Backup) -> str:
        if not backup.group:
            return _source(backup)
        return format_html(
            '{} <a class="dra-badge" href="{}" title="{}">{}</a>',
            _source(backup),
            self.address(LIST, group=backup.group),
            _("Made together with others: show them all"),
            _("together"),
        )

    @admin.display(description=_("taken"), ordering="taken_at")
    def shown_taken(self, backup: Backup) -> str:
        return moment(backup.taken_at)

    @admin.display(description=_("size"), ordering="size")
    def shown_size(self, backup: Backup) -> str:
        files = format_html(' <bdi class="dra-quiet">{}</bdi>', wording.files(backup.files))
        return format_html(
            '<span class="dra-number"><bdi>{}</bdi>{}</span>',
            wording.size(backup.size),
            "" if backup.files is None else files,
        )

    @admin.display(description=_("state"), ordering="state")
    def shown_state(self, backup: Backup) -> str:
        return badge(backup.state, backup.get_state_display())

    @admin.display(description=_("pinned"))
    def shown_pin(self, backup: Backup) -> str:
        return gettext("yes, the retention keeps it") if backup.pinned else gettext("no")

    @admin.display(description=_("size before compression"))
    def shown_raw_size(self, backup: Backup) -> str:
        return wording.size(backup.raw_size)

    @admin.display(description=_("run"))
    def shown_run(self, backup: Backup) -> str:
        if not is_uuid(backup.run) or not BackupRun.objects.filter(pk=backup.run).exists():
            return backup.run or "–"
        return format_html('<a href="{}">{}</a>', self.address(RUN, backup.run), backup.run)

    @admin.display(description=_("tables"))
    def shown_tables(self, backup: Backup) -> str:
        return ", ".join(backup.tables) or "–"

    @admin.display(description=_("other contents"))
    def shown_contents(self, backup: Backup) -> str:
        return wording.objects(backup.contents) or "–"

    @admin.display(description=_("left out by your options"))
    def shown_left_out(self, backup: Backup) -> str:
        return wording.objects(backup.left_out) or "–"

    @admin.display(description=_("warnings"))
    def shown_warnings(self, backup: Backup) -> str:
        return " ".join(backup.warnings) or "–"

    @admin.display(description=_("last migrations"))
    def shown_migrations(self, backup: Backup) -> str:
        return ", ".join(f"{app}.{name}" for app, names in backup.migrations.items() for name in names) or "–"
