"""Matrices of parameters, of which ``make test`` tests a part, and ``make soak`` the rest."""

from collections import defaultdict
from collections.abc import Iterable
from typing import Any
from zlib import crc32

import pytest


def sampled(values: Iterable[Any], *kept: Any) -> list[Any]:
    """Return the values for ``parametrize``; those that are not kept are tested by ``make soak`` alone.

    Keep whatever is the hardest, and each value that no other test has.
    """
    values = list(values)
    assert set(kept) <= set(values), f"unknown: {set(kept) - set(values)}"
    return [value if value in kept else _soak(value) for value in values]


def _soak(value: Any) -> Any:
    together = value if isinstance(value, tuple) else (value,)
    return pytest.param(*together, marks=pytest.mark.soak)


def take_turns(items: Iterable[pytest.Item]) -> None:
    """Have each test that is marked ``in_turns`` run with one value of those parameters; the others are for ``make soak``.

    Which one goes by the name of the test and its other parameters, so that tests of one matrix take different ones, and
    each run the same. What is for ``make soak`` anyway has no turn.
    """
    groups: dict[tuple[str, ...], list[pytest.Item]] = defaultdict(list)
    places: dict[tuple[str, str], list[Any]] = defaultdict(list)
    for item in sorted(items, key=lambda item: item.nodeid):  # the tests come in random order
        marker = item.get_closest_marker("in_turns")
        if marker and not item.get_closest_marker("soak"):
            parameters: dict[str, Any] = item.callspec.params  # type: ignore[attr-defined]
            assert set(marker.args) <= set(parameters), f"{item.nodeid} has no such parameters: {marker.args}"
            test = item.nodeid.partition("[")[0]
            others = (
                f"{name}{_place(value, places[test, name])}"
                for name, value in parameters.items()
                if name not in marker.args
            )
            groups[test, *others].append(item)
    for key, group in groups.items():
        turn = crc32(" ".join(key).encode()) % len(group)
        for item in (*group[:turn], *group[turn + 1 :]):
            item.add_marker(pytest.mark.soak)


def _place(value: Any, values: list[Any]) -> int:
    """Return which value of its parameter this is; ``values`` are those that were seen until now."""
    for number, each in enumerate(values):
        if each is value:
            return number
    values.append(value)
    return len(values) - 1
