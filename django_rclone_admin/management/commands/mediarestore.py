from typing import Any

from django.core.management.base import CommandParser
from django.utils.translation import gettext as _

from ... import api
from ..base import Command as BaseCommand
from ..base import add_noinput, origin, refuse_together


class Command(BaseCommand):
    help = _("Restore media files to their state at a media backup.")
    details = _(
        "Without arguments, all files of the latest media backup are restored, after a question. Files that it lacks "
        "stay. --dry-run changes nothing."
    )
    examples = (
        ("--dry-run", _("Show how many files would change.")),
        ("--at media-2026-11-22-083020", _("Restore a backup from “listbackups --media”.")),
        ("--exact --noinput", _("Also remove newer files, without a question.")),
        ("--undo", _("Undo the last restore.")),
    )

    def add_arguments(self, parser: CommandParser) -> None:
        super().add_arguments(parser)
        parser.add_argument(
            "--at",
            "-i",
            "--input-path",
            metavar="NAME",
            dest="at",
            help=_("A backup from “listbackups --media”; the default is the latest."),
        )
        parser.add_argument(
            "--exact", action="store_true", help=_("Also remove files that are not in the backup.")
        )
        parser.add_argument(
            "--undo", action="store_true", help=_("Undo the last restore of the media files on this machine.")
        )
        parser.add_argument("--dry-run", action="store_true", help=_("Only say what would happen."))
        add_noinput(parser)

    def work(self, **options: Any) -> object:
        if options["undo"]:
            return self._undo(options)
        plan = api.plan_restore_media(options["at"])
        found = plan.difference
        counts = {
            "name": plan.backup.name if plan.backup else "",
            "added": len(found.added),
            "changed": len(found.changed),
            "removed": len(found.removed) if options["exact"] else 0,
        }
        self.say(_("From: %(name)s") % {"name": counts["name"] or _("the mirror, without a file list")})
        self.say(_("Files to add: %(added)d, to replace: %(changed)d, to remove: %(removed)d.") % counts)
        if options["dry_run"]:
            return counts
        if options["interactive"]:
            self.confirm(_("Restore the media files?"))
        with self.progress(_("Restoring the media files")) as progress:
            run = api.restore_media(
                plan,
                exact=options["exact"],
                origin=origin(),
                progress=progress,
            )
        self.report(run)
        return run.as_dict()

    def _undo(self, options: dict[str, Any]) -> object:
        refuse_together(options, "undo", "at", "exact")
        kept = api.plan_undo_restore_media()
        counts = {"back": len(kept.back), "removed": len(kept.gone)}
        self.say(_("Files to restore: %(back)d, to remove: %(removed)d.") % counts)
        if options["dry_run"]:
            return counts
        if options["interactive"]:
            self.confirm(_("Undo the last restore of the media files?"))
        with self.progress(_("Undoing the restore of the media files")) as progress:
            run = api.undo_restore_media(origin=origin(), progress=progress)
        self.report(run)
        return run.as_dict()
