"""Conformance tests that every connector must pass, for third-party connectors and for ours.

Subclass :class:`ConnectorConformance` in a test module and define its fixture ``subject``; pytest does the rest::

    class TestAcme(ConnectorConformance):
        @pytest.fixture
        def subject(self):
            return Subject(connector=..., rows=..., change=..., history=...)
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest

from .connectors.base import Connector
from .core.control import Control
from .core.files import FileSink, FileSource
from .core.transfer import Sink, Source, transfer
from .exceptions import BackupError, ProgramFailed, WrongFormat


@dataclass(frozen=True, kw_only=True)
class Subject:
    """A connector with a filled database of its own, whose history tables contain a row, and functions that inspect
    it."""

    connector: Connector
    rows: Callable[[], object]
    """Returns every row of every table except the history tables, for comparison."""
    change: Callable[[], object]
    """Changes rows, creates a table that the backup does not contain, and drops one that it contains."""
    history: Callable[[], object]
    """Returns the rows of the history."""
    write_history: Callable[[], object]
    """Adds a row to the history, or changes one."""
    strategy: str = "in_place"
    """The restore strategy."""
    failing: Connector | None = None
    """The same connector with a dump program that fails after its first bytes; ``None`` if it uses no program."""


class ConnectorConformance:
    """The tests. Each starts from a new subject."""

    @pytest.fixture
    def subject(self) -> Subject:
        raise NotImplementedError

    def test_restore_brings_every_row_back_and_removes_what_is_newer(
        self, subject: Subject, tmp_path: Path
    ) -> None:
        rows = subject.rows()
        dump = _dump(subject.connector, tmp_path)
        subject.change()
        assert subject.rows() != rows
        _restore(subject, FileSource(dump))
        assert subject.rows() == rows

    def test_restore_can_be_repeated(self, subject: Subject, tmp_path: Path) -> None:
        rows = subject.rows()
        dump = _dump(subject.connector, tmp_path)
        _restore(subject, FileSource(dump))
        _restore(subject, FileSource(dump))
        assert subject.rows() == rows

    def test_history_is_neither_dumped_nor_restored(self, subject: Subject, tmp_path: Path) -> None:
        dump = _dump(subject.connector, tmp_path)
        before = subject.history()
        subject.write_history()
        history = subject.history()
        assert history != before
        _restore(subject, FileSource(dump))
        assert subject.history() == history

    def test_dump_that_fails_stores_nothing(self, subject: Subject, tmp_path: Path) -> None:
        if subject.failing is None:
            pytest.skip("this connector uses no dump program")
        with pytest.raises(BackupError):
            _dump(subject.failing, tmp_path)
        assert list(tmp_path.glob("*.dump")) == []

    def test_input_that_breaks_off_changes_nothing(self, subject: Subject, tmp_path: Path) -> None:
        """The download fails after a part of the dump, or even after its last byte."""
        dump = _dump(subject.connector, tmp_path)
        subject.change()
        rows, history = subject.rows(), subject.history()
        for part in (0.1, 0.5, 1.0):
            broken = _Broken(dump, int(dump.stat().st_size * part))
            _assert_refused(subject, broken, f"the download fails after {part:.0%} of the dump")
            assert subject.rows() == rows, f"{part:.0%} of the dump arrived"
            assert subject.history() == history, f"{part:.0%} of the dump arrived"

    def test_dump_that_was_cut_changes_nothing(self, subject: Subject, tmp_path: Path) -> None:
        """The cut is not reported: the remaining bytes arrive without an error."""
        dump = _dump(subject.connector, tmp_path)
        data = dump.read_bytes()
        subject.change()
        rows = subject.rows()
        for part in (0.1, 0.5, 0.9):
            dump.write_bytes(data[: int(len(data) * part)])
            _assert_refused(subject, FileSource(dump), f"the dump is cut after {part:.0%}")
            assert subject.rows() == rows, f"{part:.0%} of the dump arrived"

    def test_data_of_another_format_is_refused(self, subject: Subject, tmp_path: Path) -> None:
        other = tmp_path / "other"
        other.write_bytes(b"\x7fno dump of anything\n" * 100)
        rows = subject.rows()
        with pytest.raises(WrongFormat):
            _restore(subject, FileSource(other))
        assert subject.rows() == rows

    def test_facts_name_the_tables_but_not_the_history(self, subject: Subject) -> None:
        tables = subject.connector.facts().tables
        assert tables
        assert not set(tables) & set(subject.connector.history_tables)


class _Broken(FileSource):
    """The first bytes of a file, from a sender that then fails."""

    def __init__(self, file: Path, size: int) -> None:
        super().__init__(file)
        self._left = size

    def read(self) -> bytes:
        data = super().read()[: self._left]
        self._left -= len(data)
        return data

    def finish(self) -> None:
        raise ProgramFailed("The download failed.")


def _dump(connector: Connector, folder: Path) -> Path:
    path = folder / "conformance.dump"
    transfer(connector.source(), FileSink(path))
    return path


def _assert_refused(subject: Subject, source: Source, reason: str) -> None:
    try:
        _restore(subject, source)
    except BackupError:
        return
    pytest.fail(f"The restore succeeded, although {reason}.")


def _restore(subject: Subject, source: Source) -> None:
    control = Control()

    def choose(head: bytes) -> Sink:
        return subject.connector.sink(head, control, subject.strategy)

    transfer(source, choose, control=control)
