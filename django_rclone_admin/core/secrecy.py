"""Which strings of a configuration of rclone are secret, and how its flags reach rclone unseen.

Every user of a machine can read the argument lists of its processes, and messages go into logs and mails.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping

from ..exceptions import UsageError, gettext_noop

SECRET_NAME = re.compile(
    r"pass|secret|key|token|auth|header|credential|cookie|sas|connection-string|url", re.IGNORECASE
)
SWITCH = re.compile(r"env-auth$|-use-|^--use-|-only$|ask-password$|bad-blocks$")
"""Flags that have such a name, and no value."""
QUOTED = r"""\"(?:[^"]|"")*"|'(?:[^']|'')*'"""
PLAIN_OPTIONS = (
    "_TYPE",
    "_REMOTE",
    "_HOST",
    "_PORT",
    "_USER",
    "_PROVIDER",
    "_ENDPOINT",
    "_REGION",
    "_VENDOR",
)
"""Options of a remote that are no secrets, though its own name may sound like one."""
SECRET_PARAMETER = re.compile(
    rf"(?:pass|secret|key|token|auth|credential|sas|url)\w*=({QUOTED}|[^,:]+)", re.IGNORECASE
)
PARAMETERS = re.compile(rf"^(:?[^,:/]*),(?:{QUOTED}|[^\"':])*:")
"""The beginning of a connection string, from its name to the colon before the path."""


def find_secrets(
    remote: str, flags: Iterable[str], env: Mapping[str, str], inherited: Mapping[str, str]
) -> frozenset[str]:
    """Return every string of a configuration that must not be shown.

    :param env: the variables of the settings.
    :param inherited: the environment of our process.
    """
    found = {shown for value in SECRET_PARAMETER.findall(remote) for shown in _ways_to_show(value)}
    found |= {
        value for name, value in env.items() if SECRET_NAME.search(name) and not name.endswith(PLAIN_OPTIONS)
    }
    found |= set(split_flags(flags)[1].values())
    found |= {
        value
        for name, value in inherited.items()
        if name.startswith(("RCLONE_", "AWS_")) and SECRET_NAME.search(name)
    }
    # What is that short is a word of any message, too.
    return frozenset(value for value in found if len(value) > 3 and value not in ("true", "false"))


def split_flags(flags: Iterable[str]) -> tuple[tuple[str, ...], dict[str, str]]:
    """Part the configured flags into those for the argument list and variables for the environment.

    :raises UsageError: one for the environment is given twice; it can be there only once.
    """
    shown: list[str] = []
    hidden: dict[str, str] = {}
    rest = list(flags)
    while rest:
        name, equals, value = rest.pop(0).partition("=")
        may_be_secret = SECRET_NAME.search(name) or re.search("://.*@", value)
        is_switch = not equals and (SWITCH.search(name) or not rest or rest[0].startswith("--"))
        if not name.startswith("--") or not may_be_secret or is_switch:
            shown.append(name + equals + value)
        elif (variable := "RCLONE_" + name.removeprefix("--").upper().replace("-", "_")) in hidden:
            raise UsageError(
                gettext_noop("RCLONE_FLAGS has %(flag)s more than once."),
                hint=gettext_noop("Put it into the configuration of the remote, in RCLONE_ENV or the file."),
                flag=name,
            )
        else:
            hidden[variable] = value if equals else rest.pop(0)
    return tuple(shown), hidden


def _ways_to_show(parameter: str) -> set[str]:
    """Return the forms in which rclone's messages may show the value of a parameter: as it is, plain, escaped."""
    if (quote := parameter[0]) not in "\"'":
        return {parameter}
    inner = parameter[1:-1]
    plain = inner.replace(quote * 2, quote)
    return {inner, plain, *(text.replace("\\", "\\\\").replace('"', '\\"') for text in (inner, plain))}
