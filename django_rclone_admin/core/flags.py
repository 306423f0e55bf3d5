"""The rclone flags that a site configures: which are refused, and which are secret."""

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
"""Flags that are named like secrets but hold none."""
SHORT = {"P": "progress", "n": "dry-run", "i": "interactive", "q": "quiet", "f": "filter", "u": "update"}
SHORT |= {"h": "help", "V": "version"}

PRINTS = "progress quiet log-file log-level log-systemd syslog help version rc metrics-addr"
"""Flags that change what rclone prints, or where; this package parses its output."""
CHOOSES = (
    "include include-from exclude exclude-from exclude-if-present filter filter-from files-from files-from-raw"
    " files-from0 hash-filter ignore-case min-age max-age min-size max-size max-depth"
)
"""Flags that hide objects, also from a backup list: a hidden object counts as missing."""
LEAVES_OUT = (
    "dry-run interactive max-transfer max-duration cutoff-mode max-delete max-delete-size ignore-existing"
    " update immutable delete-excluded backup-dir suffix compare-dest copy-dest error-on-no-transfer"
)
"""Flags by which rclone does less than asked, or stores files elsewhere."""
REFUSED = frozenset(f"{PRINTS} {CHOOSES} {LEAVES_OUT}".split())


def find_problem(flags: Iterable[str], env: Mapping[str, str]) -> UsageError | None:
    """Return the problem with the configured flags as an error to raise; it names a flag, never a value.

    It is not raised here, because an error report would show the values.

    :param env: the variables of the settings; each ``RCLONE_*`` variable is also a flag.
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
    """Give each flag with its value: after “=”, from the next item, or ``None``."""
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
    """Whether the item after a flag is its value. A password may begin with a dash."""
    return not item.startswith("--" if SECRET_NAME.search(name) else "-")


def split_flags(flags: Iterable[str]) -> tuple[tuple[str, ...], dict[str, str]]:
    """Split the configured flags into those for the argument list and variables for the environment.

    A variable can occur only once; see :func:`find_problem`.
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
    """Whether a flag must go into the environment: every user of the machine can read argument lists."""
    named = SECRET_NAME.search(name) or IDENTITY_NAME.search(name)
    return name.startswith("--") and bool(named or re.search("://.*@", value))
