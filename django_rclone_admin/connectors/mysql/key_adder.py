"""Adds keys to tables after their rows were loaded, by several client programs in parallel."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping

from ...core.control import Control
from .late_keys import LateKeys
from .streams import LoaderSink

CONNECTIONS = 2
"""The number of client programs; each adds the keys of other tables."""


class KeyAdder:
    """Adds keys by several connections, and then the foreign keys, which need them.

    :param load: returns a sink that executes statements.
    """

    def __init__(self, load: Callable[[], LoaderSink], control: Control) -> None:
        self._load, self._control = load, control
        self._at_work: list[LoaderSink] = []

    def add(self, late: Iterable[LateKeys], sizes: Mapping[str, int]) -> None:
        """Add all keys.

        :param sizes: bytes of the rows of each table.
        """
        late = sorted(late, key=lambda each: sizes.get(each.table, 0), reverse=True)
        shares: list[list[bytes]] = [[] for _ in range(CONNECTIONS)]
        weights = [0] * CONNECTIONS
        for each in late:
            lightest = weights.index(min(weights))
            weights[lightest] += sizes.get(each.table, 0) + 1
            shares[lightest].append(each.addition(each.keys))
        self._carry_out(shares)
        self._carry_out([[each.addition(each.foreign_keys) for each in late]])

    def abort(self) -> None:
        """Make the programs that wait for the server end. Called from another thread."""
        for each in list(self._at_work):
            each.abort()

    def _carry_out(self, shares: list[list[bytes]]) -> None:
        scripts = [script for share in shares if (script := b"".join(share))]
        self._at_work = [self._load() for _script in scripts]
        try:
            for each in self._at_work:
                each.open()
            self._control.check()  # a stop before this point did not reach them
            for each, script in zip(self._at_work, scripts, strict=True):
                each.write(script)
            for each in self._at_work:
                each.commit()
        finally:
            for each in self._at_work:
                each.close()
