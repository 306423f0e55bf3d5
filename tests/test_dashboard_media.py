"""Media backups in the admin: listed, pinned, deleted."""

from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from django.urls import reverse

from django_rclone_admin import api
from django_rclone_admin.models import Backup, BackupRun, Kind, Status
from tests.support.backups import DAY, Backups
from tests.test_dashboard_pages import get, logged, post, url

pytestmark = pytest.mark.django_db(databases=["default", "analytics"])
with_commits = pytest.mark.django_db(databases=["default", "analytics"], transaction=True)


@pytest.fixture
def media(settings: Any, tmp_path: Path) -> Path:
    """The media folder of this process's site."""
    folder = tmp_path / "uploads"
    folder.mkdir()
    settings.MEDIA_ROOT = str(folder)
    return folder


def take(media: Path, **files: str | None) -> str:
    """Write files, or remove those that are ``None``, back the media up and return the path of the backup."""
    for name, content in files.items():
        if content is None:
            (media / name).unlink()
        else:
            (media / name).write_text(content)
    return api.backup_media(label="taken").path


def versions(backups: Backups) -> list[str]:
    """Return what the runs replaced, by the names of the files."""
    names = backups.remote.names("media-versions")
    return sorted(Path(each).name for each in names if each.count("/") > 1)


# -- listed -------------------------------------------------------------------------------------------------------------


def test_media_backups_are_rows_of_the_list(admin_client, backups, media):
    backups.put(DAY - timedelta(days=1))
    path = backups.put_media(DAY, {"a.jpg": bytes(1500), "b.jpg": bytes(548)}, pinned=True, label="holiday")
    unsealed = backups.put_media(DAY - timedelta(days=2), manifest=False)
    backups.remote.write("media-versions/2026-11-20-083000-000001/a.jpg", b"replaced")
    backups.remote.write("media-versions/photos-2026-11-20-083000.jsonl.zst", b"not ours")
    text = get(admin_client, url("backup_changelist")).text
    assert "3 backups" in text
    assert f"{path.rpartition('/')[2]} ★ pinned holiday media files" in text
    assert "2.0 KB 2 files complete" in text
    assert get(admin_client, url("backup_changelist"), o="4.1", q="media").text.count("jsonl.zst") == 2
    assert "1 backup " in get(admin_client, url("backup_changelist"), kind__exact="database").text
    page = get(admin_client, url("backup_changelist"), kind__exact="media")
    assert "2 backups" in page.text
    assert "?database=media" not in " ".join(page.links())
    page = get(admin_client, url("backup_change", path))
    for fact in ("2 files", "2.0 KB", "the retention keeps it", "holiday", "List of the files"):
        assert fact in page.text
    for fact in ("tables", "Server version"):
        assert fact not in page.text
    for each in (path, unsealed):
        for name in ("backup_change", "backup_history", "backup_delete", "backup_download"):
            assert admin_client.get(url(name, each)).status_code == 200
    assert Backup.objects.get(state="legacy").is_restorable is False


def test_a_database_that_is_called_media_is_another_thing(admin_client, backups, media, settings):
    backups.put(database="media")
    backups.put_media()
    text = get(admin_client, url("backup_changelist"), database="media").text
    assert "1 backup " in text
    assert "jsonl" not in text


def test_hostile_numbers_of_files_make_damaged_backups(admin_client, backups, media):
    for days, values in enumerate(({"files": -1}, {"files_size": 10**400}, {"files": 2**80})):
        backups.put_media(DAY - timedelta(days=days), **values)
    assert set(Backup.objects.values_list("state", flat=True)) == {"damaged"}
    get(admin_client, url("backup_changelist"))


# -- pinned and deleted -------------------------------------------------------------------------------------------------


@with_commits
def test_a_pinned_media_backup_is_kept_by_the_retention(admin_client, backups, media):
    backups.configure(DB_CLEANUP_KEEP=1)
    paths = [take(media, file=str(number)) for number in range(3)]
    values = {"action": "pin_selected", "_selected_action": paths[0]}
    assert "Pinned 1 backup." in post(admin_client, url("backup_changelist"), **values).text
    assert [each.keep for each in api.prune_media()] == [True, False, True]
    assert sorted(Backup.objects.values_list("pk", flat=True)) == [paths[0], paths[2]]
    assert "Unpinned 1 backup." in post(admin_client, url("backup_pin", paths[0])).text
    api.prune_media()
    assert Backup.objects.get().path == paths[2]


@with_commits
def test_with_a_media_backup_go_the_versions_that_only_it_needs(backups, media):
    paths = [
        take(media, a="one", b="one"),
        take(media, a="two", b=None),
        take(media, a="three"),
    ]
    assert versions(backups) == ["a", "a", "b"]
    assert Backup.objects.get(path=paths[1]).delete() == (1, {"django_rclone_admin.Backup": 1})
    assert versions(backups) == ["a", "b"]
    api.restore_media(paths[0], exact=True)
    assert {each.name: each.read_text() for each in media.iterdir()} == {"a": "one", "b": "one"}
    run = BackupRun.objects.get(kind=Kind.PRUNE)
    assert (run.status, run.database, run.lock) == (Status.SUCCEEDED, "media", None)
    Backup.objects.filter(kind="media").delete()
    assert not Backup.objects.exists()
    assert backups.remote.names("media") == ["media/a"]


@with_commits
def test_versions_stay_while_another_media_backup_is_damaged(backups, media):
    paths = [take(media, a=str(number)) for number in range(3)]
    backups.remote.write(paths[0], b"cut")
    Backup.objects.filter(pk=paths[1]).delete()
    assert versions(backups) == ["a", "a"]
    Backup.objects.filter(pk=paths[0]).delete()
    assert versions(backups) == []


@with_commits
def test_a_deletion_in_the_admin_does_not_wait_for_the_versions(admin_client, backups, media):
    paths = [take(media, a=str(number)) for number in range(2)]
    backups.configure(EXECUTOR="tests.test_dashboard_permissions.IdleExecutor")
    assert "deleted successfully" in post(admin_client, url("backup_delete", paths[0]), post="yes").text
    assert [each.path for each in Backup.objects.all()] == [paths[1]]
    assert versions(backups) == ["a"]
    run = BackupRun.objects.get(kind=Kind.PRUNE)
    assert (run.status, run.requested_by) == (Status.QUEUED, "admin")
    # Another run holds the media: what it would remove stays until the next clean-up.
    values = {"action": "delete_selected", "_selected_action": paths[1], "post": "yes"}
    assert "Successfully deleted 1 backup" in post(admin_client, url("backup_changelist"), **values).text
    assert api.carry_out_queued(str(run.pk))
    assert BackupRun.objects.get(kind=Kind.PRUNE).status == Status.SUCCEEDED
    assert len(logged()) == 2
    get(admin_client, reverse("admin:django_rclone_admin_backuprun_change", args=[run.pk]))
