"""Whatever happened to the media files between backups, every backup brings back its own bytes, times and names."""

import os
import shutil
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings, strategies

from django_rclone_admin import api
from tests.support.backups import listed, put_media
from tests.support.matrix import sampled
from tests.support.storage import KINDS, Storage

NAMES = (
    "a.jpg",
    "Größe/日本 🙂.png",
    "-rf",
    " leading and trailing ",
    "#hash",
    "new\nline",
    "carriage\rreturn/tab\t.txt",
    "[x]*{y}\n?",
    "back\\slash",
    "deep/1/2/3/4/5/6/7/8/9/ten",
    ".hidden/.dot",
    "uploads",
    "uploads/file",
    "uploads/file/inner",
    "Stra\u00dfe/\u00e9.jpg",
    "Stra\u00dfe/e\u0301.jpg",
    "A.JPG",
)
"""Some can't be there together: a file can't be a folder too. Some differ only in case, or in how an accent is written."""

EARLIER = -(10**9) * 86_400
"""Nanoseconds: a file that was unpacked is older than the one it replaces."""

names = strategies.sampled_from(NAMES)
contents = strategies.sampled_from([b"", b"one", b"two", b"three", bytes(5000)])
operations = strategies.one_of(
    strategies.tuples(strategies.just("write"), names, contents),
    strategies.tuples(strategies.just("older"), names, contents),
    strategies.tuples(strategies.just("delete"), names),
    strategies.tuples(strategies.just("rename"), names, names),
    strategies.just(("backup",)),
)
histories = strategies.lists(operations, min_size=3, max_size=10)
short_histories = strategies.lists(operations, min_size=3, max_size=6)


