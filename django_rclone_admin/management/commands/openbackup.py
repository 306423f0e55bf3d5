from typing import Any

from django.core.management.base import CommandParser
from django.utils import timezone
from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from ... import api
from ...models import BackupRun, OpenedBackup
from ..base import Command as BaseCommand
from ..base import origin, refuse_together


class Command(BaseCommand):
    help = _("Restore a backup into a separate place, read-only, to look at it.")
    details = _(
        "Without arguments, the latest complete backup of the database “default” is opened. Live data is not changed. It is "
        "removed automatically after OPEN_HOURS, or by “closebackup”."
    )
    examples = (
        ("", _("Open the latest backup of “default”.")),
        (
            "default-2026-11-22-083020.dump.zst --hours 2",
            _("Open a backup from “listbackups”, for two hours."),
        ),
        ("-d default --shell", _("Look at it with the database's own client, and close it afterwards.")),
        ("--list", _("Show what is open.")),
    )

    def add_arguments(self, parser: CommandParser) -> None:
        super().add_arguments(parser)
        parser.add_argument(
            "name",
            nargs="?",
            metavar="NAME",
            help=_("A backup from “listbackups”; the default is the latest."),
        )
        parser.add_argument(
            "-d",
            "--database",
            metavar="ALIAS",
            help=_("Alias of the database; the default is “default”."),
        )
        parser.add_argument(
            "--hours", type=float, metavar="N", help=_("How long it stays; the default is OPEN_HOURS.")
        )
        parser.add_argument(
            "--shell",
            action="store_true",
            help=_("Start the database's client on it, and close it afterwards."),
        )
        parser.add_argument("--list", action="store_true", help=_("Only show what is open."))

    def work(self, **options: Any) -> object:
        refuse_together(options, "list", "shell")
        refuse_together(options, "json", "shell")
        if options["list"]:
            return self._list(options["database"])
        with self.progress(_("Opening the backup")) as progress:
            opened = api.open_backup(
                options["name"],
                database=options["database"],
                hours=options["hours"],
                origin=origin(),
                progress=progress,
            )
        try:
            run = BackupRun.objects.get(pk=opened.pk)
            self.report(run)
            self._show(opened)
            if options["shell"]:
                api.open_shell(opened)
            else:
                self._say_until_when(opened)
        finally:
            if options["shell"]:
                api.close_backup(opened)
        return {**run.as_dict(), "alias": opened.alias, "opened": opened.as_dict()}

    def _list(self, database: str | None) -> object:
        found = [each for each in api.list_opened_backups() if database in (None, each.database)]
        if not found:
            self.say(_("No backup is open."))
        for each in found:
            self.say(f"{each.alias}  {each.database}  {each}  {_until(each)}")
        return [each.as_dict() for each in found]

    def _show(self, opened: OpenedBackup) -> None:
        count, rows = len(opened.rows), sum(opened.rows.values())
        self.say(
            "  "
            + ngettext("%(count)d table, %(rows)s rows", "%(count)d tables, %(rows)s rows", count)
            % {"count": count, "rows": rows}
        )
        self.say("  " + _("In %(place)s, on the server of “%(server)s”") % _where(opened))

    def _say_until_when(self, opened: OpenedBackup) -> None:
        self.say(f"  {_until(opened)}")
        self.say("  " + _("Close it with “manage.py closebackup %(alias)s”.") % {"alias": opened.alias})


def _where(opened: OpenedBackup) -> dict[str, str]:
    return {"place": opened.place, "server": opened.server}


def _until(opened: OpenedBackup) -> str:
    until = timezone.localtime(opened.expires_at)
    return _("Open until %(time)s") % {"time": f"{until:%Y-%m-%d %H:%M:%S %Z}"}
