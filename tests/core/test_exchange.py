"""Files are put into a folder that others use too: nothing of theirs is lost, no link is followed, all can be undone."""

import errno
import os
import socket
import stat
from collections.abc import Iterator
from pathlib import Path

import pytest

from django_rclone_admin.core.access import Permissions
from django_rclone_admin.core.exchange import STRANGERS, Exchange
from django_rclone_admin.core.local_files import scan
from django_rclone_admin.exceptions import RestoreRefused

NOON = 1_700_000_000 * 10**9


class Folder:
    """A media folder with files, and what is about to be restored into it."""

    def __init__(self, home: Path) -> None:
        self.root, self.store = home / "media", home / "store"
        self.root.mkdir()
        (self.store / "new").mkdir(parents=True)
        self.exchange: Exchange

    def write(self, path: str, content: str, mode: int = 0o644) -> Path:
        file = self.root / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(content)
        file.chmod(mode)
        os.utime(file, ns=(NOON, NOON))
        return file

    def begin(self, **permissions: int) -> None:
        found = scan(self.root)
        assert found is not None
        self.seen = {each.path: each for each in found.files}
        self.exchange = Exchange(self.root, self.store, found.habits, Permissions(**permissions))

    def put(self, path: str, content: str = "restored") -> None:
        staged = self.store / "new" / "staged"
        staged.write_text(content)
        self.exchange.put(staged, path, seen=self.seen.get(path), time=NOON + 5)

    def take(self, path: str) -> None:
        self.exchange.take(path, seen=self.seen[path])

    def state(self) -> dict[str, tuple[str, int, int]]:
        """Return content, permissions and time of all files, and the permissions of all folders."""
        return {
            str(each.relative_to(self.root)): (
                "" if each.is_dir() else each.read_text(),
                stat.S_IMODE(each.lstat().st_mode),
                0 if each.is_dir() else each.lstat().st_mtime_ns,
            )
            for each in sorted(self.root.rglob("*"))
        }


@pytest.fixture
def folder(tmp_path: Path) -> Iterator[Folder]:
    folder = Folder(tmp_path)
    yield folder
    folder.exchange.close()


@pytest.fixture(params=["links", "no links", "other file system"])
def disk(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each kind of file system. One without hard links, and one of two parts, can't be had in a test."""

    rename = os.rename

    def refuse_link(*_args: object, **_values: object) -> None:
        raise PermissionError(errno.EPERM, "")

    def refuse_rename(*args: object, **values: object) -> None:
        if values:  # out of the folder, and not within the store
            raise OSError(errno.EXDEV, "")
        rename(*args)

    if request.param != "links":
        monkeypatch.setattr(os, "link", refuse_link)
    if request.param == "other file system":
        monkeypatch.setattr(os, "rename", refuse_rename)


@pytest.mark.usefixtures("disk")
def test_what_was_done_is_undone(folder):
    folder.write("a", "one", 0o600)
    folder.write("deep/b", "two", 0o640)
    folder.write("file", "where a folder has to be")
    folder.write("folder/inner", "where a file has to be")
    (folder.root / "folder").chmod(0o2770)
    (folder.root / "empty/inner").mkdir(parents=True)
    before = folder.state()
    folder.begin()
    folder.take("file")
    folder.take("folder/inner")
    for path in ("a", "new", "deep/b", "deeper/1/2/new", "file/inner", "folder", "empty"):
        folder.put(path)
    assert folder.state()["file/inner"][0] == "restored"
    assert folder.exchange.undo()
    assert folder.state() == before
    assert folder.exchange.strangers == []


@pytest.mark.usefixtures("disk")
def test_what_others_did_meanwhile_stays_when_a_restore_is_undone(folder):
    folder.write("a", "one")
    folder.write("gone", "two")
    folder.begin()
    folder.put("a")
    folder.put("new")
    folder.put("made/new")
    folder.take("gone")
    (folder.root / "new").unlink()
    folder.write("new", "uploaded after it was put there")
    folder.write("made/upload", "uploaded into a folder that was made")
    folder.write("gone", "uploaded again")
    (folder.root / "a").write_text("written over what was put there")
    assert not folder.exchange.undo()
    assert {path: content for path, (content, _mode, _time) in folder.state().items() if content} == {
        "a": "written over what was put there",
        "new": "uploaded after it was put there",
        "made/upload": "uploaded into a folder that was made",
        "gone": "uploaded again",
    }
    assert (folder.store / "replaced/a").read_text() == "one"
    assert (folder.store / "removed/gone").read_text() == "two"


@pytest.mark.usefixtures("disk")
def test_upload_under_a_path_to_restore_is_kept(folder):
    folder.write("changed", "before")
    folder.begin()
    folder.write("new", "an upload")
    folder.write("changed", "an upload too")
    folder.put("new")
    folder.put("changed")
    assert folder.exchange.strangers == ["new", "changed"]
    folder.exchange.finish()
    kept = folder.store / STRANGERS
    assert {each.name: each.read_text() for each in kept.iterdir()} == {
        "new": "an upload",
        "changed": "an upload too",
    }
    assert (folder.root / "new").read_text() == "restored"


@pytest.mark.usefixtures("disk")
def test_upload_under_a_path_to_restore_is_back_when_it_is_undone(folder):
    folder.begin()
    folder.write("new", "an upload")
    folder.put("new")
    assert folder.exchange.undo()
    assert (folder.root / "new").read_text() == "an upload"


def test_file_that_comes_in_the_very_moment_is_kept(folder, monkeypatch):
    """A visitor who is quicker than any wait in a test."""
    folder.begin()
    link = os.link

    def late(*args: object, **values: object) -> None:
        monkeypatch.undo()
        folder.write("new", "an upload")
        link(*args, **values)

    monkeypatch.setattr(os, "link", late)
    folder.put("new")
    assert (folder.root / "new").read_text() == "restored"
    assert (folder.store / STRANGERS / "new").read_text() == "an upload"
    assert folder.exchange.undo()
    assert (folder.root / "new").read_text() == "an upload"


def test_file_that_changed_since_it_was_seen_is_not_taken_away(folder):
    folder.write("a", "one")
    folder.begin()
    folder.write("a", "another")
    folder.take("a")
    assert (folder.root / "a").read_text() == "another"
    assert folder.exchange.left == ["a"]


@pytest.mark.parametrize("path", ["link", "link/inner", "folder/link", "folder/link/inner"])
def test_no_link_is_written_through(folder, tmp_path, path):
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "inner").write_text("private")
    (folder.root / "folder").mkdir()
    folder.begin()
    way = path.removesuffix("/inner")
    (folder.root / way).symlink_to(outside if way != path else outside / "inner")
    with pytest.raises(RestoreRefused, match="symbolic link"):
        folder.put(path)
    assert folder.exchange.undo()
    assert (outside / "inner").read_text() == "private"
    assert [each.name for each in outside.iterdir()] == ["inner"]


