"""Media backups in the admin: listed, judged, run, restored, pinned, deleted."""

import os
import re
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from django_rclone_admin import api
from django_rclone_admin.core.control import Control
from django_rclone_admin.jobs.job import Job
from django_rclone_admin.media import STAMP
from django_rclone_admin.models import Backup, BackupRun, Kind, Status
from tests.admin.test_dashboard_pages import get, logged, post, url
from tests.support import programs
from tests.support.backups import DAY, Backups
from tests.support.html import read_page

pytestmark = pytest.mark.django_db(databases=["default", "analytics"])
with_commits = pytest.mark.django_db(databases=["default", "analytics"], transaction=True)


@pytest.fixture
def media(settings: Any, tmp_path: Path) -> Path:
    """The media folder of this process's site."""
    folder = tmp_path / "uploads"
    folder.mkdir()
    settings.MEDIA_ROOT = str(folder)
    return folder


def write(media: Path, **files: str) -> None:
    """Write files into the media folder."""
    for name, content in files.items():
        (media / name).parent.mkdir(parents=True, exist_ok=True)
        (media / name).write_text(content)


def had(backups: Backups, hours: int = 0, **files: str) -> str:
    """Have a media backup of these files, which nobody had to take, and return its path.

    What the one before had, and this one has no more or otherwise, is among the versions.
    """
    taken_at = DAY + timedelta(hours=hours)
    mirror = backups.remote.root / "media"
    replaced = backups.remote.root / "media-versions" / f"{taken_at:{STAMP}}"
    for name, content in contents(mirror).items():
        if content != files.get(name):
            (replaced / name).parent.mkdir(parents=True, exist_ok=True)
            (mirror / name).rename(replaced / name)
    lines = []
    for name, content in files.items():
        if not (mirror / name).exists():
            backups.remote.write(f"media/{name}", content.encode())
            os.utime(mirror / name, (taken_at.timestamp(),) * 2)
        time = datetime.fromtimestamp((mirror / name).stat().st_mtime, UTC)
        lines.append({"path": name, "size": len(content), "time": time.isoformat()})
    content = {name: content.encode() for name, content in files.items()}
    return backups.put_media(taken_at, content, lines=lines, mirrored=False)


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
    assert "media files pinned holiday" in text
    assert "2.0 KB 2 files" in text
    assert "2 backups" in get(admin_client, url("backup_changelist"), o="3.1", q="media").text
    listed = get(admin_client, url("backup_changelist"), kind__exact="database").text
    assert re.search(r"\b1 backup\b", listed)
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
    assert re.search(r"\b1 backup\b", text)
    assert "jsonl" not in text


def test_hostile_numbers_of_files_make_damaged_backups(admin_client, backups, media):
    for days, values in enumerate(({"files": -1}, {"files_size": 10**400}, {"files": 2**80})):
        backups.put_media(DAY - timedelta(days=days), **values)
    assert set(Backup.objects.values_list("state", flat=True)) == {"damaged"}
    get(admin_client, url("backup_changelist"))


# -- judged and run -----------------------------------------------------------------------------------------------------


def card(client: Client) -> str:
    """Return what the card of the media files says, or nothing when there is none."""
    return get(client, url("backup_health")).text.partition(" media files ")[2]


def test_the_media_files_have_a_card_when_there_is_something_to_lose(admin_client, backups, media):
    for database in ("default", "analytics"):
        backups.put(timezone.now(), database=database)
    assert "Protected." in get(admin_client, url("backup_health")).text
    assert card(admin_client) == ""
    (media / "photo.jpg").write_text("a photo")
    assert card(admin_client).startswith("at risk No backup yet Back it up now")
    assert "media files: There is no backup." in get(admin_client, url("backup_health")).text
    backups.configure(HEALTH={"media": False})
    assert card(admin_client) == ""
    backups.configure(HEALTH={})
    backups.put_media(timezone.now() - timedelta(hours=30), {"a": bytes(1000)})
    api.refresh()
    assert "1 file at risk 1 day ago 1000 bytes The last backup is" in card(admin_client)
    backups.configure(HEALTH={"media": {"max_age_hours": 50}})
    assert card(admin_client).startswith("1 file protected 1 day ago")
    text = get(admin_client, url("backup_health")).text
    assert "2 databases and the media files, each backed up less than 31 hours ago." in text
    backups.put_media(timezone.now(), {"a": bytes(10)})
    api.refresh()
    assert "1 file needs attention just now 10 bytes" in card(admin_client)
    assert "much smaller than the previous one" in card(admin_client)
    backups.put_media(timezone.now() + timedelta(minutes=1), {})
    api.refresh()
    assert "too small" not in card(admin_client)
    backups.remote.remove(f"{backups.paths.pop()}.manifest.json")
    # One that can't be restored does not make it better.
    backups.put_media(timezone.now() + timedelta(hours=1), manifest=False)
    api.refresh()
    assert "1 file needs attention just now 10 bytes" in card(admin_client)


