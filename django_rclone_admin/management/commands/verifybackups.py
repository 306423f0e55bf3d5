from typing import Any

from django.core.management.base import CommandParser
from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from ... import api, wording
from ...exceptions import BackupError, BackupNotFound, CheckFailed, NotChecked, Stopped, gettext_noop
from ..base import Command as BaseCommand
from ..base import origin, refuse_together


class Command(BaseCommand):
    help = _("Check backups, and record the results.")
    details = _(
        "Without arguments, the latest backup of each database and of the media files is checked up to the level “structure”. "
        "Each level includes those before it. A backup that fails one of the first three counts as damaged. "
        "The exit code is 0 only when every chosen backup has passed."
    )
    terms = (
        (
            _("Levels:"),
            (
                ("checksum", _("Every stored byte is read again and compared with the manifest.")),
                (
                    "structure",
                    _(
                        "The whole backup is read as its loader would; tables and rows are counted. No server."
                    ),
                ),
                ("restore", _("It is opened on a database server; rows and constraints are checked.")),
                ("site", _("Migrations, models, sequences and VERIFY_CHECKS are checked there.")),
            ),
        ),
    )
    examples = (
        ("", _("The latest backup of each database.")),
        ("--due --level restore --limit 3", _("Every night: the most urgent ones.")),
        ("default-2026-11-22-083020.dump.zst --level site", _("One backup.")),
    )

    def add_arguments(self, parser: CommandParser) -> None:
        super().add_arguments(parser)
        parser.add_argument("names", metavar="NAME", nargs="*", help=_("A backup from “listbackups”."))
        parser.add_argument(
            "-d",
            "--database",
            metavar="ALIAS",
            action="append",
            default=[],
            help=_("Only of this database; “media” is the media files; may be repeated."),
        )
        parser.add_argument("--all", action="store_true", help=_("Check every backup."))
        parser.add_argument("--latest", action="store_true", help=_("Check the latest of each database."))
        parser.add_argument(
            "--due",
            action="store_true",
            help=_("Check the newest that was not, then those that were not for --within days."),
        )
        parser.add_argument("--level", choices=[str(each) for each in api.LEVELS], default="structure")
        parser.add_argument(
            "--within", metavar="DAYS", type=float, default=30, help=_("For --due; the default is 30.")
        )
        parser.add_argument("--limit", metavar="N", type=int, help=_("Check at most so many."))

    def work(self, **options: Any) -> object:
        refuse_together(options, "all", "latest", "due", "names")
        refuse_together(options, "database", "names")
        backups = self._choose(options)
        results = [self._check(each, options["level"]) for each in backups]
        if not backups:
            self.say(_("No backup is due for a check."))
        wrong = [each for each in results if each["outcome"] != "passed"]
        if not wrong:
            return results
        if len(results) == 1 and self.failure and self.failure.exit_code != 1:
            raise self.failure
        if self.as_json:
            self.print_json(results)
        values = {"count": len(wrong), "total": len(results)}
        self.as_json = False  # already printed
        sentence = ngettext(
            "%(count)d of %(total)d backup did not pass.",
            "%(count)d of %(total)d backups did not pass.",
            len(results),
        )
        self.fail(
            sentence % values,
            _("“listbackups” shows which count as damaged; their check records give the reasons."),
            code=1,
        )
        return None

    def _choose(self, options: dict[str, Any]) -> list[api.StoredObject]:
        if options["names"]:
            return api.find_for_check(options["names"])[: options["limit"]]
        given = options["database"]
        found = api.choose_for_check(
            next((each for each in ("all", "due") if options[each]), "latest"),
            databases=[given] if isinstance(given, str) else given or [],
            level=options["level"],
            within=options["within"],
            limit=options["limit"],
        )
        if not found and not options["due"]:
            raise BackupNotFound(gettext_noop("There is no backup to check."))
        return found

    def _check(self, backup: api.StoredObject, level: str) -> dict[str, object]:
        result: dict[str, object] = {"name": backup.name, "path": backup.path, "database": backup.database}
        self.failure: BackupError | None = None
        try:
            with self.progress(_("Checking %(name)s") % {"name": backup.name}) as progress:
                run = api.verify_backup(backup, level=level, origin=origin(), progress=progress)
        except Stopped:
            raise
        except BackupError as error:
            self.failure = error
            sentence, hint = wording.describe(error)
            self.say(f"{sentence}\n" + (_("Hint: %(hint)s") % {"hint": hint} if hint else ""))
            outcome = {CheckFailed: "failed", NotChecked: "unchecked"}.get(type(error), "error")
            reached = str(error.params.get("level", level))
            return result | {"level": reached, "outcome": outcome, "reason": sentence, "hint": hint}
        self.report(run)
        reached, note = run.options["reached"], run.options.get("reason", "")
        return result | {"level": reached, "outcome": "passed", "reason": note, "run": str(run.pk)}
