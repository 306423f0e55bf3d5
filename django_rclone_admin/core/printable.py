"""Makes text from other sources safe for pages and terminals."""

from __future__ import annotations

import re

BLANK = str.maketrans("\t\n\r", "   ")
UNFIT = re.compile("[\x00-\x1f\x7f-\x9f\u2028-\u202e\u2066-\u2069\ud800-\udfff]")
"""Control characters, which a terminal obeys; bidirectional control characters; surrogates, which can't be encoded."""


def printable(text: str) -> str:
    """Return one line of text with a replacement character for each that could break a page or control a terminal."""
    return text if text.isprintable() else UNFIT.sub("\N{REPLACEMENT CHARACTER}", text.translate(BLANK))