def test_media_in_object_storage_are_taken_for_granted(admin_client, backups, media):
    backups.configure(MEDIA_SOURCE=":memory:uploads")
    assert card(admin_client).startswith("at risk")


@with_commits
def test_media_are_backed_up_with_the_button_and_the_failure_is_seen(admin_client, backups, media):
    backups.configure(DB_CLEANUP_KEEP=1)
    had(backups, **{"photo.jpg": "one"})
    (media / "photo.jpg").write_bytes(bytes(2000))
    page = post(admin_client, url("backup_run_now"), media="on", label="before the move")
    assert "Backup of “media files” started." in page.text
    assert "?database=" not in get(admin_client, url("backuprun_changelist")).links()
    assert "Backup of the media files succeeded Backed up 1 file, 2.0 KB." in page.text
    assert "2.0 KB in the backup, 2.0 KB of it copied" in page.text
    assert Backup.objects.count() == 2  # nothing is cleaned up unless that is chosen
    backup = Backup.objects.get(label="before the move")
    assert (backup.kind, backup.label, backup.files, backup.size) == ("media", "before the move", 1, 2000)
    assert card(admin_client).startswith("1 file protected just now 2.0 KB")
    (media / "photo.jpg").unlink()
    page = post(admin_client, url("backup_run_now"), media="on")
    assert "There are no media files, but the backup has 1" in page.text
    assert card(admin_client).startswith("1 file needs attention just now")
    assert "The last run did not succeed." in card(admin_client)


@with_commits
def test_site_without_media_files_is_not_asked_about_them(admin_client, settings, backups):
    assert "Media files" in get(admin_client, url("backup_run_now")).text
    settings.MEDIA_ROOT = ""
    assert "Media files" not in get(admin_client, url("backup_run_now")).text
    post(admin_client, url("backup_run_now"), databases="default", media="on")
    assert [run.kind for run in BackupRun.objects.all()] == ["db_backup"]


@with_commits
def test_media_are_cleaned_up_after_the_backup_if_that_was_chosen(admin_client, backups, media):
    backups.configure(DB_CLEANUP_KEEP=1)
    had(backups, a="one")
    had(backups, 1, a="number two")
    write(media, a="number three")
    page = post(admin_client, url("backup_run_now"), media="on", clean="on")
    assert page.text.count("Backed up 1 file") == 1
    assert Backup.objects.count() == 1
    assert BackupRun.objects.get(kind=Kind.PRUNE).message.startswith("Removed 2 media backups")


@with_commits
def test_a_second_click_leads_to_the_media_backup_that_is_at_work(admin_client, backups, media):
    backups.configure(EXECUTOR="tests.admin.test_dashboard_permissions.IdleExecutor")
    admin_client.post(url("backup_run_now"), {"media": "on"})
    page = post(admin_client, url("backup_run_now"), media="on")
    assert "“media” is locked by a media backup that started at" in page.text
    assert BackupRun.objects.count() == 1


def test_a_run_says_how_many_files_it_has_moved(backups):
    control = Control()
    job = Job(BackupRun(kind=Kind.MEDIA_BACKUP), control, recorded=False)
    job.stage("Copying")
    control.files_done, control.files_total, control.bytes_done = 3, 40, 99
    job._look()
    assert (job.run.message, job.run.bytes_done) == ("Copying: 3 of 40 files", 99)
    job.stage("Writing the file list")
    job._look()
    assert job.run.message == "Writing the file list"


