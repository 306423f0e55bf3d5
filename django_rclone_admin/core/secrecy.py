"""Finds the secret strings in rclone's configuration.

They must not be shown: every user of a machine can read argument lists, and messages go into logs and mails.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

SECRET_NAME = re.compile(
    r"pass|secret|key|token|auth|header|credential|cookie|sas|connection.string|url|proxy|grant|mnemonic|otp|2fa|dsn|"
    r"command|ssh$|session.id",
    re.IGNORECASE,
)
IDENTITY_NAME = re.compile(
    r"user|account|tenant|host|email|domain|impersonate|u?uid$|id$|-id-|namenode|principal|spn$|compartment|namespace|"
    r"team-drive|project|cloud-name|slug",
    re.IGNORECASE,
)
"""Options that name an account or a host; rclone calls them sensitive, too."""
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
"""Options of a remote that are not secret although their names look like it."""
SECRET_PARAMETER = re.compile(
    rf"(?:pass|secret|key|token|auth|credential|sas|url)\w*=({QUOTED}|[^,:]+)", re.IGNORECASE
)
PARAMETERS = re.compile(rf"^(:?[^,:/]*),(?:{QUOTED}|[^\"':])*:")
"""The beginning of a connection string, from its name to the colon before the path."""


def find_secrets(
    remote: str, flags: Mapping[str, str], env: Mapping[str, str], inherited: Mapping[str, str]
) -> frozenset[str]:
    """Return every string of a configuration that must not be shown.

    :param flags: the flags passed in the environment, as variables.
    :param env: the variables of the settings.
    :param inherited: the environment of this process.
    """
    found = {shown for value in SECRET_PARAMETER.findall(remote) for shown in _ways_to_show(value)}
    found |= {
        value for name, value in env.items() if SECRET_NAME.search(name) and not name.endswith(PLAIN_OPTIONS)
    }
    found |= {value for name, value in flags.items() if SECRET_NAME.search(name) or "@" in value}
    found |= {
        value
        for name, value in inherited.items()
        if name.startswith(("RCLONE_", "AWS_")) and SECRET_NAME.search(name)
    }
    # A shorter string could be part of any message.
    return frozenset(value for value in found if len(value) > 3 and value not in ("true", "false"))


def _ways_to_show(parameter: str) -> set[str]:
    """Return the forms in which rclone's messages may show the value of a parameter: as it is, plain, escaped."""
    if (quote := parameter[0]) not in "\"'":
        return {parameter}
    inner = parameter[1:-1]
    plain = inner.replace(quote * 2, quote)
    return {inner, plain, *(text.replace("\\", "\\\\").replace('"', '\\"') for text in (inner, plain))}
