from typing import Any

from django.core.management.base import CommandParser
from django.utils.translation import gettext as _

from ... import api
from ...exceptions import UsageError, gettext_noop
from ..base import Command as BaseCommand


class Command(BaseCommand):
    help = _("Remove opened backups.")
    details = _(
        "Without arguments, nothing is closed: name what to close, as “openbackup --list” shows it. Neither the backups on the "
        "remote nor the live databases are touched."
    )
    examples = (
        ("backup_3f9c12aa", _("Close one.")),
        ("--expired", _("Remove what has expired, and what killed processes have left.")),
        ("--all", _("Close all that are open.")),
    )

    def add_arguments(self, parser: CommandParser) -> None:
        super().add_arguments(parser)
        parser.add_argument(
            "ids", nargs="*", metavar="ID", help=_("Alias or id of an opened backup; may be several.")
        )
        parser.add_argument(
            "--expired",
            action="store_true",
            help=_("Remove what has expired, and what killed processes have left."),
        )
        parser.add_argument("--all", action="store_true", help=_("Close all that are open."))

    def work(self, **options: Any) -> object:
        if sum(map(bool, (options["ids"], options["expired"], options["all"]))) != 1:
            raise UsageError(
                gettext_noop("Name what to close: one or several ids, or --expired, or --all."),
                hint=gettext_noop("“manage.py openbackup --list” shows what is open."),
            )
        if options["expired"]:
            closed = api.close_expired_backups()
        else:
            # All are looked up before the first is closed: a misspelt id closes nothing.
            closed = (
                api.list_opened_backups()
                if options["all"]
                else [api.get_opened_backup(each) for each in dict.fromkeys(options["ids"])]
            )
            for each in closed:
                api.close_backup(each)
        for each in closed:
            self.say(_("Closed %(alias)s, %(name)s.") % {"alias": each.alias, "name": each})
        if not closed:
            self.say(_("There was nothing to close."))
        return [each.as_dict() for each in closed]