@with_commits
def test_what_one_click_backs_up_belongs_together(admin_client, backups, media):
    (media / "photo.jpg").write_bytes(bytes(2000))
    values = {"databases": ["analytics"], "media": "on", "label": "before the move"}
    post(admin_client, url("backup_run_now"), **values)
    made = {each.database: each for each in Backup.objects.filter(label="before the move")}
    assert made.keys() == {"analytics", "media"}
    [group] = {each.group for each in made.values()}
    assert group
    assert abs(made["media"].taken_at - made["analytics"].taken_at) < timedelta(minutes=2)
    page = get(admin_client, url("backup_changelist"))
    assert page.text.count(" group ") == 2
    assert page.links().count(f"{url('backup_changelist')}?group={group}") == 2
    assert "2 backups" in get(admin_client, url("backup_changelist"), group=group).text
    links = get(admin_client, url("backup_change", made["media"].path)).links()
    assert url("backup_change", made["analytics"].path) in links
    # A part that is tried again still belongs to the others; one that was deleted is not shown.
    run = BackupRun.objects.get(path=made["analytics"].path)
    assert "Backup of analytics succeeded" in post(admin_client, url("backuprun_retry", run.pk)).text
    assert logged()[-1] == "Run again."
    assert Backup.objects.filter(group=group).count() == 3
    made["analytics"].delete()
    assert made["analytics"].name not in get(admin_client, url("backup_change", made["media"].path)).text


# -- restored -----------------------------------------------------------------------------------------------------------


def difference(client: Client, **query: str) -> str:
    """Return what the confirmation says will change, once it was asked to find out."""
    text = get(client, url("backup_restore"), compare="1", **query).text
    return text.partition(" What changes ")[2].partition(" You lose ")[0]


def contents(folder: Path) -> dict[str, str]:
    return {
        path.relative_to(folder).as_posix(): path.read_text() for path in folder.rglob("*") if path.is_file()
    }


@with_commits
def test_media_are_restored_through_a_confirmation_that_says_what_changes(admin_client, backups, media):
    path = had(backups, a="one", b="one", c="one")
    (media / "a").write_text("number two")
    (media / "b").write_text("number two")
    (media / "new").write_text("since then")
    before = contents(media)
    page = get(admin_client, url("backup_change", path))
    assert any(f"restore/?path={path.replace('/', '%2F')}" in link for link in page.links())
    # The page does not wait for the remote: it asks for the difference, by htmx or by a link.
    backups.count_calls(media.parent)
    page = get(admin_client, url("backup_restore"), path=path)
    assert "Comparing the backup with the files here" in page.text
    assert backups.calls() == []
    [asked] = [each.attributes["hx-post"] for each in page.elements if "hx-post" in each.attributes]
    assert asked in [each.attributes.get("formaction") for each in page.elements]
    assert "Type “media” to confirm" in page.text
    assert difference(admin_client, path=path) == (
        "Added: 1 file c Replaced: 2 files a , b Not in the backup, removed only if you say so below: 1 file new"
    )
    for typed in ("", "medium", "yes", "default"):
        response = admin_client.post(url("backup_restore"), {"path": path, "confirm": typed, "exact": "on"})
        assert response.status_code == 200
        assert "Type “media” to confirm." in read_page(response).text or not typed
    assert contents(media) == before
    assert not BackupRun.objects.filter(kind=Kind.MEDIA_RESTORE).exists()

    page = post(admin_client, url("backup_restore"), path=path, confirm=" media ")
    assert "Restore of the media files succeeded" in page.text
    assert contents(media) == {"a": "one", "b": "one", "c": "one", "new": "since then"}
    run = BackupRun.objects.get(kind=Kind.MEDIA_RESTORE)
    assert (run.path, run.requested_by) == (path, "admin")
    assert run.options.keys() == {"kept"}
    page = post(admin_client, url("backuprun_retry", run.pk))
    assert "Restore the media files?" in page.text
    post(admin_client, url("backup_restore"), path=path, confirm="media", exact="on")
    assert contents(media) == {"a": "one", "b": "one", "c": "one"}
    assert difference(admin_client, path=path) == "Nothing: the files here are those of the backup."
    assert logged() == [f"Restore of {path} started."] * 2


