"""“Did you mean …?” for an unknown word."""

from __future__ import annotations

import difflib
from collections.abc import Iterable


def suggestion(word: object, known: Iterable[str], *, what: str) -> str:
    """Return a hint for an unknown word: the most similar known word, or else all known words.

    :param what: the plural for the words.
    """
    names = [str(each) for each in known]
    by_lower = {each.lower(): each for each in reversed(names)}
    close = difflib.get_close_matches(str(word).lower(), by_lower, n=1)
    return f"Did you mean “{by_lower[close[0]]}”?" if close else f"Known {what}: {', '.join(names)}."
