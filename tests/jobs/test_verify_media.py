"""Media backups are checked too: every file is there with its size, and with the level “restore” its bytes are read."""

from datetime import timedelta

import pytest

from django_rclone_admin import api
from django_rclone_admin.core import check_marks
from django_rclone_admin.exceptions import BackupDamaged, CheckFailed
from django_rclone_admin.jobs import check_media
from tests.support.backups import DAY, put_media, put_version

pytestmark = pytest.mark.django_db

FILES = {"a.txt": b"one", "deep/b.bin": b"\0" * 70_000, "deep/ü [x].txt": b"three", "new\nline": b"four"}

LARGE = {"deep/b.bin": FILES["deep/b.bin"]}
"""What is encrypted in more than one block. Each call with an encrypted remote costs much, and each file costs calls."""


@pytest.fixture(autouse=True)
def no_pause(monkeypatch):
    """What is missing is looked for twice more, after a second each; nothing shows up late here."""
    monkeypatch.setattr(check_media, "PAUSE", 0)
    monkeypatch.setattr(check_media, "AGAIN", 2)


def check(backup, level="restore"):
    run = api.verify_backup(backup, level=level)
    return run.options["reached"], run.options["outcome"]


def states():
    return [str(each.state) for each in api.list_media()]


@pytest.mark.soak  # the next test has all that a check does, and the one of a version the lower levels
@pytest.mark.parametrize("level", ["checksum", "structure"])
def test_good_backup_passes(media_site, level):
    media_site.write(FILES)
    name = media_site.have_backup()

    assert check(name, level) == (level, "passed")
    [backup] = api.list_media()
    assert backup.proven == level


def test_good_backup_passes_and_records_are_no_media(media_site):
    """Neither the mirror nor the versions take one for a file, and a media backup moves none away."""
    media_site.write(FILES)
    name = media_site.have_backup()
    assert check(name, "site") == ("restore", "passed")
    [backup] = api.list_media()
    assert backup.proven == "restore"
    [record] = api.list_checks(backup.path)
    assert record.tables == {"files": {"expected": 5, "found": 5}}
    before = [
        each for each in media_site.remote.names() if ".check." in each or each.startswith(check_marks.FOLDER)
    ]
    media_site.write({"a.txt": b"changed"})

    media_site.back_up()
    api.prune_media()

    assert set(before) <= set(media_site.remote.names())
    assert api.restore_media(name).status == "succeeded"


def test_files_that_are_gone_or_have_another_size_are_found(media_site):
    media_site.write(FILES)
    name = media_site.have_backup()
    media_site.remote.remove("media/deep/ü [x].txt")
    media_site.remote.write("media/a.txt", b"longer than it was")

    with pytest.raises(CheckFailed, match=r"structure.*missing on the remote: 2\b"):
        check(name)

    assert states() == ["damaged"]


def test_version_that_an_older_backup_needs_is_looked_for(media_site):
    version = put_version(media_site.remote, DAY + timedelta(minutes=1), "a", b"one")
    put_media(media_site.remote, {"a": b"one"}, mirrored=False)
    put_media(media_site.remote, {"a": b"changed"}, DAY + timedelta(minutes=1))
    newer, older = api.list_media()
    assert check(older) == ("restore", "passed")
    media_site.remote.remove(version)
    assert check(older, "checksum") == ("checksum", "passed")  # it reads the list alone

    with pytest.raises(CheckFailed):
        check(older, "structure")

    assert check(newer, "structure") == ("structure", "passed")
    assert states() == ["complete", "damaged"]


@pytest.mark.parametrize("remote", ["crypt"], indirect=True)
def test_bytes_that_cannot_be_read_are_found_by_reading_them(media_site):
    media_site.write(LARGE)
    media_site.have_backup()
    [backup] = api.list_media()
    [file] = [
        each for each in media_site.remote.root.rglob("*") if each.is_file() and each.stat().st_size > 70_000
    ]
    content = bytearray(file.read_bytes())
    content[60_000] ^= 1
    file.write_bytes(bytes(content))

    with pytest.raises(CheckFailed, match=r"restore.*can't be read: 1.*deep/b.bin.*can't be decrypted"):
        check(backup)

    [backup] = api.list_media()
    assert (str(backup.state), backup.failed, backup.proven) == ("damaged", "restore", "structure")


@pytest.mark.soak  # as the last test; test_verifybackups has the checksum of a backup of a database
def test_list_that_was_changed_fails_the_checksum(media_site):
    name = media_site.have_backup()
    path = f"media-versions/{name}"
    content = media_site.remote.read(path)
    media_site.remote.write(path, content[:-1] + bytes([content[-1] ^ 1]))

    with pytest.raises(CheckFailed, match="checksum"):
        check(name, "structure")


def test_backup_that_runs_meanwhile_is_no_damage(media_site, monkeypatch):
    """It moves what it replaces from the mirror to the versions, between two looks."""
    media_site.write(FILES)
    name = media_site.have_backup()
    find, looks = check_media.find_places, []

    def first_look_is_torn(*arguments):
        looks.append(arguments)
        if len(looks) == 1:
            raise BackupDamaged("one is between the two")
        return find(*arguments)

    monkeypatch.setattr(check_media, "find_places", first_look_is_torn)  # the moment can't be met otherwise

    assert check(name, "structure") == ("structure", "passed")


@pytest.mark.parametrize("remote", ["crypt"], indirect=True)
def test_list_that_cannot_be_decrypted_any_more_is_damaged(media_site):
    media_site.write(LARGE)
    media_site.have_backup()
    [backup] = api.list_media()
    file = min(
        (
            each
            for each in media_site.remote.root.rglob("*")
            if each.is_file() and 100 < each.stat().st_size < 70_000
        ),
        key=lambda each: each.stat().st_size,
    )
    content = bytearray(file.read_bytes())
    content[100] ^= 1
    file.write_bytes(bytes(content))

    with pytest.raises(CheckFailed, match=r"checksum.*can no longer be decrypted"):
        check(backup, "structure")
