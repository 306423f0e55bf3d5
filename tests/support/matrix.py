"""Matrices of parameters, of which ``make test`` tests a part, and ``make soak`` the rest."""

from collections.abc import Iterable
from typing import Any

import pytest


def sampled(values: Iterable[Any], *kept: Any) -> list[Any]:
    """Return the values for ``parametrize``; those that are not kept are tested by ``make soak`` alone.

    Keep each value of each parameter at least once, and whatever is the hardest.
    """
    values = list(values)
    assert set(kept) <= set(values), f"unknown: {set(kept) - set(values)}"
    return [value if value in kept else _soak(value) for value in values]


def _soak(value: Any) -> Any:
    together = value if isinstance(value, tuple) else (value,)
    return pytest.param(*together, marks=pytest.mark.soak)