@with_commits
def test_a_single_file_is_restored_and_nothing_else(admin_client, backups, media):
    path = had(backups, a="one", b="one")
    had(backups, 1, a="two", b="two")
    write(media, a="two", b="two", c="since then")
    # What is lost of other files does not matter for this one.
    backups.remote.remove("media/b")
    for name in backups.remote.names("media-versions"):
        if name.endswith("/b"):
            backups.remote.remove(name)
    assert "missing on the remote" in difference(admin_client, path=path)
    assert difference(admin_client, path=path, file="a") == "Replaced: 1 file a"
    page = get(admin_client, url("backup_restore"), path=path, file="a")
    assert "Restore a?" in page.text
    assert "Also remove" not in page.text
    page = post(admin_client, url("backup_restore"), path=path, file="a", confirm="media", exact="on")
    assert "Restore of the media files succeeded" in page.text
    assert contents(media) == {"a": "one", "b": "two", "c": "since then"}
    run = BackupRun.objects.get(kind=Kind.MEDIA_RESTORE)
    assert run.options["files"] == ["a"]
    assert "Restore a?" in post(admin_client, url("backuprun_retry", run.pk)).text
    for file in ("nothing", "../a", "/etc/passwd", "a/", "A"):
        query = {"path": path, "file": file}
        assert admin_client.get(url("backup_restore"), query).status_code == 404
        assert admin_client.post(url("backup_restore"), {**query, "confirm": "media"}).status_code == 404
    assert BackupRun.objects.filter(kind=Kind.MEDIA_RESTORE).count() == 1


@with_commits
def test_what_was_ticked_is_restored_and_nothing_else(admin_client, backups, media):
    path = had(backups, **{"a": "one", "b": "one", "deep/1/d": "one"})
    had(backups, 1, **{"a": "two", "b": "two", "deep/1/d": "one"})
    write(media, **{"a": "two", "b": "two", "deep/1/d": "another", "deep/new": "since then"})
    ticked = {"path": path, "file": ["a", "deep/"], "choosing": "1"}
    page = read_page(admin_client.post(url("backup_restore"), ticked))
    assert "Restore 2 files?" in page.text
    assert "Only what was chosen a deep/" in page.text
    assert "Also remove" not in page.text
    assert not BackupRun.objects.filter(kind=Kind.MEDIA_RESTORE).exists()
    found = admin_client.post(f"{url('backup_restore')}?compare=1", {"path": path, "file": ["a", "deep/"]})
    assert "Replaced: 2 files a , deep/1/d" in read_page(found).text
    # What was typed on the page that shows it goes to the address that acts, and showing it acts on nothing.
    [form] = [each for each in read_page(found).elements if each.attributes.get("id") == "dra-confirm"]
    assert form.attributes["action"] == url("backup_restore")
    typed = {"path": path, "file": ["a", "deep/"], "confirm": "media"}
    admin_client.post(f"{url('backup_restore')}?compare=1", typed)
    assert not BackupRun.objects.filter(kind=Kind.MEDIA_RESTORE).exists()
    admin_client.post(url("backup_restore"), {"path": path, "file": ["a", "deep/"], "confirm": "media"})
    assert contents(media) == {"a": "one", "b": "two", "deep/1/d": "one", "deep/new": "since then"}
    response = admin_client.post(url("backup_restore"), {"path": path, "choosing": "1"}, follow=True)
    assert "Choose at least one file or folder." in read_page(response).text


@with_commits
def test_a_restore_says_what_it_keeps_and_is_undone_from_its_page(admin_client, backups, media):
    path = had(backups, a="one", c="one")
    (media / "a").write_text("since then")
    page = get(admin_client, url("backup_restore"), path=path)
    assert "Replaced and removed files are kept next to the media files for 7 days" in page.text
    post(admin_client, url("backup_restore"), path=path, confirm="media")
    run = BackupRun.objects.get(kind=Kind.MEDIA_RESTORE)
    assert url("backuprun_undo", run.pk) in get(admin_client, url("backuprun_change", run.pk)).links()
    page = get(admin_client, url("backuprun_undo", run.pk))
    assert "Undo the restore of the media files?" in page.text
    assert "Replaced or removed by the restore, comes back: 1 file a" in page.text
    assert "Added by the restore, is removed: 1 file c" in page.text
    assert "Logged-in users" not in page.text
    assert contents(media) == {"a": "one", "c": "one"}
    page = post(admin_client, url("backuprun_undo", run.pk), confirm="Media")
    assert "Undo of the restore of the media files succeeded" in page.text
    assert contents(media) == {"a": "since then"}
    undo = BackupRun.objects.exclude(pk=run.pk).get(kind=Kind.MEDIA_RESTORE)
    assert "Go back to the restored media files?" in get(admin_client, url("backuprun_undo", undo.pk)).text
    response = admin_client.get(url("backuprun_undo", run.pk), follow=True)
    assert "Only the last restore can be undone" in read_page(response).text


