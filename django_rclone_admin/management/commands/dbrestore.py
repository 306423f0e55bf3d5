import sys
from pathlib import Path
from typing import Any

from django.core.management.base import CommandParser
from django.utils import timezone
from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from ... import api, wording
from ...api import RestorePlan
from ...exceptions import RestoreRefused, UsageError, gettext_noop
from ...models import OpenedBackup
from ..base import Command as BaseCommand
from ..base import add_noinput, origin, refuse_together


class Command(BaseCommand):
    help = _("Restore a database from a backup.")
    details = _(
        "Without arguments, the latest complete backup of the database “default” is restored into it, after a question "
        "and a safety backup. --dry-run shows the plan and changes nothing."
    )
    terms = (
        (
            _("Strategies:"),
            (
                (
                    "in_place",
                    _("Empty the live database and fill it again. Other connections wait meanwhile."),
                ),
                (
                    "swap",
                    _("Fill a new database, then exchange it with the live one. The old one is kept."),
                ),
            ),
        ),
    )
    examples = (
        ("--dry-run", _("Show what would happen.")),
        ("", _("Restore the latest backup of “default”.")),
        ("-d default -i default-2026-11-22-083020.dump.zst", _("Restore a backup from “listbackups”.")),
        ("--strategy swap --noinput", _("Without a question, while the site keeps working.")),
        ("--look", _("Look at the restored data before it becomes live.")),
        ("--undo", _("Undo the last restore.")),
    )

    def add_arguments(self, parser: CommandParser) -> None:
        super().add_arguments(parser)
        parser.add_argument(
            "-d",
            "--database",
            metavar="ALIAS",
            help=_("Alias of the database; the default is “default”."),
        )
        parser.add_argument(
            "-i",
            "--input-path",
            "--at",
            metavar="NAME",
            help=_("A backup from “listbackups”; the default is the latest."),
        )
        parser.add_argument(
            "--input-file", metavar="FILE", help=_("Restore a local file; “-” is standard input.")
        )
        parser.add_argument(
            "--to", metavar="ALIAS", help=_("Restore into another database than it was taken from.")
        )
        parser.add_argument(
            "--strategy",
            metavar="NAME",
            help=_("“in_place” or “swap”; the default is that of the settings."),
        )
        parser.add_argument(
            "--no-safety-backup",
            action="store_true",
            help=_("Do not make a safety backup first."),
        )
        parser.add_argument("--undo", action="store_true", help=_("Undo the last restore of this database."))
        parser.add_argument(
            "--look",
            action="store_true",
            help=_("Open the backup, show the differences, then ask whether to switch."),
        )
        parser.add_argument("--dry-run", action="store_true", help=_("Only say what would happen."))
        add_noinput(parser)

    def work(self, **options: Any) -> object:
        refuse_together(options, "input_file", "input_path", "undo")
        for other in ("input_file", "undo", "to", "strategy", "dry_run"):
            refuse_together(options, "look", other)
        if options["undo"]:
            return self._undo(options)
        choice = {
            "to": options["to"],
            "strategy": options["strategy"],
            "safety_backup": False if options["no_safety_backup"] else None,
        }
        if options["input_file"] is not None:
            return self._restore_file(options, choice)
        plan = api.plan_restore(options["input_path"], database=_database(options), **choice)
        self._show(plan, is_look=options["look"])
        if options["dry_run"]:
            return _as_dict(plan)
        if options["look"]:
            return self._look(plan, interactive=options["interactive"], safety_backup=choice["safety_backup"])
        if options["interactive"]:
            self.confirm(_("Overwrite the database “%(database)s”?") % {"database": plan.target})
        return self._restore(path=plan.backup, **choice)

    def _look(self, plan: RestorePlan, *, interactive: bool, safety_backup: bool | None) -> object:
        """Open the backup, show the differences, and switch if the answer is yes. Otherwise it is closed again."""
        if not interactive:
            raise UsageError(
                gettext_noop("--look asks a question, so it can't be used with --noinput."),
                hint=gettext_noop("Nothing was changed. Use “openbackup”, or “dbrestore” without --look."),
            )
        with self.progress(_("Opening the backup")) as progress:
            opened = api.open_backup(plan.backup.path, origin=origin(), progress=progress)
        try:
            self._ask(plan, opened)
        except BaseException:
            api.close_backup(opened)
            raise
        with self.progress(_("Putting it live")) as progress:
            run = api.put_live(opened, safety_backup=safety_backup, origin=origin(), progress=progress)
        self.report(run)
        return run.as_dict()

    def _ask(self, plan: RestorePlan, opened: OpenedBackup) -> None:
        self._show_difference(opened)
        if reason := api.why_not_live(opened):
            raise RestoreRefused(reason, hint=gettext_noop("Nothing was changed. It was closed again."))
        question = _("Put it live as “%(database)s”? Otherwise it is closed again.")
        self.confirm(question % {"database": plan.target})

    def _show_difference(self, opened: OpenedBackup) -> None:
        found = api.compare_opened_backup(opened)
        self.say("  " + _("Open as %(alias)s. Live data was not changed.") % {"alias": opened.alias})
        for table in found.changed:
            now = _("gone") if table.is_gone else table.now
            values = {"name": table.name, "then": table.then, "now": now, "difference": table.difference}
            self.say("  " + _("%(name)s: %(then)s rows then, %(now)s now (%(difference)+d)") % values)
        if found.new:
            names = ", ".join(each.name for each in found.new)
            self.say("  " + _("Tables that will be dropped") + f": {names}")
        if not found.is_live_known:
            self.say("  " + _("The live database does not answer."))
        elif not (found.changed or found.new):
            self.say("  " + _("Each table has as many rows now as then."))
        added = ngettext(
            "%(count)d row was added since, as far as the numbers tell.",
            "%(count)d rows were added since, as far as the numbers tell.",
            found.added,
        )
        self.say("  " + added % {"count": found.added})

    def _undo(self, options: dict[str, Any]) -> object:
        for other in ("to", "dry_run", "strategy", "no_safety_backup"):  # how the restore was made decides
            refuse_together(options, "undo", other)
        database = _database(options)
        if options["interactive"]:
            self.confirm(_("Undo the last restore of “%(database)s”?") % {"database": database})
        with self.progress(_("Undoing the restore")) as progress:
            run = api.undo_restore(database, origin=origin(), progress=progress)
        self.report(run)
        return run.as_dict()

    def _restore_file(self, options: dict[str, Any], choice: dict[str, Any]) -> object:
        name = options["input_file"]
        choice["to"] = _database(options) if choice["to"] is None else choice["to"]
        if name == "-" and options["interactive"]:
            raise UsageError(
                gettext_noop("A restore from standard input needs --noinput."),
                hint=gettext_noop(
                    "Nothing was changed. Standard input is the backup, so it can't answer a question."
                ),
            )
        if name != "-" and not Path(name).is_file():
            raise UsageError(
                gettext_noop("The file “%(name)s” does not exist."),
                hint=gettext_noop("For a backup on the remote, use --input-path instead of --input-file."),
                name=name,
            )
        self.say(_("Restoring %(name)s: nothing can be checked beforehand.") % {"name": name})
        if options["dry_run"]:
            return {"file": name, "target": choice["to"]}
        if options["interactive"]:
            self.confirm(_("Overwrite the database “%(database)s”?") % {"database": choice["to"]})
        return self._restore(source=sys.stdin.buffer if name == "-" else Path(name), **choice)

    def _restore(self, **arguments: Any) -> object:
        with self.progress(_("Restoring")) as progress:
            run = api.restore_database(**arguments, origin=origin(), progress=progress)
        self.report(run)
        return run.as_dict()

    def _show(self, plan: RestorePlan, *, is_look: bool) -> None:
        # To look, the backup is opened beside the live database: nothing is backed up before the answer is yes.
        before = _("Before the switch") if is_look else _("Before that")
        backup, manifest = plan.backup, plan.backup.manifest
        taken_at = timezone.localtime(manifest.taken_at if manifest else backup.taken_at)
        lines = [
            (_("From"), f"{backup.name}, {wording.size(backup.size)}"),
            (
                _("Taken"),
                f"{taken_at:%Y-%m-%d %H:%M:%S %Z}, {wording.ago(taken_at)}",
            ),
            (_("Into"), f"{plan.target}, {plan.vendor} {plan.facts.server_version}".rstrip()),
            (_("Proven"), _proof(plan)),
            (before, _("a safety backup") if plan.safety_backup else _("no safety backup")),
            (_("Tables that will be dropped"), ", ".join(plan.vanishing)),
            (_("Not in this backup"), wording.objects(plan.left_out)),
            *((_("Note"), warning) for warning in plan.notes),
            (_("Migrations that the code lacks"), ", ".join(plan.unknown_migrations)),
            (_("Migrations to run afterwards"), ", ".join(plan.missing_migrations)),
        ]
        if manifest is None:
            lines.append((_("Note"), _("This backup has no manifest: nothing can be checked beforehand.")))
        elif manifest.server_version:
            lines.insert(2, (_("Dumped from"), wording.engine(manifest)))
        if not plan.is_atomic and not is_look:  # the switch always is
            warning = _("This strategy is not all-or-nothing: a failure may leave a part of the backup.")
            lines.append((_("Note"), warning))
        for title, text in lines:
            if text:
                self.say(f"  {title}: {text}")


def _proof(plan: RestorePlan) -> str:
    if plan.proof is None:
        return str(_("never"))
    return f"{wording.level(plan.proof.level)}, {wording.ago(plan.proof.at)}"


def _database(options: dict[str, Any]) -> str:
    return "default" if options["database"] is None else str(options["database"])


def _as_dict(plan: RestorePlan) -> dict[str, object]:
    return {
        "name": plan.backup.name,
        "path": plan.backup.path,
        "target": plan.target,
        "size": plan.backup.size,
        "age_seconds": int(plan.age.total_seconds()),
        "strategy": plan.strategy,
        "safety_backup": plan.safety_backup,
        "vanishing": plan.vanishing,
        "left_out": plan.left_out,
        "warnings": plan.notes,
        "unknown_migrations": plan.unknown_migrations,
        "missing_migrations": plan.missing_migrations,
        "verified_at": plan.verified_at.isoformat() if plan.verified_at else None,
    }
