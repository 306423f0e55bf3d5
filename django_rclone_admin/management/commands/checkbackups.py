import sys
from typing import Any, NoReturn

from django.core.management.base import CommandError, CommandParser
from django.utils.translation import gettext as _

from ... import api
from ...monitoring.health_json import health_document
from ...monitoring.plugin import first_words, plugin_output
from ..base import Command as BaseCommand
from ..help import monitor_exit_codes

UNKNOWN = 3


class Command(BaseCommand):
    help = _("Check the health of the backups, as a monitoring plugin.")
    details = _(
        "Without arguments, all databases and the media files are evaluated. The first line has the state and performance "
        "data, each further line the finding of a rule. Wrong usage and wrong settings are UNKNOWN, too."
    )
    exit_codes = staticmethod(monitor_exit_codes)
    examples = (
        ("", _("Everything.")),
        ("-d default --max-age 4", _("One database, which is backed up every few hours.")),
        ("--json", _("The judgement for a program.")),
    )
    has_judged = False
    level = 0

    def add_arguments(self, parser: CommandParser) -> None:
        super().add_arguments(parser)
        parser.add_argument(
            "-d",
            "--database",
            action="append",
            metavar="ALIAS",
            help=_("Judge this database, or “media”. May be given several times."),
        )
        parser.add_argument(
            "--max-age",
            type=float,
            metavar="HOURS",
            help=_("How old the last backup may be, instead of the limit in HEALTH."),
        )

    def run_from_argv(self, argv: list[str]) -> None:
        try:
            super().run_from_argv(argv)
        except SystemExit as error:
            # Wrong usage: for a monitor, 2 would mean a critical state of the backups.
            if error.code and not self.has_judged:
                sys.exit(UNKNOWN)
            raise

    def handle(self, *args: Any, **options: Any) -> None:
        try:
            super().handle(*args, **options)
        except (CommandError, OSError):
            raise
        except Exception as error:
            if options["traceback"]:
                raise
            self.fail(
                _("The check itself failed: %(error)s.") % {"error": type(error).__name__}, "", code=UNKNOWN
            )
        if self.level:
            sys.exit(self.level)

    def work(self, **options: Any) -> object:
        chosen = options["database"] or []
        api.refresh()  # a monitor needs the current state
        found = api.health([chosen] if isinstance(chosen, str) else chosen, max_age_hours=options["max_age"])
        self.has_judged, self.level = True, int(found.level)
        if not self.as_json:
            self.stdout.write(plugin_output(found))
        return health_document(found)

    def fail(self, sentence: str, hint: str, *, code: int) -> NoReturn:
        """Report an unknown state on the line that monitors read."""
        document = {"status": "fail", "level": "unknown", "error": sentence, "hint": hint}
        if self.as_json:
            self.print_json(document)
        else:
            self.stdout.write(first_words("UNKNOWN", f"{sentence} {hint}"))
        sys.exit(UNKNOWN)
