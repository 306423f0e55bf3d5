"""Commands: programs as frozen argument lists. Never a shell."""

from __future__ import annotations

import os
import shutil
import signal
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from ..exceptions import BackupError, ProgramFailed, gettext_noop
from .printable import printable

LONG = 400
"""The longest line that a message shows, in characters."""
Explain = Callable[[str, int, str], BackupError]
"""Turns (program name, exit status, error output) into a typed error with a message for people."""


def redact(text: str, secrets: frozenset[str]) -> str:
    """Return ``text`` with every secret replaced, longest first so that no part of a secret remains."""
    for secret in sorted(secrets, key=len, reverse=True):
        text = text.replace(secret, "***")
    return text


def last_words(output: str) -> str:
    """Return the last three non-empty lines of error output, joined into one line."""
    lines = [line.strip() for line in output.splitlines() if line.strip()]
    return printable(" ".join(line if len(line) <= LONG else f"{line[:LONG]} …" for line in lines[-3:]))


def program_failed(name: str, status: int, output: str) -> BackupError:
    """Explain the failure of any program by the end of its error output."""
    if status < 0:
        return ProgramFailed(
            gettext_noop("%(program)s was killed by signal %(signal)s."),
            hint=gettext_noop(
                "Nothing was changed. The system may have run out of memory; look into its log."
            ),
            program=name,
            signal=signal.Signals(-status).name if -status in signal.valid_signals() else -status,
        )
    return ProgramFailed(
        gettext_noop("%(program)s failed with exit status %(status)s: %(output)s"),
        hint=gettext_noop("Nothing was changed. The text after the colon is the program's own."),
        program=name,
        status=status,
        output=last_words(output) or "-",
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Command:
    """A program with its arguments and its whole environment. ``repr`` shows the program's name alone."""

    argv: tuple[str, ...] = field(repr=False)
    """Program first. Secrets never belong here: every user of the machine can read it."""
    env: Mapping[str, str] = field(default_factory=dict, repr=False)
    """The complete environment of the process."""
    name: str
    """The name of the program in messages."""
    secrets: frozenset[str] = field(default=frozenset(), repr=False)
    """Strings to remove from the program's output."""
    explain: Explain = field(default=program_failed, repr=False)
    umask: int = -1
    """The umask for new files; -1 keeps that of our process."""
    missing_hint: str = field(default=gettext_noop("Install it, or put its folder on the PATH."), repr=False)


def can_be_given(text: str) -> bool:
    """Whether the system can hand a text to a program as an argument, a path or a variable."""
    try:
        return b"\0" not in os.fsencode(text)
    except UnicodeEncodeError:
        return False


def is_variable(name: str, value: str) -> bool:
    """Whether an environment can hold a variable."""
    return bool(name) and "=" not in name and can_be_given(name + value)


def find_program(name: str, *folders: str | Path | None) -> str:
    """Return the full path of a program, looking into ``folders`` before the PATH; the bare name if it is not found."""
    for folder in folders:
        if folder and (found := shutil.which(name, path=str(folder))):
            return found
    return shutil.which(name) or name
