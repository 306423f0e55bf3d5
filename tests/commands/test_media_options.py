"""The media commands, called as Django's own are called."""

import json
from datetime import timedelta
from pathlib import Path

import pytest
from django.core.management import CommandError, call_command

from django_rclone_admin import api
from django_rclone_admin.models.runs import BackupRun
from tests.support.backups import DAY

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.mark.in_turns("arguments", "options")
@pytest.mark.parametrize("arguments, options", [([], {"interactive": False}), (["--no-input"], {})])
def test_restore_that_may_not_ask_does_not_ask(media_site, arguments, options):
    media_site.write({"a": b"one"})
    media_site.have_backup()
    (media_site.folder / "a").unlink()
    call_command("mediarestore", *arguments, verbosity=0, **options)
    assert (media_site.folder / "a").read_bytes() == b"one"


def test_backup_to_restore_is_named_in_any_way(backups, capsys):
    files = {"a": b"one", "b": b"two"}
    first = Path(backups.put_media(content={"a": b"one"})).name
    second = Path(backups.put_media(DAY + timedelta(hours=1), files)).name
    for option, name in ("--at", first), ("--input-path", second), ("-i", first):
        call_command("mediarestore", option, name, "--dry-run", "--json")
        found = json.loads(capsys.readouterr().out)
        assert (found["name"], found["added"]) == (name, 1 if name == first else 2)


def test_question_that_nobody_can_answer_names_the_option(media_site, monkeypatch):
    media_site.have_backup()
    monkeypatch.setattr("sys.stdin", None)
    with pytest.raises(CommandError, match="--noinput") as caught:
        call_command("mediarestore")
    assert caught.value.returncode == 2


def test_label_and_full_comparison_are_options_of_a_backup(media_site, capsys):
    media_site.have_backup()
    call_command("mediabackup", "--label", "before the move", "--full", "--json")
    assert json.loads(capsys.readouterr().out)["label"] == "before the move"
    assert api.list_media()[0].manifest.label == "before the move"
    assert "it was asked for" in BackupRun.objects.latest("created_at").log


@pytest.mark.parametrize(
    "where", ["backups in media", "media in the mirror", "media in the versions", "link"]
)
def test_backups_among_the_media_files_are_refused_in_our_own_words(media_site, where):
    place = media_site.folder.parent
    remote = place / "backups"
    if where == "backups in media":
        remote = media_site.folder / "backups"
    elif where == "link":
        remote.symlink_to(media_site.folder, target_is_directory=True)
    else:
        inside = "media" if where == "media in the mirror" else "media-versions/files"
        media_site.settings.MEDIA_ROOT = str(remote / inside)
        (remote / inside).mkdir(parents=True)
    media_site.settings.DJANGO_RCLONE = media_site.settings.DJANGO_RCLONE | {"REMOTE": str(remote)}
    for arguments in (["mediabackup"], ["mediabackup", "--dry-run"]):
        with pytest.raises(CommandError, match="The media files are among the backups") as caught:
            call_command(*arguments, verbosity=0)
        assert caught.value.returncode == 2


def test_media_files_beside_the_mirror_are_backed_up(media_site):
    media_site.settings.DJANGO_RCLONE = media_site.settings.DJANGO_RCLONE | {
        "REMOTE": str(media_site.folder.parent)
    }
    call_command("mediabackup", verbosity=0)
    assert (media_site.folder.parent / "media" / "always").read_bytes() == b"there"
