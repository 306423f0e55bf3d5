"""A media restore can be undone: what it replaced or removed was kept beside the media files."""

import os
import shutil
import stat
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from django.core.management import call_command

from django_rclone_admin import api, clock
from django_rclone_admin.exceptions import BackupError, BackupNotFound, RestoreRefused
from django_rclone_admin.jobs import media_kept
from django_rclone_admin.models.runs import BackupRun, Kind, Status
from tests.support.media import Media

pytestmark = pytest.mark.django_db(transaction=True)

TWO = {"a": b"one", "b": b"two"}
"""Files of which several tests share a backup."""


@pytest.fixture
def restored(media_site) -> dict[str, bytes]:
    """The files before a restore that replaced, removed and added some, and put a file in the place of a folder."""
    media_site.write({"added": b"one", "changed": b"two", "deep/1/added": b"three", "was-file": b"four"})
    media_site.have_backup()
    for each in ("added", "deep/1/added", "was-file"):
        (media_site.folder / each).unlink()
    media_site.write({"changed": b"changed since", "since/1": b"then", "was-file/inner": b"a folder now"})
    (media_site.folder / "changed").chmod(0o600)
    before = media_site.read()
    api.restore_media(exact=True)
    assert "since/1" not in media_site.read()
    return before


def kept_beside(media: Media) -> list[Path]:
    return [path for path in media.folder.parent.iterdir() if "before-restore" in path.name]


def times(media: Media) -> dict[str, int]:
    return {str(path): path.stat().st_mtime_ns for path in media.folder.rglob("*") if path.is_file()}


def test_undo_brings_every_file_back_and_a_second_one_the_restored_files(media_site, restored):
    """Each time, only the last restore can be undone."""
    files, stamps = media_site.read(), times(media_site)
    first = BackupRun.objects.get(kind=Kind.MEDIA_RESTORE)
    assert api.is_undoable(first)
    assert not api.is_undo(first)
    run = api.undo_restore_media()
    assert not api.is_undoable(first)
    assert api.is_undoable(run)
    assert api.is_undo(run)
    assert api.undone_run(run) == first
    assert media_site.read() == restored
    assert stat.S_IMODE((media_site.folder / "changed").stat().st_mode) == 0o600
    assert run.status == Status.SUCCEEDED
    assert run.message == "Undone: 3 files restored, 3 files removed."
    assert BackupRun.objects.filter(kind=Kind.MEDIA_RESTORE).count() == 2
    assert not (media_site.folder / "deep").exists()
    api.undo_restore_media()
    assert media_site.read() == files
    assert times(media_site) == stamps
    assert len(kept_beside(media_site)) == 1


def test_what_was_written_since_the_restore_is_kept_too(media_site, restored):
    media_site.write({"changed": b"an edit", "added": b"an edit of what came", "upload": b"new"})
    run = api.undo_restore_media()
    assert media_site.read() == {**restored, "added": b"an edit of what came", "upload": b"new"}
    assert "'added' was changed since the restore, and stays." in run.log
    api.undo_restore_media()
    assert media_site.read()["changed"] == b"an edit"


def test_undo_that_fails_changes_nothing_and_can_be_tried_again(media_site, restored):
    before = media_site.read()
    (media_site.folder / "since").symlink_to(media_site.folder.parent)
    with pytest.raises(RestoreRefused, match="symbolic link"):
        api.undo_restore_media()
    assert media_site.read() == before
    (media_site.folder / "since").unlink()
    api.undo_restore_media()
    assert media_site.read() == restored


def test_kept_files_that_somebody_removed_are_missed_before_anything_changes(media_site, restored):
    before = media_site.read()
    [store] = kept_beside(media_site)
    shutil.rmtree(store / "replaced")
    with pytest.raises(BackupError, match="The kept files can't be read"):
        api.undo_restore_media()
    assert media_site.read() == before


def test_nothing_to_undo(media_site):
    with pytest.raises(BackupNotFound, match="nothing to undo for the media files"):
        api.undo_restore_media()
    media_site.have_backup()
    run = api.restore_media()  # which has nothing to change
    assert not api.is_undoable(run)
    with pytest.raises(BackupNotFound):
        api.undo_restore_media()
    assert kept_beside(media_site) == []


def test_nothing_is_kept_where_the_settings_want_no_safety_backup(media_site):
    media_site.write(TWO)
    media_site.have_backup()
    media_site.write({"a": b"two"})
    media_site.configure(SAFETY_BACKUP=False)
    assert not api.keeps_replaced_media()
    assert not api.is_undoable(api.restore_media())
    assert kept_beside(media_site) == []


def test_kept_files_go_after_a_week(media_site, restored, monkeypatch):
    """Time is what can't be had in a test."""
    run = BackupRun.objects.get(kind=Kind.MEDIA_RESTORE)
    monkeypatch.setattr(clock, "now", lambda: datetime.now(UTC) + timedelta(days=6))
    media_kept.discard_old(media_site.folder)
    assert api.is_undoable(run)
    monkeypatch.setattr(clock, "now", lambda: datetime.now(UTC) + timedelta(days=8))
    media_site.back_up()
    assert not api.is_undoable(run)
    assert kept_beside(media_site) == []


def test_kept_files_are_private_and_in_no_backup(media_site, restored):
    [store] = kept_beside(media_site)
    assert stat.S_IMODE(store.stat().st_mode) == 0o700
    store.rename(media_site.folder / store.name)
    media_site.back_up()
    assert not [name for name in media_site.in_mirror() if "before-restore" in name]


@pytest.mark.soak  # as the undo of many
def test_undo_of_a_single_file(media_site):
    media_site.write(TWO)
    name = media_site.have_backup()
    media_site.write({"a": b"ONE", "b": b"TWO"})
    api.restore_media(name, files=["a"])
    assert media_site.read() == {"always": b"there", "a": b"one", "b": b"TWO"}
    api.undo_restore_media()
    assert media_site.read() == {"always": b"there", "a": b"ONE", "b": b"TWO"}


def test_command_says_what_comes_back_and_undoes(media_site, restored, capsys):
    files = media_site.read()
    call_command("mediarestore", undo=True, dry_run=True, interactive=False)
    assert "Files to restore: 3, to remove: 3." in capsys.readouterr().out
    assert media_site.read() == files
    call_command("mediarestore", undo=True, interactive=False)
    assert media_site.read() == restored


@pytest.mark.soak  # the first test has the permissions, which come back by the same rename
@pytest.mark.skipif(os.geteuid() != 0, reason="only root may give files away")
def test_owner_comes_back(media_site):
    media_site.write(TWO)
    media_site.have_backup()
    os.chown(media_site.folder / "a", 33, 34)
    os.chown(media_site.folder / "b", 33, 34)
    media_site.write({"a": b"two"})
    (media_site.folder / "b").unlink()
    api.restore_media()
    api.undo_restore_media()
    status = (media_site.folder / "a").stat()
    assert (status.st_uid, status.st_gid) == (33, 34)
    assert not (media_site.folder / "b").exists()
