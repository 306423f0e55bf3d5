import sys
from pathlib import Path
from typing import Any

from django.core.management.base import CommandParser
from django.utils import timezone
from django.utils.translation import gettext as _

from ... import api, wording
from ...api import RestorePlan
from ...exceptions import UsageError, gettext_noop
from ..base import Command as BaseCommand
from ..base import origin, refuse_together


class Command(BaseCommand):
    help = _("Restore a database from a backup: all of it, or nothing.")

    def add_arguments(self, parser: CommandParser) -> None:
        super().add_arguments(parser)
        parser.add_argument("-d", "--database", help=_("Alias of the database; the default is “default”."))
        parser.add_argument(
            "-i",
            "--input-path",
            metavar="NAME",
            help=_("A backup from “listbackups”; the default is the latest."),
        )
        parser.add_argument(
            "--input-file", metavar="FILE", help=_("Restore a local file; “-” is standard input.")
        )
        parser.add_argument(
            "--to", metavar="ALIAS", help=_("Restore into another database than it was taken from.")
        )
        parser.add_argument("--strategy", help=_("How to restore; see the documentation."))
        parser.add_argument(
            "--no-safety-backup",
            action="store_true",
            help=_("Do not back up first what will be overwritten."),
        )
        parser.add_argument(
            "--undo", action="store_true", help=_("Put back what the last restore of this database replaced.")
        )
        parser.add_argument("--dry-run", action="store_true", help=_("Only say what would happen."))
        parser.add_argument("--noinput", "--no-input", action="store_true", help=_("Do not ask."))

    def work(self, **options: Any) -> object:
        refuse_together(options, "input_file", "input_path", "undo")
        if options["undo"]:
            return self._undo(options)
        choice = {
            "to": options["to"],
            "strategy": options["strategy"],
            "safety_backup": False if options["no_safety_backup"] else None,
        }
        if options["input_file"]:
            return self._restore_file(options, choice)
        plan = api.plan_restore(options["input_path"], database=options["database"] or "default", **choice)
        self._show(plan)
        if options["dry_run"]:
            return _as_dict(plan)
        if not options["noinput"]:
            self.confirm(_("Overwrite the database “%(database)s”?") % {"database": plan.target})
        return self._restore(path=plan.backup, **choice)

    def _undo(self, options: dict[str, Any]) -> object:
        refuse_together(options, "undo", "to", "dry_run")
        database = options["database"] or "default"
        if not options["noinput"]:
            self.confirm(_("Put “%(database)s” back to before its last restore?") % {"database": database})
        with self.progress(_("Putting back")) as progress:
            run = api.undo_restore(database, origin=origin(), progress=progress)
        self.report(run)
        return run.as_dict()

    def _restore_file(self, options: dict[str, Any], choice: dict[str, Any]) -> object:
        name = options["input_file"]
        choice["to"] = choice["to"] or options["database"] or "default"
        if name == "-" and not options["noinput"]:
            raise UsageError(
                gettext_noop("Restoring from standard input needs --noinput: there is nobody to ask.")
            )
        if name != "-" and not Path(name).is_file():
            raise UsageError(gettext_noop("There is no file “%(name)s”."), name=name)
        self.say(_("Restoring %(name)s: nothing can be checked beforehand.") % {"name": name})
        if options["dry_run"]:
            return {"file": name, "target": choice["to"]}
        if not options["noinput"]:
            self.confirm(_("Overwrite the database “%(database)s”?") % {"database": choice["to"]})
        return self._restore(source=sys.stdin.buffer if name == "-" else Path(name), **choice)

    def _restore(self, **arguments: Any) -> object:
        with self.progress(_("Restoring")) as progress:
            run = api.restore_database(**arguments, origin=origin(), progress=progress)
        self.report(run)
        return run.as_dict()

    def _show(self, plan: RestorePlan) -> None:
        backup, manifest = plan.backup, plan.backup.manifest
        taken_at = timezone.localtime(manifest.taken_at if manifest else backup.taken_at)
        lines = [
            (_("From"), f"{backup.name}, {wording.size(backup.size)}"),
            (
                _("Taken"),
                f"{taken_at:%Y-%m-%d %H:%M:%S %Z}, {wording.ago(taken_at)}",
            ),
            (_("Into"), f"{plan.target}, {plan.vendor} {plan.facts.server_version}".rstrip()),
            (_("Verified"), str(plan.verified_at or _("never"))),
            (_("First"), _("a safety backup") if plan.safety_backup else _("no safety backup")),
            (_("Tables that will be dropped"), ", ".join(plan.vanishing)),
            (_("Not in this backup"), wording.objects(plan.left_out)),
            *((_("Note"), warning) for warning in plan.warnings),
            (_("Migrations that the code lacks"), ", ".join(plan.unknown_migrations)),
            (_("Migrations to run afterwards"), ", ".join(plan.missing_migrations)),
        ]
        if manifest is None:
            lines.append((_("Note"), _("This backup has no manifest: nothing can be checked beforehand.")))
        elif manifest.server_version:
            lines.insert(2, (_("Dumped from"), f"{manifest.engine} {manifest.server_version}"))
        if not plan.is_atomic:
            warning = _(
                "This way of restoring is not all or nothing: a failure may leave a part of the backup."
            )
            lines.append((_("Note"), warning))
        for title, text in lines:
            if text:
                self.say(f"  {title}: {text}")


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
        "warnings": plan.warnings,
        "unknown_migrations": plan.unknown_migrations,
        "missing_migrations": plan.missing_migrations,
        "verified_at": plan.verified_at.isoformat() if plan.verified_at else None,
    }