class Media:
    """A media folder that things happen to. Its clock goes on with every write, as it does between two backups."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.clock = 1_700_000_000 * 10**9
        (folder / "always").mkdir(parents=True)
        self.write("always/there", b"here")

    def write(self, name: str, content: bytes, shift: int = 0) -> None:
        self.clock += 2 * 10**9
        path = self._way_to(name)
        path.write_bytes(content)
        os.utime(path, ns=(self.clock + shift, self.clock + shift))

    def older(self, name: str, content: bytes) -> None:
        self.write(name, content, EARLIER)

    def delete(self, name: str) -> None:
        path = self.folder / name
        if path.is_file():
            path.unlink()
        elif path.is_dir():
            shutil.rmtree(path)

    def rename(self, old: str, new: str) -> None:
        path = self.folder / old
        if path.is_file() and not f"{new}/".startswith(f"{old}/") and not f"{old}/".startswith(f"{new}/"):
            path.rename(self._way_to(new))

    def files(self) -> dict[str, tuple[bytes, int]]:
        """Return the bytes of all files, and their times in nanoseconds."""
        return {
            str(path.relative_to(self.folder)): (path.read_bytes(), path.stat().st_mtime_ns)
            for path in self.folder.rglob("*")
            if path.is_file()
        }

    def _way_to(self, name: str) -> Path:
        """Clear the way to a file."""
        path = self.folder / name
        for each in (path, *path.parents):
            if each == self.folder:
                break
            if each.is_file():
                each.unlink()
        if path.is_dir():
            shutil.rmtree(path)
        path.parent.mkdir(parents=True, exist_ok=True)
        return path


def play(
    site: Any, storage: Storage, kind: str, home: Path, history: list[tuple[Any, ...]], **values: Any
) -> None:
    """Let a history happen on a new remote and in a new folder, and bring back each of its backups."""
    number = len(list(home.iterdir()))
    media = Media(home / str(number) / "media")
    remote = storage.remote(kind)
    site.MEDIA_ROOT = str(media.folder)
    site.DJANGO_RCLONE = {
        "RCLONE_BINARY": storage.binary,
        "MEDIA_MAX_DELETE_PERCENT": 100,
        "STALL_TIMEOUT": 60,
        **remote.settings,
        **values,
    }
    taken: dict[str, dict[str, tuple[bytes, int]]] = {}
    for operation, *arguments in [*history, ("backup",)]:
        if operation == "backup":
            run = api.backup_media()
            taken[Path(run.path).name] = media.files()
        else:
            getattr(media, operation)(*arguments)
    assert {each.name for each in api.list_media()} == set(taken)
    # By the order in which they were taken: of two of one second, the later one's name sorts first. The files are as
    # the newest has them, which comes last.
    for name in [*reversed(taken)][1:]:
        api.restore_media(name, exact=True)
        assert media.files() == taken[name]
    # Back to the future: over what the oldest left behind.
    api.restore_media(exact=True)
    assert media.files() == list(taken.values())[-1]
    assert api.plan_restore_media().difference.is_empty
    others = {path.name for path in media.folder.parent.iterdir()} - {"media"}
    assert len(others) <= 1  # what the last restore has kept for an undo
    if others:
        api.undo_restore_media()
        api.undo_restore_media()
        assert media.files() == list(taken.values())[-1]


def few(examples: int) -> Any:
    """Play that many examples, none of them for too long to be healthy."""
    return settings(
        max_examples=examples,
        deadline=None,
        suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
    )


EVENTFUL = [
    *(("write", name, name.encode()) for name in (*NAMES[:11], NAMES[-3], NAMES[-1])),
    ("write", "uploads", b"a file"),
    ("write", "empty", b""),
    ("backup",),
    ("write", "a.jpg", b"A.JPG"),
    ("older", "#hash", b"older"),
    ("rename", "-rf", "deep/1/moved"),
    ("rename", "Stra\u00dfe/\u00e9.jpg", "Stra\u00dfe/e\u0301.jpg"),
    ("delete", " leading and trailing "),
    ("write", "uploads/file/inner", b"in a folder"),
    ("backup",),
    ("write", "uploads/file", b"a file again"),
    ("write", " leading and trailing ", b"back"),
    ("delete", "deep"),
]
"""With a change of the same size, a file that becomes a folder, and a folder that becomes a file."""


def served(kind: str, history: list[tuple[Any, ...]]) -> list[tuple[Any, ...]]:
    """Return what of a history the servers of rclone understand: not every letter."""
    strange = {"s3": "\n\r\t", "webdav": "\\"}.get(kind, "")
    return [
        each
        for each in history
        if not any(set(strange) & set(name) for name in each[1:] if isinstance(name, str))
    ]


@pytest.mark.slow
@pytest.mark.parametrize("kind", sampled(["local", "crypt", "s3", "webdav"], "webdav"))
@pytest.mark.django_db(transaction=True)
def test_backup_brings_back_its_files_after_all_that_can_happen(settings, storage, tmp_path, kind):
    play(settings, storage, kind, tmp_path, served(kind, EVENTFUL))


# WebDAV has the eventful history, and a local remote all that is not about remotes.
@pytest.mark.parametrize("kind", sampled(KINDS, "crypt", "s3", "sftp"))
@pytest.mark.django_db(transaction=True)
def test_files_and_their_versions_come_back_from_every_kind_of_remote(settings, storage, tmp_path, kind):
    media, remote = Media(tmp_path / "media"), storage.remote(kind)
    settings.MEDIA_ROOT = str(media.folder)
    settings.DJANGO_RCLONE = {
        "RCLONE_BINARY": storage.binary,
        "MEDIA_MAX_DELETE_PERCENT": 100,
        **remote.settings,
    }
    media.write("Größe/日本 🙂.png", b"one")
    media.write("deep/gone", b"two")
    wanted, run = media.files(), api.backup_media()
    media.write("Größe/日本 🙂.png", b"ONE")
    media.delete("deep/gone")
    api.backup_media()
    assert remote.read("media/Größe/日本 🙂.png") == b"ONE"
    api.restore_media(Path(run.path).name, exact=True)
    assert media.files() == wanted


@pytest.mark.slow
@pytest.mark.soak
@pytest.mark.django_db(transaction=True)
@few(2)
@given(history=short_histories)
def test_every_backup_of_a_local_history_is_restored_exactly(settings, storage, tmp_path, history):
    play(settings, storage, "local", tmp_path, history)


@pytest.mark.slow
@pytest.mark.soak
@pytest.mark.parametrize("kind", ["local", "crypt", "s3", "webdav"])
@pytest.mark.django_db(transaction=True)
@few(5)
@given(history=histories)
def test_every_backup_of_a_history_anywhere_is_restored_exactly(settings, storage, tmp_path, kind, history):
    play(settings, storage, kind, tmp_path, served(kind, history))


@pytest.mark.slow
@pytest.mark.parametrize("doubt", sampled(["the newest was deleted", "a run died"], "the newest was deleted"))
@pytest.mark.django_db(transaction=True)
def test_the_last_list_is_not_believed_where_the_mirror_may_differ(settings, storage, tmp_path, doubt):
    """On a remote that keeps no times, rclone compares sizes alone; all files here are of the same size."""
    media, remote = Media(tmp_path / "media"), storage.remote("webdav")
    settings.MEDIA_ROOT = str(media.folder)
    settings.DJANGO_RCLONE = {"RCLONE_BINARY": storage.binary, **remote.settings}
    path = media.folder / "a.jpg"
    if doubt == "a run died":
        api.backup_media()
        remote.write("media/a.jpg", b"two")
        media.write("a.jpg", b"one")
    else:
        media.write("a.jpg", b"one")
        time = path.stat().st_mtime_ns
        files = {name: content for name, (content, _time) in media.files().items()}
        put_media(remote, files, lines=listed(media.folder), trusted=0)
        media.write("a.jpg", b"two")
        api.delete_backups([api.backup_media().path])
        media.write("a.jpg", b"one")
        os.utime(path, ns=(time, time))
    api.backup_media()
    assert remote.read("media/a.jpg") == b"one"
