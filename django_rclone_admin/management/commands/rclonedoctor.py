from typing import Any

from django.core.management.base import CommandParser
from django.utils.translation import gettext as _

from ... import api, wording
from ..base import Command as BaseCommand
from ..help import monitor_exit_codes

MARKS = {"passed": "ok", "warning": "WARNING", "failed": "FAILED", "not checked": "-"}


class Command(BaseCommand):
    help = _("Examine whether backups and restores would work.")
    details = _(
        "Without arguments, everything is examined. A small probe is written to the remote, read back, renamed and removed."
    )
    exit_codes = staticmethod(monitor_exit_codes)
    examples = (
        ("", _("Examine everything.")),
        ("--notify", _("Also send a test message to everybody in NOTIFY.")),
        ("--verbosity 0", _("Only problems, so that cron sends a mail only for those.")),
    )

    def add_arguments(self, parser: CommandParser) -> None:
        super().add_arguments(parser)
        parser.add_argument("--notify", action="store_true", help=_("Send a test message, see NOTIFY."))

    def work(self, **options: Any) -> object:
        lines: list[api.Line] = []
        for line in api.examine(notify=options["notify"]):
            lines.append(line)
            self._print(line)
        self.found = api.verdict(lines)
        return {"status": self.found.slug, "checks": [each.as_dict() for each in lines]}

    def handle(self, *args: Any, **options: Any) -> None:
        self.found = api.Level.OK
        super().handle(*args, **options)
        if self.found is not api.Level.OK:
            raise SystemExit(int(self.found))

    def _print(self, line: api.Line) -> None:
        is_bad = line.outcome in ("warning", "failed") or line.is_gap
        if self.as_json or (self.verbosity == 0 and not is_bad):
            return
        about = f"{line.id} ({line.subject})" if line.subject else line.id
        text = f"{MARKS[line.outcome]:8} {about}: {line.sentence}"
        if line.hint and is_bad:
            hint = _("Hint: %(hint)s") % {"hint": line.hint}
            text += f"\n{'':8} {hint}"
        self.stdout.write(wording.lines(text))
