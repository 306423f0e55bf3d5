from typing import Any

from django.core.management.base import CommandParser
from django.utils.translation import gettext as _

from ... import api
from ..base import Command as BaseCommand
from ..base import origin, refuse_together


class Command(BaseCommand):
    help = _("Remove old backups by the retention rules.")
    details = _(
        "Without arguments, each database that has backups on the remote is cleaned up, also those that are not "
        "configured any more. The newest complete backup of each always stays. --dry-run changes nothing."
    )
    examples = (
        ("--dry-run", _("Show what would be removed, and why the rest stays.")),
        ("", _("All databases.")),
        ("--media", _("The media backups, with the file versions that only they need.")),
    )

    def add_arguments(self, parser: CommandParser) -> None:
        super().add_arguments(parser)
        parser.add_argument("-d", "--database", metavar="ALIAS", help=_("Clean up only this database."))
        parser.add_argument("--media", action="store_true", help=_("Clean up media backups instead."))
        parser.add_argument(
            "--dry-run", action="store_true", help=_("Only say what would be removed, and why.")
        )

    def work(self, **options: Any) -> object:
        refuse_together(options, "media", "database")
        how: dict[str, Any] = {"dry_run": options["dry_run"], "origin": origin()}
        if options["media"]:
            decisions = api.prune_media(**how)
        else:
            databases = sorted(api.list_databases()) if options["database"] is None else [options["database"]]
            decisions = [each for database in databases for each in api.prune(database, **how)]
        for each in decisions:
            self._show(each, options["dry_run"])
        if not decisions:
            self.say(_("There are no backups."))
        return [
            {"name": each.backup.name, "keep": each.keep, "reasons": list(each.reasons)} for each in decisions
        ]

    def _show(self, decision: api.Decision, dry_run: bool) -> None:
        verb = _("keep") if decision.keep else _("would remove") if dry_run else _("removed")
        reasons = ", ".join(map(_, decision.reasons))
        self.say(f"{verb}  {decision.backup.name}  ({reasons})")
