"""A media restore that fails leaves what it found, and what others wrote meanwhile is never lost."""

import os
import stat
from collections.abc import Callable
from pathlib import Path

import pytest

from django_rclone_admin import api
from django_rclone_admin.exceptions import BackupError, LocalFileError, RestoreRefused
from django_rclone_admin.models.runs import BackupRun
from tests.support.matrix import sampled
from tests.support.media import Media, read

pytestmark = pytest.mark.django_db(transaction=True)

VISITOR = """
import pathlib
if {when}:
    path = pathlib.Path({folder!r}) / {name!r}
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(b"an upload")
"""
BY_COPY = "'copy' in arguments"


def visit(media: Media, folder: Path, name: str, *, then_fail: bool = False) -> None:
    """Have a visitor upload a file while a restore copies, and let that fail perhaps."""
    body = VISITOR.format(when=BY_COPY, folder=str(media.folder), name=name)
    if then_fail:
        body += "    status = start().wait()\n    print('Killed', file=sys.stderr)\n    sys.exit(1)\n"
    media.wrap(folder, body)


def leftovers(media: Media) -> list[Path]:
    return [path for path in media.folder.parent.iterdir() if path != media.folder]


def strangers(left: Path) -> dict[str, bytes]:
    """Return what others wrote meanwhile; beside it lies what is kept for an undo."""
    return {name: content for name, content in read(left).items() if name.startswith("written-meanwhile")}


WRITTEN = {"added": b"one", "changed": b"two", "deep/1/added": b"three", "was-file": b"four"}
"""Files that are backed up; the tests of the undo have the same, and with these a copy of the same backup."""

BACKED_UP = {"always": b"there", **WRITTEN}


def spoilt(media: Media) -> str:
    """Have a backup, then change everything; return the name of the backup."""
    media.write(WRITTEN)
    name = media.have_backup()
    (media.folder / "added").unlink()
    (media.folder / "deep/1/added").unlink()
    (media.folder / "was-file").unlink()
    media.write({"changed": b"changed since", "since": b"then", "was-file/inner": b"a folder now"})
    return name


@pytest.mark.parametrize("name", sampled(["added", "deep/1/added", "changed", "elsewhere"], "changed"))
def test_upload_during_a_restore_that_fails_stays(media_site, tmp_path, name):
    spoilt(media_site)
    before = media_site.read()
    visit(media_site, tmp_path / "bin", name, then_fail=True)
    with pytest.raises(BackupError, match="Killed"):
        api.restore_media(exact=True)
    assert media_site.read() == {**before, name: b"an upload"}
    assert leftovers(media_site) == []


@pytest.mark.in_turns("name")
@pytest.mark.parametrize("name", ["added", "deep/1/added", "changed"])
def test_upload_under_a_path_that_is_restored_is_kept(media_site, tmp_path, name):
    spoilt(media_site)
    visit(media_site, tmp_path / "bin", name)
    run = api.restore_media(exact=True)
    assert media_site.read() == BACKED_UP
    [left] = leftovers(media_site)
    assert strangers(left) == {f"written-meanwhile/{name}": b"an upload"}
    assert f"A file that others wrote meanwhile was replaced: {name!r}." in run.log
    assert str(left) in run.log


def test_upload_that_is_not_in_the_backup_is_not_removed(media_site, tmp_path):
    spoilt(media_site)
    visit(media_site, tmp_path / "bin", "since")
    run = api.restore_media(exact=True)
    assert media_site.read() == {**BACKED_UP, "since": b"an upload"}
    assert "'since' was changed meanwhile, and stays" in run.log


FAILURES = {
    "the remote fails": ("rclone", "Killed"),
    "a folder that is no longer empty": ("folder", "'was-file' has to be restored as a file"),
    "a link": ("link", "symbolic link"),
}


