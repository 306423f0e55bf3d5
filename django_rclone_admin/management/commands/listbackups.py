from typing import Any

from django.core.management.base import CommandParser
from django.utils import timezone
from django.utils.translation import gettext as _

from ... import api, wording
from ..base import Command as BaseCommand
from ..base import refuse_together


class Command(BaseCommand):
    help = _("List the backups on the remote, newest first.")

    def add_arguments(self, parser: CommandParser) -> None:
        super().add_arguments(parser)
        parser.add_argument("-d", "--database", help=_("Only those of this database."))
        parser.add_argument("--media", action="store_true", help=_("The media backups instead."))
        parser.add_argument(
            "--all", action="store_true", help=_("Unfinished uploads and foreign objects too.")
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
        rows = [_row(each) for each in found]
        widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
        for name, database, taken, size, state in rows:
            cells = (
                name.ljust(widths[0]),
                database.ljust(widths[1]),
                taken.ljust(widths[2]),
                size.rjust(widths[3]),
            )
            self.say("  ".join((*cells, state)))


def _row(each: api.StoredObject) -> tuple[str, str, str, str, str]:
    taken = f"{timezone.localtime(each.taken_at):%Y-%m-%d %H:%M:%S}" if each.taken_at else ""
    # A name comes from outside: what is not printable must not reach the terminal.
    name = "".join(letter if letter.isprintable() else "�" for letter in each.name)
    state = f"{each.state} ({_('pinned')})" if each.pinned else str(each.state)
    return name, each.database, taken, wording.size(each.total_size), state


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
