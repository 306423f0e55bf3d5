"""The columns and fields of one backup."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta

from django.contrib import admin
from django.contrib.admin.utils import quote
from django.utils.html import format_html, format_html_join
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy, pgettext

from .. import wording
from ..models import Backup
from .pages import DETAIL, LIST, Pages, badge, moment

NEAR = timedelta(days=1)
"""How far apart the times of backups in one group may be: some wait, or list many files."""


def _source(backup: Backup) -> str:
    return _("media files") if backup.is_media else backup.database


def _note(backup: Backup) -> str:
    """Return the note next to a backup's name: its label, or until when it is kept."""
    if backup.kept_until:
        return _("before a restore, kept until %(day)s") % {"day": wording.day(backup.kept_until)}
    return backup.label


class BackupColumns(Pages):
    """The columns; a part of the admin of backups."""

    @admin.display(description=gettext_lazy("taken"), ordering="taken_at")
    def shown_when(self, backup: Backup) -> str:
        return format_html(
            '<span title="{}" class="dra-when"><bdi>{}</bdi> <span class="dra-quiet"><bdi>{}</bdi></span></span>',
            backup.name,
            wording.when(backup.taken_at),
            wording.ago(backup.taken_at),
        )

    @admin.display(description=gettext_lazy("of"), ordering="database")
    def shown_of(self, backup: Backup) -> str:
        marks = [
            ("warning", gettext_lazy("pinned")) if backup.pinned else None,
            (backup.state, backup.get_state_display()) if backup.state != Backup.State.COMPLETE else None,
            ("safety", gettext_lazy("safety backup")) if backup.kept_until else None,
        ]
        badges = format_html_join("", " {}", ((badge(*mark),) for mark in marks if mark))
        note = _note(backup)
        label = format_html(' <span class="dra-quiet dra-name"><bdi>{}</bdi></span>', note) if note else ""
        return format_html("{}{}{}", self.shown_source(backup), badges, label)

    @admin.display(description=gettext_lazy("size"), ordering="size")
    def shown_growth(self, backup: Backup) -> str:
        change: str = backup.change  # type: ignore[attr-defined]
        shown = format_html(' <span class="dra-quiet"><bdi>{}</bdi></span>', change) if change else ""
        return format_html(
            '<span class="dra-number"><bdi>{}</bdi>{}</span>', wording.size(backup.size), shown
        )

    @admin.display(description=gettext_lazy("actions"))
    def shown_actions(self, backup: Backup) -> str:
        may: frozenset[str] = backup.permitted_verbs  # type: ignore[attr-defined]
        restore = ""
        if backup.is_restorable and "restore" in may:
            address = self.address("backup_restore", path=backup.path)
            restore = format_html('<a href="{}">{}</a>', address, gettext_lazy("Restore"))
        if backup.is_restorable and not backup.is_media and "open" in may:
            address = self.address("backup_open", quote(backup.pk))
            restore += format_html(
                '<button type="submit" formaction="{}">{}</button>', address, gettext_lazy("Open")
            )
        return format_html(
            '<span class="dra-actions">{} <details class="dra-menu"><summary aria-label="{}">⋯</summary>'
            '<span class="dra-menu-items">{}</span></details></span>',
            restore,
            _("More actions for %(name)s") % {"name": backup.name},
            format_html_join("", "{}", ((each,) for each in self._menu(backup, may))),
        )

    def _menu(self, backup: Backup, may: frozenset[str]) -> Sequence[str]:
        """Return the menu items of a row. The list is inside a form, so state-changing items are buttons of it."""
        key = quote(backup.pk)
        links = [(self.address(DETAIL, key), gettext_lazy("Details"))]
        if backup.is_media and backup.is_restorable:
            links.append((self.address("backup_files", key), gettext_lazy("Files")))
        if "download" in may:
            links.append((self.address("backup_download", key), gettext_lazy("Download")))
        items = [format_html('<a href="{}">{}</a>', *link) for link in links]
        if "pin" in may:
            word, address = (
                gettext_lazy("Unpin") if backup.pinned else gettext_lazy("Pin"),
                self.address("backup_pin", key),
            )
            items.append(format_html('<button type="submit" formaction="{}">{}</button>', address, word))
        if "delete" in may:
            address = self.address("backup_delete", key)
            items.append(format_html('<a href="{}" class="dra-bad">{}</a>', address, gettext_lazy("Delete")))
        return items

    @admin.display(description=gettext_lazy("started together with"))
    def shown_others(self, backup: Backup) -> str:
        if not backup.group:
            return "–"
        # Only manifests of about the same time are read.
        near = (backup.taken_at - NEAR, backup.taken_at + NEAR)
        others = Backup.objects.filter(taken_at__range=near).exclude(pk=backup.pk)
        links = [
            (self.address(DETAIL, quote(each.pk)), _source(each), each.name)
            for each in others
            if each.group == backup.group
        ]
        return (
            format_html_join(
                ", ", '<a href="{}" class="dra-link">{}</a> <span class="dra-quiet">{}</span>', links
            )
            or "–"
        )

    @admin.display(description=gettext_lazy("of"), ordering="database")
    def shown_source(self, backup: Backup) -> str:
        if not backup.group:
            return _source(backup)
        return format_html(
            '{} <a class="dra-badge" href="{}" title="{}">{}</a>',
            _source(backup),
            self.address(LIST, group=backup.group),
            gettext_lazy("Started together with others: show all of the group"),
            pgettext("backups started together", "group"),
        )

    @admin.display(description=gettext_lazy("taken"), ordering="taken_at")
    def shown_taken(self, backup: Backup) -> str:
        return moment(backup.taken_at)

    @admin.display(description=gettext_lazy("size"), ordering="size")
    def shown_size(self, backup: Backup) -> str:
        files = format_html(' <bdi class="dra-quiet">{}</bdi>', wording.files(backup.files))
        return format_html(
            '<span class="dra-number"><bdi>{}</bdi>{}</span>',
            wording.size(backup.size),
            "" if backup.files is None else files,
        )

    @admin.display(description=gettext_lazy("state"), ordering="state")
    def shown_state(self, backup: Backup) -> str:
        return badge(backup.state, backup.get_state_display())

    @admin.display(description=gettext_lazy("pinned"))
    def shown_pin(self, backup: Backup) -> str:
        return _("yes, the retention keeps it") if backup.pinned else _("no")

    @admin.display(description=gettext_lazy("size before compression"))
    def shown_raw_size(self, backup: Backup) -> str:
        return wording.size(backup.raw_size)

    @admin.display(description=gettext_lazy("engine"), ordering="engine")
    def shown_engine(self, backup: Backup) -> str:
        return wording.engine(backup) or "–"

    @admin.display(description=gettext_lazy("client version"))
    def shown_client(self, backup: Backup) -> str:
        return backup.tool_version if backup.tool_version != backup.server_version else ""

    @admin.display(description=gettext_lazy("run"))
    def shown_run(self, backup: Backup) -> str:
        return self.run_link(backup.run) or "–"

    @admin.display(description=gettext_lazy("tables"))
    def shown_tables(self, backup: Backup) -> str:
        return ", ".join(backup.tables) or "–"

    @admin.display(description=gettext_lazy("other contents"))
    def shown_contents(self, backup: Backup) -> str:
        return wording.objects(backup.contents) or "–"

    @admin.display(description=gettext_lazy("left out by your options"))
    def shown_left_out(self, backup: Backup) -> str:
        return wording.objects(backup.left_out) or "–"

    @admin.display(description=gettext_lazy("warnings"))
    def shown_warnings(self, backup: Backup) -> str:
        return " ".join(backup.warnings) or "–"

    @admin.display(description=gettext_lazy("last migrations"))
    def shown_migrations(self, backup: Backup) -> str:
        return ", ".join(f"{app}.{name}" for app, names in backup.migrations.items() for name in names) or "–"