@pytest.mark.in_turns("place")
@pytest.mark.parametrize("place", ["absolute", "relative", "source", "relative source", "alias"])
# The others are those of test_upload_during_a_restore_that_fails_stays and test_link_made_after_the_check.
@pytest.mark.parametrize("failure", sampled(FAILURES, "a folder that is no longer empty"))
def test_failed_restore_changes_nothing(media_site, tmp_path, monkeypatch, place, failure):
    spoilt(media_site)
    monkeypatch.chdir(tmp_path)
    relative = os.path.relpath(media_site.folder, tmp_path)
    if place == "relative":
        media_site.settings.MEDIA_ROOT = relative
    elif place != "absolute":
        source = {"source": str(media_site.folder), "relative source": f"./{relative}", "alias": "uploads:"}[
            place
        ]
        env = media_site.settings.DJANGO_RCLONE.get("RCLONE_ENV", {})
        env = {
            **env,
            "RCLONE_CONFIG_UPLOADS_TYPE": "alias",
            "RCLONE_CONFIG_UPLOADS_REMOTE": str(media_site.folder),
        }
        media_site.configure(MEDIA_SOURCE=source, RCLONE_ENV=env)
    kind, message = FAILURES[failure]
    before = media_site.read()
    if kind == "rclone":
        visit(media_site, tmp_path / "bin", "elsewhere", then_fail=True)
        before["elsewhere"] = b"an upload"
    elif kind == "folder":
        visit(media_site, tmp_path / "bin", "was-file/other")
        before["was-file/other"] = b"an upload"
    else:
        outside = tmp_path / "outside"
        outside.mkdir()
        body = f"if {BY_COPY}:\n    import pathlib\n    path = pathlib.Path({str(media_site.folder / 'deep')!r})\n"
        body += f"    (path / '1').rmdir(); path.rmdir(); path.symlink_to({str(outside)!r})\n"
        media_site.wrap(tmp_path / "bin", body)
    with pytest.raises(BackupError, match=message):
        api.restore_media(exact=True)
    assert media_site.read() == before
    assert leftovers(media_site) == []
    if kind == "link":
        assert list(outside.iterdir()) == []
    media_site.unwrap()
    if kind != "link":
        api.restore_media(exact=kind == "rclone")
        assert media_site.read()["changed"] == b"two"


@pytest.mark.parametrize("name", sampled(["changed", "deep/1", "deep"], "deep/1"))
def test_link_made_after_the_check_is_not_written_through(media_site, tmp_path, name):
    spoilt(media_site)
    outside = tmp_path / "outside"
    (outside / "1").mkdir(parents=True)
    for each in ("private", "added", "1/added"):
        (outside / each).write_bytes(b"private")
    before = read(outside)
    target = outside / "private" if name == "changed" else outside
    body = f"""
import pathlib, shutil
if {BY_COPY}:
    path = pathlib.Path({str(media_site.folder / name)!r})
    shutil.rmtree(path) if path.is_dir() else path.unlink()
    path.symlink_to({str(target)!r})
"""
    media_site.wrap(tmp_path / "bin", body)
    with pytest.raises(RestoreRefused, match="symbolic link"):
        api.restore_media()
    assert read(outside) == before
    assert (media_site.folder / name).is_symlink()
    assert (media_site.folder / "since").exists()
    assert not (media_site.folder / "added").exists()


def test_link_is_refused_before_anything_is_copied(media_site, tmp_path):
    name = spoilt(media_site)
    (media_site.folder / "changed").unlink()
    (media_site.folder / "changed").symlink_to(tmp_path)
    with pytest.raises(RestoreRefused, match="symbolic link where 'changed' has to be restored"):
        api.plan_restore_media(name)


def test_what_is_set_aside_is_private(media_site, tmp_path):
    spoilt(media_site)
    (media_site.folder).chmod(0o700)
    seen = tmp_path / "seen"
    body = f"""
import pathlib, stat
if {BY_COPY}:
    [folder] = [each for each in pathlib.Path({str(media_site.folder.parent)!r}).iterdir() if 'before' in each.name]
    pathlib.Path({str(seen)!r}).write_text(oct(stat.S_IMODE(folder.stat().st_mode)))
"""
    media_site.wrap(tmp_path / "bin", body)
    api.restore_media()
    assert seen.read_text() == "0o700"


def test_part_that_can_not_be_put_back_is_kept_and_named(media_site, tmp_path, monkeypatch):
    """The visitor comes after a file was put in its place, when no program of ours runs that a test could hold."""
    from django_rclone_admin.core.exchange import Exchange

    spoilt(media_site)
    put = Exchange.put

    def put_and_fail(self: Exchange, *args: object, **values: object) -> None:
        put(self, *args, **values)
        if (media_site.folder / "changed").read_bytes() == b"two":
            media_site.write({"changed": b"an upload"})
            raise RestoreRefused("Killed")

    monkeypatch.setattr(Exchange, "put", put_and_fail)
    with pytest.raises(RestoreRefused, match="Killed") as caught:
        api.restore_media()
    assert media_site.read()["changed"] == b"an upload"
    [left] = leftovers(media_site)
    assert read(left)["replaced/changed"] == b"changed since"
    assert str(left) in caught.value.hint
    assert "Nothing was changed" not in caught.value.hint


