from typing import Any

from django.core.management.base import CommandParser
from django.utils.translation import gettext as _

from ... import api
from ...exceptions import BackupError, UsageError, gettext_noop
from ...models import BackupRun, Status
from ..base import Command as BaseCommand


class Command(BaseCommand):
    help = _("Carry out one queued run; executors call this.")

    def add_arguments(self, parser: CommandParser) -> None:
        super().add_arguments(parser)
        parser.add_argument("run_id", metavar="RUN_ID")

    def work(self, **options: Any) -> object:
        run_id = options["run_id"]
        if not api.carry_out_queued(run_id):
            raise UsageError(
                gettext_noop("There is no queued run %(run)s."),
                hint=gettext_noop(
                    "It has been carried out or cancelled, or was never queued. See the run history."
                ),
                run=run_id,
            )
        run = BackupRun.objects.get(pk=run_id)
        self.report(run)
        if run.status != Status.SUCCEEDED:
            raise BackupError("%(message)s", hint="%(advice)s", message=run.message, advice=run.hint)
        return run.as_dict()
