"""Feeds one download to an examiner and to a loader, for a check that opens the backup."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator

from django.db import DatabaseError

from ..connectors.examiners import Examiner, Sharing
from ..core.control import Control
from ..core.transfer import Sink
from ..exceptions import BackupError


class ExaminedLoad:
    """A sink that examines a dump while a loader restores it.

    The examiner decides whether the dump is at fault, so its errors end the transfer. An error of the loader only ends
    the loader: the examiner reads on, and :meth:`raise_error` raises the error when the transfer is over.

    :param examine: returns the examiner, unless the loader brings one.
    :param choose: returns the loader.
    :param examined: called after the examiner has read everything; the loader commits only if it does not raise.
    """

    def __init__(
        self,
        examine: Callable[[], Examiner],
        choose: Callable[[], Sink],
        control: Control,
        *,
        examined: Callable[[Examiner], None],
    ) -> None:
        self._examine, self._choose, self._control, self._examined = examine, choose, control, examined
        self._examiner: Examiner | None = None
        self._loader: Sink | None = None
        self._error: BackupError | DatabaseError | None = None

    def open(self) -> None:
        with self._noted():
            self._loader = self._choose()
        self._examiner = self._shared() or self._examine()
        self._examiner.open()
        self._load(lambda loader: loader.open())

    def write(self, data: bytes) -> None:
        assert self._examiner
        self._examiner.write(data)
        self._load(lambda loader: loader.write(data))

    def commit(self) -> None:
        assert self._examiner
        self._examiner.commit()
        self._examined(self._examiner)
        self._control.check()  # the examiner may have taken minutes
        self._load(lambda loader: loader.commit())

    def abort(self) -> None:
        for each in (self._examiner, self._loader):
            if each:
                each.abort()

    def close(self) -> None:
        try:
            self._close_loader()
        finally:
            if self._examiner:
                self._examiner.close()

    def raise_error(self) -> None:
        """Raise the error of the loader, if it failed."""
        if self._error:
            raise self._error

    def _shared(self) -> Examiner | None:
        """Return the examiner that the loader brings, if it does."""
        return self._loader.examiner() if isinstance(self._loader, Sharing) else None

    def _load(self, step: Callable[[Sink], None]) -> None:
        """Have the loader do a step, if it has not failed."""
        if self._loader:
            with self._noted():
                step(self._loader)

    @contextlib.contextmanager
    def _noted(self) -> Iterator[None]:
        """Note an error of the loader, and end the loader with it."""
        try:
            yield
        except (BackupError, DatabaseError) as error:
            self._control.raise_if_stopped()
            self._error = error
            self._close_loader()

    def _close_loader(self) -> None:
        loader, self._loader = self._loader, None
        if loader:
            loader.close()