def test_restore_into_storage_that_fails_says_what_is_true(media_site, tmp_path):
    """Where no local folder can keep what is replaced."""
    source = tmp_path / "bucket"
    env = {**media_site.settings.DJANGO_RCLONE.get("RCLONE_ENV", {}), "RCLONE_CONFIG_UP_TYPE": "crypt"}
    env |= {"RCLONE_CONFIG_UP_REMOTE": str(source), "RCLONE_CONFIG_UP_PASSWORD": "aFv9_NnV8_7Vl1Y9mK4tNA"}
    env |= {"RCLONE_CONFIG_UP_FILENAME_ENCRYPTION": "off"}
    media_site.configure(MEDIA_SOURCE=str(media_site.folder), RCLONE_ENV=env)
    media_site.write({"a": b"one", "b": b"two"})
    media_site.back_up()
    media_site.configure(MEDIA_SOURCE="UP:")
    visit(media_site, tmp_path / "bin", "elsewhere", then_fail=True)
    with pytest.raises(BackupError) as caught:
        api.restore_media()
    assert "Nothing was changed" not in caught.value.hint
    assert BackupRun.objects.latest("created_at").hint == caught.value.hint
    media_site.unwrap()
    api.restore_media()
    assert {path.name for path in source.rglob("*") if path.is_file()} == {"always.bin", "a.bin", "b.bin"}


def lose_some(media: Media, prepare: Callable[[Path], None] = lambda path: None) -> None:
    """Have a backup; then change a file, and lose one of a folder and all of another.

    :param prepare: is called with each path before the loss.
    """
    media.write({"2025/a": b"one", "2025/b": b"two", "2026/c": b"three"})
    media.have_backup()
    for path in media.folder.rglob("*"):
        prepare(path)
    media.write({"2025/a": b"changed"})
    (media.folder / "2025/b").unlink()
    (media.folder / "2026/c").unlink()
    (media.folder / "2026").rmdir()


def test_modes_are_kept_and_new_files_are_like_the_others(media_site):
    lose_some(media_site, lambda path: path.chmod(0o2770 if path.is_dir() else 0o600))
    api.restore_media()
    modes = {
        str(path.relative_to(media_site.folder)): oct(stat.S_IMODE(path.stat().st_mode))
        for path in media_site.folder.rglob("2*")
    }
    assert modes == {"2025": "0o2770", "2026": "0o2770"}
    assert {oct(stat.S_IMODE(path.stat().st_mode)) for path in media_site.folder.rglob("?")} == {"0o600"}


@pytest.mark.soak  # as test_settings_go_before_neighbours
def test_settings_give_new_files_their_permissions(media_site):
    lose_some(media_site)
    media_site.settings.FILE_UPLOAD_PERMISSIONS = 0o640
    media_site.settings.FILE_UPLOAD_DIRECTORY_PERMISSIONS = 0o750
    api.restore_media()
    assert stat.S_IMODE((media_site.folder / "2026/c").stat().st_mode) == 0o640
    assert stat.S_IMODE((media_site.folder / "2026").stat().st_mode) == 0o750


@pytest.mark.soak  # as test_replaced_file_keeps_its_permissions_and_owner
@pytest.mark.skipif(os.geteuid() != 0, reason="only root may give files away")
def test_owner_is_kept_and_new_files_have_that_of_the_others(media_site):
    lose_some(media_site, lambda path: os.chown(path, 33, 34))
    api.restore_media()
    assert {(path.stat().st_uid, path.stat().st_gid) for path in media_site.folder.rglob("*")} == {(33, 34)}


def test_folder_beside_is_used_only_on_the_same_disk(media_site, tmp_path, monkeypatch):
    """A media folder that is a mount of its own: a mount can't be made in a test."""
    from django_rclone_admin.jobs.media_rollback import MediaRollback

    monkeypatch.setattr(MediaRollback, "_places", lambda self: [self._folder, self._folder.parent])
    spoilt(media_site)
    visit(media_site, tmp_path / "bin", "added")
    api.restore_media(exact=True)
    assert leftovers(media_site) == []
    [left] = [path for path in media_site.folder.iterdir() if "before" in path.name]
    media_site.unwrap()
    api.restore_media(exact=True)
    assert strangers(left) == {"written-meanwhile/added": b"an upload"}


def test_file_that_can_not_be_written_is_named(media_site, tmp_path, monkeypatch):
    """A disk that is full, which can't be had in a test."""
    spoilt(media_site)
    before = media_site.read()

    def full(*_args: object, **_values: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("django_rclone_admin.core.exchange.Exchange.put", full)
    with pytest.raises(LocalFileError, match=r"uploads/\w.* can't be written: No space left on device"):
        api.restore_media(exact=True)
    assert media_site.read() == before
