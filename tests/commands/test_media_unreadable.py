"""What of the media files can't be read is named, and blamed on the right side."""

from pathlib import Path

import pytest

from tests.support.backups import put_media
from tests.support.faults import assert_failed
from tests.support.matrix import sampled
from tests.support.media import read
from tests.support.rights import without_rights
from tests.support.site import Shop


@pytest.fixture
def media(shop: Shop) -> Path:
    """The media folder of the shop, with a file that everybody may read; the shop has none of root's rights to read."""
    folder = shop.home / "place" / "uploads"
    folder.mkdir(parents=True)
    shop.settings["MEDIA_ROOT"] = str(folder)
    (folder / "open").write_bytes(b"one")
    without_rights(shop)
    return folder


@pytest.mark.parametrize("kind", sampled(["local", "crypt"], "local"))
def test_file_that_can_not_be_read_is_named(shop, media, make_remote, kind):
    remote = make_remote(kind)
    shop.settings["DJANGO_RCLONE"] = {"RCLONE_BINARY": remote.binary, **remote.settings}
    (media / "folder").mkdir()
    (media / "folder/secret").write_bytes(b"two")
    (media / "folder/secret").chmod(0)
    failed = shop.manage("mediabackup")
    assert_failed(failed, "The media file 'folder/secret' can't be read: permission denied")
    assert "Nothing was changed" not in failed.err  # the other file is in the mirror
    assert "remote" not in failed.err
    (media / "folder/secret").chmod(0o600)
    assert shop.manage("mediabackup").code == 0
    (media / "folder/secret").write_bytes(b"changed")
    (media / "folder/secret").chmod(0)
    assert_failed(
        shop.manage("mediabackup"), "The media file 'folder/secret' can't be read: permission denied"
    )


@pytest.mark.parametrize("excludes", [[], ["*.tmp"]])
def test_folder_that_can_not_be_read_is_named(shop, media, excludes):
    shop.settings["DJANGO_RCLONE"]["MEDIA_EXCLUDE"] = excludes
    (media / "closed").mkdir(mode=0)
    failed = shop.manage("mediabackup")
    assert_failed(failed, "closed.*[pP]ermission denied")
    assert "denied access" not in failed.err
    assert shop.remote.names() == []


@pytest.mark.in_turns("pattern")
@pytest.mark.parametrize("pattern", ["/lost+found/**", "lost+found/", "/lost?found/**"])
def test_excluded_folder_that_can_not_be_read_is_no_obstacle(shop, media, pattern):
    shop.settings["DJANGO_RCLONE"]["MEDIA_EXCLUDE"] = [pattern]
    (media / "lost+found").mkdir(mode=0)
    assert shop.manage("mediabackup").code == 0
    (media / "open").unlink()
    (media / "since").write_bytes(b"then")
    assert shop.manage("mediarestore", "--noinput", "--exact").code == 0
    assert (media / "open").read_bytes() == b"one"
    assert not (media / "since").exists()


def test_folder_of_the_backup_that_can_not_be_read_stops_a_restore(shop, media):
    (media / "folder").mkdir()
    (media / "folder/file").write_bytes(b"two")
    put_media(shop.remote, read(media))
    (media / "open").write_bytes(b"changed")
    (media / "folder").chmod(0)
    assert_failed(
        shop.manage("mediarestore", "--noinput"), "The folder 'folder' of the media files can't be read"
    )
    (media / "folder").chmod(0o700)
    assert read(media) == {"open": b"changed", "folder/file": b"two"}


def test_folder_that_can_not_be_written_is_named(shop, media):
    (media / "folder").mkdir()
    put_media(shop.remote, {**read(media), "folder/file": b"two"})
    (media / "open").write_bytes(b"changed")
    (media / "folder").chmod(0o555)
    assert_failed(
        shop.manage("mediarestore", "--noinput"), "uploads/folder/file' can't be written: Permission denied"
    )
    (media / "folder").chmod(0o755)
    assert read(media) == {"open": b"changed"}
    assert [path.name for path in media.parent.iterdir()] == ["uploads"]


def test_error_of_the_remote_names_the_file_and_not_what_encryption_makes_of_it(shop, media, make_remote):
    remote = make_remote("crypt")
    shop.settings["DJANGO_RCLONE"] = {"RCLONE_BINARY": remote.binary, **remote.settings}
    put_media(remote, read(media))
    folders = [path for path in remote.root.rglob("*") if path.is_dir()]
    for path in folders:
        path.chmod(0o555)
    (media / "open").write_bytes(b"changed")
    failed = shop.manage("mediabackup")
    for path in folders:
        path.chmod(0o755)
    assert_failed(failed, "'open': .*permission denied")
    assert str(remote.root) not in failed.err
