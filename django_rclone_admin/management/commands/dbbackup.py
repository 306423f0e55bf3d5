import sys
from pathlib import Path
from typing import Any

from django.core.management.base import CommandParser
from django.utils.translation import gettext as _

from ... import api
from ...exceptions import BackupError, Stopped, UsageError, gettext_noop
from ...models import BackupRun
from ..base import Command as BaseCommand
from ..base import origin, refuse_together


class Command(BaseCommand):
    help = _("Back up databases to the remote.")

    def add_arguments(self, parser: CommandParser) -> None:
        super().add_arguments(parser)
        parser.add_argument(
            "-d", "--database", action="append", default=[], help=_("Alias of a database; may be repeated.")
        )
        parser.add_argument("--all", action="store_true", help=_("Back up all databases."))
        parser.add_argument(
            "--clean", action="store_true", help=_("Then remove what the retention does not keep.")
        )
        parser.add_argument("--label", default="", help=_("A note that is kept with the backup."))
        parser.add_argument(
            "--output-path",
            metavar="FILE",
            help=_("Write a local file instead of the remote; “-” is standard output."),
        )

    def work(self, **options: Any) -> object:
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
            except BackupError as error:  # the other databases are still worth backing up
                if len(databases) == 1:
                    raise
                self.stderr.write(f"{database}: {error}")
                failure = failure or error
        if failure:
            raise failure
        return runs[0].as_dict() if len(runs) == 1 else [run.as_dict() for run in runs]

    def _back_up(self, database: str, options: dict[str, Any], output: Any) -> BackupRun:
        who = origin()
        with self.progress(_("Backing up “%(database)s”") % {"database": database}) as progress:
            run = api.backup_database(
                database, label=options["label"], output=output, progress=progress, origin=who
            )
        self.report(run)
        if options["clean"]:
            decisions = api.prune(database, made=[run.path], origin=who)
            self.say(
                _("Removed %(count)d old backups.") % {"count": sum(not each.keep for each in decisions)}
            )
        return run

    def _output(self, path: str | None, databases: list[str]) -> Any:
        if path is None:
            return None
        if len(databases) > 1:
            raise UsageError(gettext_noop("--output-path takes one database at a time."))
        if path != "-":
            return Path(path)
        if self.as_json:
            raise UsageError(gettext_noop("--json can't be used when the dump goes to standard output."))
        self.verbosity = 0  # nothing but the dump may be written there
        return sys.stdout.buffer