def test_folder_with_other_files_is_no_place_for_a_file(folder):
    folder.write("folder/inner/file", "other")
    (folder.root / "folder/empty").mkdir()
    before = folder.state()
    folder.begin()
    with pytest.raises(RestoreRefused, match="'folder' has to be restored as a file"):
        folder.put("folder")
    assert folder.exchange.undo()
    assert folder.state() == before


def test_file_is_no_place_for_a_folder(folder):
    folder.begin()
    folder.write("folder", "a file")
    with pytest.raises(RestoreRefused, match="A file is where the folder"):
        folder.put("folder/inner")


def test_what_is_no_file_is_moved_aside_and_put_back(folder):
    folder.begin()
    os.mkfifo(folder.root / "pipe")
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(folder.root / "sock"))
        folder.put("pipe")
        folder.put("sock")
        assert folder.exchange.undo()
    assert stat.S_ISFIFO((folder.root / "pipe").lstat().st_mode)
    assert stat.S_ISSOCK((folder.root / "sock").lstat().st_mode)


def test_emptied_folders_go_and_others_stay(folder):
    folder.write("a/b/c", "one")
    folder.write("d/e", "two")
    folder.write("d/f", "three")
    folder.begin()
    folder.take("a/b/c")
    folder.take("d/e")
    folder.exchange.finish()
    assert set(folder.state()) == {"d", "d/f"}
    assert sorted(each.name for each in folder.store.iterdir()) == [
        "new",
        "removed",
    ]  # the caller keeps them or not


def test_replaced_file_keeps_its_permissions_and_owner(folder):
    file = folder.write("a", "one", 0o640)
    if os.geteuid() == 0:
        os.chown(file, 12, 34)
    owner = file.stat().st_uid, file.stat().st_gid
    folder.begin(file=0o666)
    folder.put("a")
    status = file.stat()
    assert (stat.S_IMODE(status.st_mode), status.st_uid, status.st_gid) == (0o640, *owner)
    assert status.st_mtime_ns == NOON + 5


def test_new_file_is_like_its_neighbours(folder):
    for path in ("2025/01/old", "2025/02/old"):
        file = folder.write(path, "one", 0o600)
        if os.geteuid() == 0:
            os.chown(file, 12, 34)
            os.chown(file.parent, 12, 34)
        file.parent.chmod(0o2770)
    (folder.root / "lost+found").mkdir(mode=0o700)
    folder.begin()
    folder.put("2025/02/new")
    folder.put("2025/03/new")
    old, modes = (folder.root / "2025/01/old").stat(), []
    for path in ("2025/02/new", "2025/03/new", "2025/03"):
        status = (folder.root / path).stat()
        modes.append(oct(stat.S_IMODE(status.st_mode)))
        assert (status.st_uid, status.st_gid) == (old.st_uid, old.st_gid), path
    assert modes == ["0o600", "0o600", "0o2770"]


def test_settings_go_before_neighbours(folder):
    folder.write("old/old", "one", 0o600)
    (folder.root / "old").chmod(0o700)
    folder.root.chmod(0o2755)
    folder.begin(file=0o664, folder=0o775)
    folder.put("new/new")
    assert stat.S_IMODE((folder.root / "new/new").stat().st_mode) == 0o664
    assert stat.S_IMODE((folder.root / "new").stat().st_mode) == 0o775
    folder.put("new/inner/new")
    assert stat.S_IMODE((folder.root / "new/inner").stat().st_mode) == 0o775


def test_group_of_a_folder_that_passes_it_on_is_that_of_new_files(folder):
    if os.geteuid():
        pytest.skip("only root may give files away")
    os.chown(folder.root, 12, 34)
    folder.root.chmod(0o2770)
    folder.begin()
    folder.put("new/new")
    for path in ("new", "new/new"):
        assert (folder.root / path).stat().st_gid == 34
    assert stat.S_IMODE((folder.root / "new").stat().st_mode) == 0o2770


def test_folder_that_is_a_link_itself_stays_the_one_that_it_was(folder, tmp_path):
    real = folder.root.rename(tmp_path / "real")
    folder.root.symlink_to(real)
    folder.begin()
    folder.put("a")
    folder.root.unlink()
    (tmp_path / "other").mkdir()
    folder.root.symlink_to(tmp_path / "other")
    folder.put("b")
    assert {each.name for each in real.iterdir()} == {"a", "b"}
