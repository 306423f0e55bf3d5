"""Lets commands print to terminals and pipes whose encoding lacks some characters: a message must not end a run."""

from __future__ import annotations

import codecs
import io
import sys

NAME = "django_rclone_admin.plain"
PLAIN = str.maketrans({"“": '"', "”": '"', "„": '"', "’": "'", "…": "...", "–": "-", "—": "-", "★": "*"})


def accept_every_character() -> None:
    """Make standard output and standard error of this process print replacements instead of raising."""
    for stream in (sys.stdout, sys.stderr):
        # “surrogateescape” of the C locale is UTF-8, and loses nothing.
        if isinstance(stream, io.TextIOWrapper) and stream.errors in ("strict", "backslashreplace"):
            stream.reconfigure(errors=NAME)


def _replace(error: UnicodeError) -> tuple[str, int]:
    if not isinstance(error, UnicodeEncodeError):
        raise error
    text = error.object[error.start : error.end].translate(PLAIN)
    return text.encode(error.encoding, "backslashreplace").decode(error.encoding), error.end


codecs.register_error(NAME, _replace)
