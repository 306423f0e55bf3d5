from typing import Any

from django.core.management.base import CommandParser
from django.utils.translation import gettext as _

from ... import api, wording
from ..base import Command as BaseCommand
from ..base import origin, refuse_together


class Command(BaseCommand):
    help = _("Back up the media files to the remote.")
    details = _(
        "Without arguments, the mirror on the remote is made equal to the media files, what goes from it is kept, and "
        "the list of all files is stored."
    )
    examples = (
        ("--dry-run", _("Show how many files would change on the remote.")),
        ("--clean --verbosity 0", _("Every night, by cron.")),
    )

    def add_arguments(self, parser: CommandParser) -> None:
        super().add_arguments(parser)
        parser.add_argument(
            "--dry-run", action="store_true", help=_("Only say what would change on the remote.")
        )
        parser.add_argument(
            "--clean",
            action="store_true",
            help=_("After the backup, remove old backups by the retention rules."),
        )
        parser.add_argument(
            "--label", default="", metavar="TEXT", help=_("A note that is kept with the backup.")
        )
        parser.add_argument(
            "--full",
            action="store_true",
            help=_("Compare every file with the mirror, and not with the last file list."),
        )

    def work(self, **options: Any) -> object:
        refuse_together(options, "dry_run", "clean")
        if options["dry_run"]:
            return self._compare()
        requester = origin()
        with self.progress(_("Backing up the media files")) as progress:
            run = api.backup_media(
                label=options["label"], full=options["full"], progress=progress, origin=requester
            )
        self.report(run)
        if options["clean"]:
            decisions = api.prune_media(made=[run.path], origin=requester)
            self.say(wording.removed(sum(not each.keep for each in decisions)))
        return run.as_dict()

    def _compare(self) -> object:
        found = api.compare_media()
        counts = {"added": len(found.added), "changed": len(found.changed), "removed": len(found.removed)}
        self.say(_("Files to add: %(added)d, to replace: %(changed)d, to remove: %(removed)d.") % counts)
        return counts
