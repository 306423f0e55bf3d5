import sys
from pathlib import Path
from typing import Any

from django.core.management.base import CommandParser
from django.utils.translation import gettext as _

from ... import api, wording
from ...exceptions import BackupError, Stopped, UsageError, gettext_noop
from ...models import BackupRun
from ..base import Command as BaseCommand
from ..base import origin, refuse_together


class Command(BaseCommand):
    help = _("Back up databases to the remote.")
    details = _(
        "Without arguments, the database “default” is backed up, and databases that were not backed up are named."
    )
    examples = (
        ("", _("Back up “default”.")),
        ("--all --clean --verbosity 0", _("Every night, by cron: all databases, then remove old backups.")),
        ("-d default -d analytics --label release-7", _("Two databases, with a note.")),
        ("-d default --output-path dump.zst", _("Into a local file, compressed as its name says.")),
    )

    def add_arguments(self, parser: CommandParser) -> None:
        super().add_arguments(parser)
        parser.add_argument(
            "-d",
            "--database",
            metavar="ALIAS",
            action="append",
            default=[],
            help=_("Alias of a database; may be repeated."),
        )
        parser.add_argument("--all", action="store_true", help=_("Back up all databases."))
        parser.add_argument(
            "--clean",
            action="store_true",
            help=_("After the backup, remove old backups by the retention rules."),
        )
        parser.add_argument("--label", default="", help=_("A note that is kept with the backup."))
        parser.add_argument(
            "--output-path",
            metavar="FILE",
            help=_("Write a local file instead of the remote; “-” is standard output."),
        )

    def work(self, **options: Any) -> object:
        # As a keyword of call_command, one alias may be one text.
        given = options["database"]
        options["database"] = [given] if isinstance(given, str) else list(given or [])
        refuse_together(options, "all", "database")
        refuse_together(options, "output_path", "clean")
        databases = api.all_databases() if options["all"] else options["database"] or ["default"]
        output = self._output(options["output_path"], databases)
        runs: list[BackupRun] = []
        failure: BackupError | None = None
        for database in dict.fromkeys(databases):
            try:
                runs.append(self._back_up(database, options, output))
            except Stopped:
                raise
            except BackupError as error:  # continue with the other databases
                if len(databases) == 1:
                    raise
                self.stderr.write(f"{database}: {error}")
                failure = failure or error
        if not options["database"]:
            self._name_others(databases)
        if failure:
            raise failure
        return runs[0].as_dict() if len(runs) == 1 else [run.as_dict() for run in runs]

    def _back_up(self, database: str, options: dict[str, Any], output: Any) -> BackupRun:
        requester = origin()
        with self.progress(_("Backing up “%(database)s”") % {"database": database}) as progress:
            run = api.backup_database(
                database, label=options["label"], output=output, progress=progress, origin=requester
            )
        self.report(run)
        if options["clean"]:
            decisions = api.prune(database, made=[run.path], origin=requester)
            self.say(wording.removed(sum(not each.keep for each in decisions)))
        return run

    def _name_others(self, databases: list[str]) -> None:
        """Name the databases that were not backed up, unless databases were named on the command line."""
        if others := [each for each in api.all_databases() if each not in databases]:
            self.say(
                _("Not backed up: %(databases)s. Add --all for all databases, or --database for one of them.")
                % {"databases": ", ".join(others)}
            )
        if unknown := [each for each in api.databases_without_connector() if each not in databases]:
            self.say(
                _("Not backed up: %(databases)s. No connector supports the engine; name one in CONNECTORS.")
                % {"databases": ", ".join(unknown)}
            )

    def _output(self, path: str | None, databases: list[str]) -> Any:
        if path is None:
            return None
        if len(databases) > 1:
            raise UsageError(
                gettext_noop("--output-path takes one database at a time."),
                hint=gettext_noop("Name the database with --database, and run the command once for each."),
            )
        if path != "-":
            return Path(path)
        if self.as_json:
            raise UsageError(
                gettext_noop("--json can't be used when the dump goes to standard output."),
                hint=gettext_noop("Name a file in --output-path, or leave --json out."),
            )
        self.verbosity = 0  # nothing but the dump may be written there
        return sys.stdout.buffer
