from typing import Any

from django.core.management.base import CommandParser
from django.utils import timezone
from django.utils.translation import gettext as _

from ... import api, wording
from ..base import Command as BaseCommand
from ..base import refuse_together


class Command(BaseCommand):
    help = _("List the backups on the remote, newest first.")
    details = _(
        "Without arguments, the backups of all databases are listed, also of those that are not configured any more. "
        "Times are in the time zone of the site, which the header names."
    )
    terms = (
        (
            _("States:"),
            (
                ("complete", _("The manifest is there, and the size is right.")),
                ("legacy", _("The manifest is missing: nothing can be checked beforehand.")),
                (
                    "damaged",
                    _("Empty, of another size than its manifest says, or with an unreadable manifest."),
                ),
                ("incomplete", _("An upload in flight, or the remains of one; only with --all.")),
                ("foreign", _("An unknown file; only with --all.")),
            ),
        ),
    )
    examples = (
        ("", _("All databases.")),
        ("-d default --json", _("One database, for a program.")),
        ("--media", _("The media backups.")),
    )

    def add_arguments(self, parser: CommandParser) -> None:
        super().add_arguments(parser)
        parser.add_argument("-d", "--database", metavar="ALIAS", help=_("Show only this database."))
        parser.add_argument("--media", action="store_true", help=_("Show media backups instead."))
        parser.add_argument(
            "--all", action="store_true", help=_("Show partial uploads and unknown files too.")
        )

    def work(self, **options: Any) -> object:
        refuse_together(options, "media", "database")
        if options["media"]:
            found = api.list_media(everything=options["all"])
        else:
            found = api.list_backups(options["database"], everything=options["all"])
        self._show(found)
        return [_as_dict(each) for each in found]

    def _show(self, found: list[api.StoredObject]) -> None:
        if not found:
            self.say(_("There are no backups."))
            return
        zone = timezone.get_current_timezone_name()
        header = (
            _("Name"), _("Database"), _("Taken (%(zone)s)") % {"zone": zone}, _("Size"), _("State"), _("Label")
        )  # fmt: skip
        rows = [header, *map(_row, found)]
        widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
        for row in rows:
            name, database, taken, size, state, label = map(str.ljust, row, widths)
            self.say("  ".join((name, database, taken, size.strip().rjust(widths[3]), state, label)).rstrip())


def _row(each: api.StoredObject) -> tuple[str, ...]:
    taken = f"{timezone.localtime(each.taken_at):%Y-%m-%d %H:%M:%S}" if each.taken_at else ""
    marks = [_("pinned")] * each.pinned + [_("safety backup")] * each.is_safety
    state = f"{each.state} ({', '.join(marks)})" if marks else str(each.state)
    label = each.manifest.label if each.manifest else ""
    return each.name, each.database, taken, wording.size(each.total_size), state, label


def _as_dict(each: api.StoredObject) -> dict[str, object]:
    return {
        "name": each.name,
        "path": each.path,
        "kind": each.kind,
        "database": each.database,
        "taken_at": each.taken_at.isoformat() if each.taken_at else None,
        "size": each.total_size,
        "state": str(each.state),
        "pinned": each.pinned,
    }
