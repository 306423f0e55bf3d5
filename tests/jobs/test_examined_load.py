"""One stream for the examiner and the loader of a check: only the examiner decides about the backup."""

import pytest

from django_rclone_admin.connectors.examiners import Nowhere
from django_rclone_admin.core.control import Control
from django_rclone_admin.core.files import FileSource
from django_rclone_admin.core.transfer import transfer
from django_rclone_admin.exceptions import BackupDamaged, BackupError, Cancelled, ProgramFailed
from django_rclone_admin.jobs.examined_load import ExaminedLoad


class Part(Nowhere):
    """Notes what it is told, and fails where it shall."""

    def __init__(self, fails_at: str = "", error: BackupError | None = None) -> None:
        self.told: list[str] = []
        self.rows: dict[str, int | None] = {}
        self._fails_at, self._error = fails_at, error

    def open(self) -> None:
        self._note("open")

    def write(self, data: bytes) -> None:
        self._note("write")

    def commit(self) -> None:
        self._note("commit")

    def close(self) -> None:
        self._note("close")

    def _note(self, what: str) -> None:
        if self.told[-1:] != [what]:
            self.told.append(what)
        if what == self._fails_at:
            assert self._error
            raise self._error


@pytest.fixture
def dump(tmp_path):
    file = tmp_path / "dump"
    file.write_bytes(b"x" * 3_000_000)
    return FileSource(file)


def load(dump, examiner, loader, control=None, examined=lambda examiner: None):
    control = control or Control()
    both = ExaminedLoad(lambda: examiner, lambda: loader, control, examined=examined)
    transfer(dump, both, control=control)
    return both


@pytest.mark.parametrize("moment", ["open", "write", "commit"])
def test_loader_that_fails_does_not_end_the_examination(dump, moment):
    examiner, loader = Part(), Part(moment, ProgramFailed("The disk is full."))
    seen = []

    both = load(dump, examiner, loader, examined=lambda _examiner: seen.append(loader.told[:]))

    assert examiner.told == ["open", "write", "commit", "close"]
    assert loader.told[-2:] == [moment, "close"]
    assert "commit" not in seen[0]
    with pytest.raises(ProgramFailed, match="disk is full"):
        both.raise_error()


@pytest.mark.parametrize("moment", ["open", "write", "commit"])
def test_loader_does_not_commit_what_the_examiner_refuses(dump, moment):
    examiner, loader = Part(moment, BackupDamaged("Cut.")), Part()
    with pytest.raises(BackupDamaged):
        load(dump, examiner, loader)
    assert examiner.told[-1] == "close"
    assert "commit" not in loader.told
    assert loader.told[-1] == "close"


def test_loader_does_not_commit_what_differs_from_the_manifest(dump):
    def examined(_examiner):
        raise BackupDamaged("Rows are missing.")

    examiner, loader = Part(), Part()
    with pytest.raises(BackupDamaged):
        load(dump, examiner, loader, examined=examined)
    assert loader.told == ["open", "write", "close"]


def test_loader_that_was_stopped_ends_the_check(dump):
    control = Control()
    loader = Part("write", ProgramFailed("It was killed."))
    loader.open = lambda: control.stop(Cancelled("The run was cancelled."))  # type: ignore[method-assign]
    with pytest.raises(Cancelled):
        load(dump, Part(), loader, control)
