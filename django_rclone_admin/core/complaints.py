"""What rclone complains of, as typed errors."""

from __future__ import annotations

import json
import re

from ..exceptions import (
    BackupError,
    RemoteBusy,
    RemoteDenied,
    RemoteError,
    RemoteFull,
    RemoteUnknown,
    RemoteUnreachable,
    gettext_noop,
)
from .command import last_words, program_failed

PROBLEMS: tuple[tuple[str, type[RemoteError], str], ...] = (
    (
        r"didn't find section in config",
        RemoteUnknown,
        gettext_noop("rclone knows no remote of the configured name."),
    ),
    (
        r"no space left|quota|insufficient storage|disk full|\b507\b",
        RemoteFull,
        gettext_noop("The remote is full: %(output)s"),
    ),
    (
        (
            r"access ?denied|forbidden|unauthori[sz]ed|unable to authenticate|ssh-agent|invalidaccesskey|signaturedoesnotmatch|"
            r"permission denied|invalid credentials|\b401\b|\b403\b|couldn't decrypt|bad password|"
            r"input too short when rev|login incorrect|\b530\b"
        ),
        RemoteDenied,
        gettext_noop("The remote refuses us: %(output)s"),
    ),
    (
        (
            r"refused|no such host|i/o timeout|network is unreachable|no route to host|connection reset|timed? ?out|"
            r"server misbehaving|couldn't connect|broken pipe|unexpected EOF|connection lost"
        ),
        RemoteUnreachable,
        gettext_noop("The remote can't be reached: %(output)s"),
    ),
    (
        (
            r"internal ?(server)? ?error|service ?unavailable|bad gateway|gateway time|slow ?down|too many requests|"
            r"(http|status|error|code|response)[ \w:=]{0,20}\b(429|50[0234])\b"
        ),
        RemoteBusy,
        gettext_noop("The remote can't do it now: %(output)s"),
    ),
)

NOISE = re.compile(r"(NOTICE: (?!Failed)|.*(using defaults|Attempt ))")
"""Lines of error output that explain nothing: the notices of a healthy run. The last line of a failure is one too."""


def explain(name: str, status: int, output: str) -> BackupError:
    """Turn rclone's exit status and error output into a typed error."""
    if status < 0:
        return program_failed(name, status, output)
    output = "\n".join(map(_message, output.splitlines()))
    lines = [re.sub(r"^\d{4}/\d\d/\d\d \d\d:\d\d:\d\d\s+", "", line) for line in output.splitlines()]
    text = last_words("\n".join(line for line in lines if not NOISE.match(line)))
    for pattern, error, template in PROBLEMS:
        if re.search(pattern, output, re.IGNORECASE):
            return error(template, output=text)
    return RemoteError(
        gettext_noop("rclone failed with exit status %(status)s: %(output)s"),
        status=status,
        output=text or "-",
    )


def _message(line: str) -> str:
    """Return the text of a line of rclone's log, which may be JSON; nothing for what is no complaint."""
    if not line.startswith("{"):
        return line
    try:
        entry = json.loads(line)
    except ValueError:
        return line
    return str(entry.get("msg", "")) if entry.get("level") in ("error", "critical", "fatal") else ""
