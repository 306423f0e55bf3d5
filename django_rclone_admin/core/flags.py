"""The flags of rclone that a site configures: which it may not use, and which nobody may see."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping

from ..exceptions import UsageError, gettext_noop
from .secrecy import IDENTITY_NAME, SECRET_NAME

SWITCH = re.compile(
    r"env-auth$|v2-auth$|no-auth$|auth-redirect$|-use-|^--use-|-only$|ask-password$|bad-blocks$|dump-headers$|"
    r"client-credentials$|bypass-governance|seafile-2fa$|pin-host-key$"
)
"""Flags that have the name of a secret, and no value."""
SHORT = {"P": "progress", "n": "dry-run", "i": "interactive", "q": "quiet", "f": "filter", "u": "update"}
SHORT |= {"h": "help", "V": "version"}

PRINTS = "progress quiet log-file log-level log-systemd syslog help version rc metrics-addr"
"""They change what rclone prints, or where; its answers and its notices are read here."""
CHOOSES = (
    "include include-from exclude exclude-from exclude-if-present filter filter-from files-from files-from-raw"
    " files-from0 hash-filter ignore-case min-age max-age min-size max-size max-depth"
)
"""They hide objects, from a list of backups too: what is hidden counts as not there."""
LEAVES_OUT = (
    "dry-run interactive max-transfer max-duration cutoff-mode max-delete max-delete-size ignore-existing"
    " update immutable delete-excluded backup-dir suffix compare-dest copy-dest error-on-no-transfer"
)
"""They have rclone do less than it was told, or put it elsewhere."""
REFUSED = frozenset(f"{PRINTS} {CHOOSES} {LEAVES_OUT}".split())


def find_problem(flags: Iterable[str], env: Mapping[str, str]) -> UsageError | None:
    """Return what is wrong with the configured flags, as an error to raise; it names a flag and never a value.

    It is not raised here, where an error report would show the values.

    :param env: the variables of the settings; each ``RCLONE_*`` of them is a flag, too.
    """
    for setting, names in (("RCLONE_FLAGS", _names(flags)), ("RCLONE_ENV", map(_name_of, env))):
        if found := REFUSED.intersection(names):
            return UsageError(
                gettext_noop("%(setting)s may not contain the rclone flag %(flag)s."),
                hint=gettext_noop(
                    "It changes what rclone prints or does, and backups rely on that. To leave media files out, use"
                    " MEDIA_EXCLUDE."
                ),
                setting=setting,
                flag=f"--{min(found)}",
            )
    counts = Counter(name for name, value in _parse(flags) if value is not None and _is_private(name, value))
    doubled = [name for name, count in counts.items() if count > 1]
    if not doubled:
        return None
    return UsageError(
        gettext_noop("RCLONE_FLAGS has %(flag)s more than once."),
        hint=gettext_noop("Put it into the configuration of the remote, in RCLONE_ENV or the file."),
        flag=doubled[0],
    )


def _names(flags: Iterable[str]) -> Iterator[str]:
    for name, _value in _parse(flags):
        if name.startswith("--"):
            yield name.removeprefix("--")
        elif name.startswith("-"):
            yield from (SHORT[letter] for letter in name if letter in SHORT)


def _name_of(variable: str) -> str:
    return (
        variable.removeprefix("RCLONE_").lower().replace("_", "-") if variable.startswith("RCLONE_") else ""
    )


def _parse(flags: Iterable[str]) -> Iterator[tuple[str, str | None]]:
    """Give each flag with its value as it was written: with “=”, or as the next item, or none."""
    rest = list(flags)
    while rest:
        name, equals, value = rest.pop(0).partition("=")
        if equals:
            yield name, equals + value
        elif rest and name.startswith("--") and not SWITCH.search(name) and _is_value(name, rest[0]):
            yield name, rest.pop(0)
        else:
            yield name, None


def _is_value(name: str, item: str) -> bool:
    """Whether an item that follows a flag is its value. A password may begin with a dash."""
    return not item.startswith("--" if SECRET_NAME.search(name) else "-")


def split_flags(flags: Iterable[str]) -> tuple[tuple[str, ...], dict[str, str]]:
    """Split the configured flags into those for the argument list and variables for the environment.

    A variable can be there only once; see :func:`find_problem`.
    """
    shown: list[str] = []
    hidden: dict[str, str] = {}
    for name, value in _parse(flags):
        if value is None:
            shown.append(name)
        elif _is_private(name, value):
            hidden["RCLONE_" + name.removeprefix("--").upper().replace("-", "_")] = value.removeprefix("=")
        else:
            shown += [name + value] if value.startswith("=") else [name, value]
    return tuple(shown), hidden


def _is_private(name: str, value: str) -> bool:
    """Whether a flag is for the environment: every user of a machine can read the argument lists of its processes."""
    named = SECRET_NAME.search(name) or IDENTITY_NAME.search(name)
    return name.startswith("--") and bool(named or re.search("://.*@", value))
