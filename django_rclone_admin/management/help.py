"""The text below the options in ``--help``: behaviour without arguments, examples, exit codes."""

from __future__ import annotations

import argparse
import textwrap
from collections.abc import Sequence

from django.core.management.base import DjangoHelpFormatter
from django.utils.translation import gettext as _

WIDTH = 78


class HelpFormatter(DjangoHelpFormatter, argparse.RawDescriptionHelpFormatter):
    """Keeps the line breaks of the epilog."""


def epilog(
    name: str,
    *,
    details: str,
    terms: Sequence[tuple[str, Sequence[tuple[str, str]]]],
    examples: Sequence[tuple[str, str]],
    codes: Sequence[tuple[str, str]],
) -> str:
    """Return the text below the options.

    :param name: name of the command.
    :param details: what happens without arguments.
    :param terms: tables, each a title and rows of a word and its meaning.
    :param examples: arguments, each with an explanation.
    :param codes: the exit codes with their meanings.
    """
    parts = [textwrap.fill(details, WIDTH)] if details else []
    if examples:
        lines = [f"  {_line(name, given)}\n      {what}" for given, what in examples]
        parts.append("\n".join([_("Examples:"), *lines]))
    parts += [_table(title, rows) for title, rows in [*terms, (_("Exit codes:"), codes)]]
    return "\n\n".join(parts)


def exit_codes() -> list[tuple[str, str]]:
    """Return the exit codes of most commands with their meanings."""
    return [
        ("0", _("Done.")),
        ("1", _("Failed, answered with “no”, or stopped by Ctrl-C or a signal.")),
        ("2", _("Wrong usage or configuration. Nothing was tried.")),
        ("3", _("The database is locked by another run.")),
    ]


def monitor_exit_codes() -> list[tuple[str, str]]:
    """Return the exit codes of the commands that follow monitoring plugins."""
    return [
        ("0", _("OK")),
        ("1", _("WARNING")),
        ("2", _("CRITICAL")),
        ("3", _("UNKNOWN")),
    ]


def _line(name: str, given: str) -> str:
    return f"manage.py {name} {given}".rstrip()


def _table(title: str, rows: Sequence[tuple[str, str]]) -> str:
    width = max(len(word) for word, _meaning in rows)
    lines = [
        textwrap.fill(
            meaning,
            WIDTH,
            initial_indent=f"  {word.ljust(width)}  ",
            subsequent_indent=" " * (width + 4),
        )
        for word, meaning in rows
    ]
    return "\n".join([title, *lines])