def test_a_restore_of_which_nothing_is_kept_says_so(admin_client, backups, media):
    path = backups.put_media()
    backups.configure(SAFETY_BACKUP=False)
    page = get(admin_client, url("backup_restore"), path=path)
    assert "Once the restore has succeeded, it can't be undone." in page.text
    assert url("backup_run_now") in page.links()


@with_commits
def test_a_file_takes_the_place_of_a_folder_when_it_is_restored_alone(backups, media):
    path = had(backups, a="a file")
    (media / "a").mkdir()
    (media / "a" / "inner").write_text("in the way")
    (media / "b").write_text("stays")
    api.restore_media(path, files=["a"])
    assert contents(media) == {"a": "a file", "b": "stays"}


def test_media_that_cannot_be_restored_are_refused(admin_client, backups, media):
    damaged, unsealed = backups.put_media(), backups.put_media(DAY - timedelta(days=1), manifest=False)
    backups.remote.write(damaged, b"cut")
    for path in (damaged, unsealed):
        response = admin_client.get(url("backup_restore"), {"path": path}, follow=True)
        assert "is damaged and was not restored" in read_page(response).text
        page = post(admin_client, url("backup_restore"), path=path, confirm="media")
        assert "is damaged and was not restored" in page.text
        assert not any("restore/" in link for link in get(admin_client, url("backup_change", path)).links())
    assert not BackupRun.objects.exists()


def test_a_comparison_that_takes_too_long_is_given_up(admin_client, backups, media, monkeypatch, tmp_path):
    path = backups.put_media()
    program = programs.hang(tmp_path / "bin", "rclone", backups.remote.binary, when="recursive.*:media$")
    backups.configure(RCLONE_BINARY=str(program))
    monkeypatch.setattr(
        "django_rclone_admin.admin.restores.COMPARE_SECONDS", 1
    )  # else the test takes minutes
    assert "The remote did not answer within 1 seconds." in difference(admin_client, path=path)


def test_media_restores_heed_the_setting_that_takes_restores_out(admin_client, backups, media):
    path = backups.put_media()
    backups.configure(ADMIN_RESTORE=False)
    assert admin_client.get(url("backup_restore"), {"path": path}).status_code == 403
    assert admin_client.post(url("backup_restore"), {"path": path, "confirm": "media"}).status_code == 403


# -- pinned and deleted -------------------------------------------------------------------------------------------------


@with_commits
def test_a_pinned_media_backup_is_kept_by_the_retention(admin_client, backups, media):
    backups.configure(DB_CLEANUP_KEEP=1)
    paths = [backups.put_media(DAY + timedelta(hours=number)) for number in range(3)]
    values = {"action": "pin_selected", "_selected_action": paths[0]}
    assert "Pinned 1 backup." in post(admin_client, url("backup_changelist"), **values).text
    assert [each.keep for each in api.prune_media()] == [True, False, True]
    assert sorted(Backup.objects.values_list("pk", flat=True)) == [paths[0], paths[2]]
    assert "Unpinned 1 backup." in post(admin_client, url("backup_pin", paths[0])).text
    assert [each.keep for each in api.prune_media(dry_run=True)] == [True, False]


@with_commits
def test_with_a_media_backup_go_the_versions_that_only_it_needs(backups, media):
    paths = [had(backups, a="one", b="one"), had(backups, 1, a="two", b="one"), had(backups, 2, a="three")]
    write(media, a="three", new="since then")
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
    paths = [had(backups, a="first"), had(backups, 1, a="1"), had(backups, 2, a="2")]
    backups.remote.write(paths[0], b"cut")
    Backup.objects.filter(pk=paths[1]).delete()
    assert versions(backups) == ["a", "a"]
    Backup.objects.filter(pk=paths[0]).delete()
    assert versions(backups) == []


@with_commits
def test_a_deletion_in_the_admin_does_not_wait_for_the_versions(admin_client, backups, media):
    paths = [had(backups, a="first"), had(backups, 1, a="1")]
    backups.configure(EXECUTOR="tests.admin.test_dashboard_permissions.IdleExecutor")
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
