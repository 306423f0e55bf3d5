import threading
from typing import Any

from django.core.management.base import CommandParser
from django.db import DatabaseError
from django.utils.translation import gettext as _

from ... import wording
from ...exceptions import BackupError, UsageError, gettext_noop
from ...models import BackupSchedule
from ...schedules.loop import Loop
from ...schedules.passes import Outcome, Preview, Result, previews, run_pass
from ..base import Command as BaseCommand
from ..base import refuse_together


class Command(BaseCommand):
    help = _("Carry out the schedules that are due.")
    details = _(
        "Without arguments, it looks once and ends: call it every minute, by cron, a systemd timer or Kubernetes. With "
        "--loop it stays until a signal ends it. Any number of machines may run it: one of them carries a schedule out. "
        "Times that were missed are made up for by one run."
    )
    examples = (
        ("--verbosity 0", _("Every minute, by cron.")),
        ("--loop", _("As a service of its own.")),
        ("--dry-run", _("Show what is due, and when each schedule runs next.")),
    )

    def add_arguments(self, parser: CommandParser) -> None:
        super().add_arguments(parser)
        parser.add_argument(
            "--loop", action="store_true", help=_("Stay, and carry out schedules as their times come.")
        )
        parser.add_argument("--dry-run", action="store_true", help=_("Only say what is due."))

    def work(self, **options: Any) -> object:
        refuse_together(options, "loop", "dry_run")
        refuse_together(options, "loop", "json")
        _require_table()
        if options["dry_run"]:
            shown = [self._preview(each) for each in previews()]
            if not shown:
                self.say(_("There are no schedules. Make one in the admin, below “Schedules”."))
            return shown
        if options["loop"]:
            self.say(_("Waiting for the times of the schedules."))
            Loop(self._print_outcome, self._complain).run()
            return None
        failed: list[Outcome] = []

        def print_unless_first_failure(outcome: Outcome) -> None:
            """Print an outcome at once, except the first failure, with which the command ends."""
            if outcome.error:
                failed.append(outcome)
            if failed[:1] != [outcome]:
                self._print_outcome(outcome)

        outcomes = run_pass(print_unless_first_failure, threading.Event())
        if failed:
            raise _error(failed[0])
        return [each.as_dict() for each in outcomes]

    def _print_outcome(self, outcome: Outcome) -> None:
        line = f"{outcome.schedule}: {outcome.sentence}"
        if outcome.result is Result.FAILED:
            self.stderr.write(wording.lines(line))
        else:
            self.say(line)

    def _complain(self, reason: str) -> None:
        sentence = _("The database of the schedules does not answer; trying again: %(reason)s")
        self.stderr.write(wording.lines(sentence % {"reason": reason}))

    def _preview(self, each: Preview) -> dict[str, object]:
        problem = wording.describe(each.error)[0] if each.error else each.schedule.problem
        if each.due_at:
            shown = _("due since %(time)s") % {"time": wording.time(each.due_at)}
        else:
            shown = _("next %(time)s") % {"time": wording.time(each.next_at)} if each.next_at else _("never")
        self.say(f"{each.schedule}: {shown}{f' ({problem})' if problem else ''}")
        return {
            "schedule": each.schedule.name,
            "action": each.schedule.action,
            "due_at": each.due_at.isoformat() if each.due_at else None,
            "next_run_at": each.next_at.isoformat() if each.next_at else None,
            "problem": problem,
        }


def _error(outcome: Outcome) -> BackupError:
    return BackupError(
        gettext_noop("The schedule “%(name)s” failed: %(reason)s"),
        hint="%(advice)s",
        name=outcome.schedule.name,
        reason=" ".join(outcome.sentence.split()),
        advice=wording.describe(outcome.error)[1] if outcome.error else "",
    )


def _require_table() -> None:
    try:
        BackupSchedule.objects.exists()
    except DatabaseError as error:
        raise UsageError(
            gettext_noop("The schedules can't be read: %(reason)s"),
            hint=gettext_noop("Check that the database server is running, then run “manage.py migrate”."),
            reason=" ".join(str(error).split()),
        ) from error
