"""The base class of all commands: options, exit codes, JSON, signals and the progress bar."""

from __future__ import annotations

import contextlib
import getpass
import json
import sys
from collections.abc import Iterator, Sequence
from typing import Any

from django.core.exceptions import ImproperlyConfigured
from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.db import Error
from django.utils.translation import gettext as _

from .. import api, wording
from ..api import Progress
from ..exceptions import BackupError, Cancelled, UsageError, gettext_noop
from ..models import BackupRun, Origin, Trigger
from ..notifications.worker import finish_before_exit
from .encoding import accept_every_character
from .help import HelpFormatter, epilog, exit_codes


class Command(BaseCommand):
    """A command whose errors are a sentence, a hint and an exit code; subclasses define ``work``.

    Exit codes: 0 done, 1 failed, 2 wrong usage or configuration, 3 the database is locked by another run.
    """

    details = ""
    """For ``--help``: what happens without arguments."""
    terms: Sequence[tuple[str, Sequence[tuple[str, str]]]] = ()
    """For ``--help``: tables of words, each with its title."""
    examples: Sequence[tuple[str, str]] = ()
    """For ``--help``: arguments, and what they do."""
    exit_codes = staticmethod(exit_codes)
    """For ``--help``: returns the exit codes, and what each means."""

    # A broken setting must be reported with our exit code, and a restore must work on a partly configured site.
    requires_system_checks: list[str] = []

    def create_parser(self, prog_name: str, subcommand: str, **kwargs: Any) -> CommandParser:
        below = epilog(
            subcommand,
            details=self.details,
            terms=self.terms,
            examples=self.examples,
            codes=self.exit_codes(),
        )
        return super().create_parser(
            prog_name, subcommand, **{"formatter_class": HelpFormatter, "epilog": below, **kwargs}
        )

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument(
            "--json", action="store_true", help=_("Print one JSON document and nothing else.")
        )

    def work(self, **options: Any) -> object:
        """Do the work; the return value is printed as the JSON document."""
        raise NotImplementedError

    def run_from_argv(self, argv: list[str]) -> None:
        accept_every_character()
        try:
            super().run_from_argv(argv)
        finally:
            finish_before_exit()

    def handle(self, *args: Any, **options: Any) -> None:
        self.as_json: bool = options["json"]
        try:
            with api.stoppable():
                document = self.work(**options)
        except BackupError as error:
            self.fail(*wording.describe(error), code=error.exit_code)
        except ImproperlyConfigured as error:
            self.fail(str(error), _("Correct the settings; “manage.py check” shows what is wrong."), code=2)
        except Error as error:
            self.fail(
                _("The database failed: %(reason)s") % {"reason": " ".join(str(error).split())},
                _(
                    "Check that the database answers and that this account may write to it. The run history says what was done before."
                ),
                code=1,
            )
        except api.Abandoned:
            hint = _("The work was not waited for. The run history and the data show its result.")
            self.fail(_("Cancelled."), hint, code=1)
        except KeyboardInterrupt:
            self.fail(
                _("Cancelled."), _("Finished databases are kept. The unfinished one changed nothing."), code=1
            )
        else:
            if self.as_json:
                self.print_json(document)

    def print_json(self, document: object) -> None:
        """Print the JSON document."""
        self.stdout.write(_as_json(document))

    def fail(self, sentence: str, hint: str, *, code: int) -> None:
        """End with one sentence and a hint."""
        if self.as_json:
            self.print_json({"error": sentence, "hint": hint})
        text = _("%(sentence)s\nHint: %(hint)s") % {"sentence": sentence, "hint": hint} if hint else sentence
        raise CommandError(text, returncode=code)

    def say(self, text: str) -> None:
        """Print lines for people. Names and notes may come from the remote, so control characters are removed."""
        if not self.as_json and self.verbosity > 0:
            self.stdout.write(wording.lines(text))

    def execute(self, *args: Any, **options: Any) -> str | None:
        self.verbosity: int = options.get("verbosity", 1)
        return super().execute(*args, **options)

    def report(self, run: BackupRun) -> None:
        """Print the result of a run, and its duration."""
        seconds = run.duration.total_seconds() if run.duration else 0
        self.say(f"{run.database or _('media files')}: {run.message} ({seconds:.1f} s)")
        if self.verbosity > 1:
            self.say(run.log.rstrip())

    @contextlib.contextmanager
    def progress(self, title: str) -> Iterator[Progress | None]:
        """Show a progress bar on a terminal."""
        if self.as_json or self.verbosity == 0 or not sys.stderr.isatty():
            self.say(title)
            yield None
            return
        from .bar import progress_bar  # importing tqdm takes a while, and cron jobs need no bar

        with progress_bar(title) as show:
            yield show

    def confirm(self, question: str) -> None:
        """Ask on standard input.

        :raises Cancelled: the answer is not yes.
        :raises UsageError: the question needs a terminal.
        """
        # The prompt is for a person, so it does not go to standard output, which a program may read.
        self.stderr.write(f"{question} [y/N] ", ending="")
        self.stderr.flush()
        answer = _read_answer()
        if answer is None:
            self.stderr.write("")
            raise UsageError(
                gettext_noop("This question can't be answered without a terminal."),
                hint=gettext_noop("Nothing was changed. Add --noinput to continue without a question."),
            )
        if answer.strip().lower() not in ("y", "yes"):
            raise Cancelled(gettext_noop("Cancelled."))


def _as_json(document: object) -> str:
    """Return a document in characters that standard output can print."""
    text = json.dumps(document, ensure_ascii=False)
    try:
        text.encode(getattr(sys.stdout, "encoding", None) or "utf-8")
    except UnicodeEncodeError:
        return json.dumps(document)
    return text


def add_noinput(parser: CommandParser) -> None:
    """Add the option that answers every question, with the same destination as in Django's own commands."""
    parser.add_argument(
        "--noinput", "--no-input", action="store_false", dest="interactive", help=_("Do not ask.")
    )


def _read_answer() -> str | None:
    """Return a line of standard input; ``None`` without a terminal and without data in a pipe."""
    try:
        answer = sys.stdin.readline()
        return answer if answer or sys.stdin.isatty() else None
    except (
        AttributeError,
        OSError,
        ValueError,
    ):  # a daemon has closed it; pytest raises on reads
        return None


def origin() -> Origin:
    """Return the origin of a run that a command starts."""
    try:
        user = getpass.getuser()
    except (KeyError, OSError, ImportError):  # a container may run with a user id without a name
        user = ""
    return Origin(trigger=Trigger.COMMAND, requested_by=user)


def refuse_together(options: dict[str, Any], *names: str) -> None:
    """Refuse mutually exclusive options.

    :raises UsageError: more than one was given.
    """
    # An empty text counts as given: “-d "$ALIAS"” with an unset variable must not mean the default.
    given = [f"--{name.replace('_', '-')}" for name in names if options[name] not in (None, False, [])]
    if len(given) > 1:
        raise UsageError(
            gettext_noop("%(options)s can't be used together."),
            hint=gettext_noop("Give one of them, or run the command once for each."),
            options=" and ".join(given),
        )
