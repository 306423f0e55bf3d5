"""Turns rclone's error output into typed errors.

rclone has few exit codes, so the kind of a failure is recognised by its words. They decide only the hint and whether a
retry makes sense, never whether something was done. Notices of a healthy run and object names are ignored.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable

from ..exceptions import (
    BackupError,
    RemoteBusy,
    RemoteDenied,
    RemoteError,
    RemoteFull,
    RemoteMisconfigured,
    RemotePlaceTaken,
    RemoteUndecryptable,
    RemoteUnknown,
    RemoteUnreachable,
    gettext_noop,
)
from .command import last_words, program_failed

FLAG = re.compile(r"^Error: (unknown (?:shorthand )?flag: .+)$", re.MULTILINE)
UNKNOWN = re.compile(r"didn't find section in config file(?: \(\"(.+?)\"\))?")
MISCONFIGURED: tuple[tuple[str, str, str], ...] = (
    (
        r"(can't|couldn't|unable to) decrypt configuration",
        gettext_noop("rclone can't decrypt its configuration: the password is missing or wrong."),
        gettext_noop(
            "Set RCLONE_CONFIG_PASS or RCLONE_PASSWORD_COMMAND in the environment of the site, or in RCLONE_ENV."
        ),
    ),
    (
        r"failed to load config file",
        gettext_noop("rclone can't read its configuration: %(output)s"),
        gettext_noop(
            "Check the file in RCLONE_CONFIG, or rclone's own, and that the account of the site may read it. Where the remote needs no file, set RCLONE_CONFIG to “/dev/null”."
        ),
    ),
    (
        r"password not set in config file|is it obscured",
        gettext_noop(
            "A passphrase of the remote is missing, or is not what “rclone obscure” prints: %(output)s"
        ),
        gettext_noop("Set RCLONE_CONFIG_<NAME>_PASSWORD to what “rclone obscure” prints."),
    ),
    (
        r"didn't find backend called",
        gettext_noop("rclone does not know this kind of storage: %(output)s"),
        gettext_noop("Correct the type in the configuration of the remote, or install a newer rclone."),
    ),
    (
        r"NoSuchBucket|ContainerNotFound|bucket (does not|doesn't) exist",
        gettext_noop("The bucket in REMOTE does not exist."),
        gettext_noop("Create it, or correct REMOTE."),
    ),
)
"""Problems that only a person can solve: a pattern, the message, and the hint."""
PROBLEMS: tuple[tuple[str, type[RemoteError], str], ...] = (
    (
        r"(?m)not a directory$",
        RemotePlaceTaken,
        gettext_noop("The remote has a file where a folder is needed: %(output)s"),
    ),
    (
        r"no space left|quota|insufficient storage|disk full|\b507\b",
        RemoteFull,
        gettext_noop("The remote is full: %(output)s"),
    ),
    (
        r"authenticate decrypted block",
        RemoteUndecryptable,
        gettext_noop("What the remote holds can't be decrypted: %(output)s"),
    ),
    (
        (
            r"access ?denied|forbidden|unauthori[sz]ed|unable to authenticate|ssh-agent|invalidaccesskey|signaturedoesnotmatch|"
            r"permission denied|not permitted|read[ -]only file ?system|method not allowed|invalid credentials|\b401\b|\b403\b|"
            r"couldn't decrypt|bad password|input too short when rev|login incorrect|\b530\b"
        ),
        RemoteDenied,
        gettext_noop("The remote denied access: %(output)s"),
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
        gettext_noop("The storage is temporarily unavailable: %(output)s"),
    ),
)

STAMP = re.compile(r"^\d{4}/\d\d/\d\d \d\d:\d\d:\d\d\s+")
NOISE = re.compile(
    r"(<\d>)?(NOTICE\s*: (?!Failed)|INFO\s*: |DEBUG\s*: |.*(using defaults$|: Attempt |^Attempt ))"
)
"""Lines of error output that explain nothing: notices of a healthy run, which may also come last in a failure."""
REPEATED = re.compile(r"^(?:NOTICE|CRITICAL)?\s*:?\s*Failed to \w+: ")
"""The beginning of the last line of a failure, which repeats an earlier line."""


def explain(
    name: str, status: int, output: str, *, remote: str = "", names: Iterable[str] = (), alias: str = ""
) -> BackupError:
    """Turn rclone's exit status and error output into a typed error.

    :param remote: the name of the remote in messages.
    :param names: names of objects and places in the call; words in them are ignored.
    :param alias: the name under which rclone sees the remote.
    """
    if status < 0:
        return program_failed(name, status, output)
    lines = complaints(output)
    words = "\n".join(lines)
    if found := FLAG.search(output):
        return RemoteMisconfigured(
            gettext_noop("rclone does not know one of its options: %(output)s"),
            hint=gettext_noop("Correct RCLONE_FLAGS, or install a newer rclone."),
            output=found[1],
        )
    if found := UNKNOWN.search(words):
        return _unknown(found[1], remote.partition(":")[0])
    text = last_words("\n".join(_once(lines)))
    if alias:
        text = re.sub(rf"{alias}(\{{\w+\}})?:", remote if remote.endswith((":", "/")) else f"{remote}/", text)
    for each in sorted({*names} - {""}, key=len, reverse=True):
        words = words.replace(each, "…")
    for pattern, template, hint in MISCONFIGURED:
        if re.search(pattern, words, re.IGNORECASE):
            return RemoteMisconfigured(template, hint=hint, output=text)
    for pattern, error, template in PROBLEMS:
        if re.search(pattern, words, re.IGNORECASE):
            return error(template, output=text)
    return RemoteError(
        gettext_noop("rclone failed with exit status %(status)s: %(output)s"),
        status=status,
        output=text or "-",
    )


def complaints(output: str) -> list[str]:
    """Return the lines of rclone's error output that report a problem, without their times."""
    lines = (STAMP.sub("", _message(line)) for line in output.splitlines())
    return [line for line in lines if line.strip() and not NOISE.match(line)]


def _unknown(missing: str | None, own: str) -> RemoteError:
    if missing is None or missing == own:
        return RemoteUnknown(
            gettext_noop("The remote “%(name)s” in REMOTE is not configured in rclone."), name=own
        )
    return RemoteUnknown(
        gettext_noop("The remote “%(name)s”, which another remote uses, is not configured in rclone."),
        name=missing,
    )


def _once(lines: list[str]) -> list[str]:
    """Return the lines without a last line that only repeats an earlier one."""
    last = REPEATED.sub("", lines[-1]) if lines else ""
    return lines[:-1] if any(each.endswith(last) for each in lines[:-1]) else lines


def _message(line: str) -> str:
    """Return the text of a line of rclone's log, which may be JSON; empty for a line that reports no problem."""
    if not line.startswith("{"):
        return line
    try:
        entry = json.loads(line)
    except ValueError:
        return line
    if not isinstance(entry, dict) or entry.get("level") not in ("error", "critical", "fatal"):
        return ""
    return str(entry.get("msg", ""))
