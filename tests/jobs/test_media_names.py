"""No media file is passed over in silence: names that look the same, what can't be read, what does not arrive."""

import os
import unicodedata
from itertools import product
from pathlib import Path

import pytest

from django_rclone_admin import api
from django_rclone_admin.core import retry
from django_rclone_admin.exceptions import BackupError, LocalFileError, RemoteError
from django_rclone_admin.jobs import mirroring
from tests.support.matrix import sampled
from tests.support.media import Media

pytestmark = pytest.mark.django_db(transaction=True)

NFC, NFD = (unicodedata.normalize(form, "Größe.jpg") for form in ("NFC", "NFD"))


def ignoring_case(media: Media) -> None:
    """Have the remote say of itself that it ignores case, as those of macOS, Windows and many services do."""
    settings = media.settings.DJANGO_RCLONE
    env = {"RCLONE_CONFIG_CASELESS_TYPE": "local", "RCLONE_CONFIG_CASELESS_CASE_INSENSITIVE": "true"}
    media.configure(
        REMOTE=f"CASELESS:{media.remote.root}", RCLONE_ENV={**settings.get("RCLONE_ENV", {}), **env}
    )


@pytest.fixture(autouse=True)
def no_pause(monkeypatch):
    """What is missing is looked for and copied again after seconds; nothing shows up late here, and once more is enough."""
    monkeypatch.setattr(mirroring, "LOOKS", (0.01,))
    monkeypatch.setattr(retry, "WAITS", (0.01,))


@pytest.mark.parametrize("full", sampled([True, False], True))
def test_both_forms_of_a_name_are_backed_up(media_site, full):
    files = {"always": b"there", "other": b"1"}
    for folder in "", "folder/", f"folder/{NFC}.d/":
        files |= {f"{folder}{NFC}": b"composed", f"{folder}{NFD}": b"decomposed"}
    if full:
        media_site.write(files)
    else:
        media_site.write({name: b"before" if name.endswith(NFD) else files[name] for name in files})
        media_site.have_backup()
        media_site.write(files)
    media_site.back_up()
    assert media_site.in_mirror() == files
    for name in files.keys() - {"always", "other"}:
        (media_site.folder / name).unlink()
    api.restore_media(exact=True)
    assert media_site.read() == files


RENAMED = {NFC: NFD, f"2 {NFD}": f"2 {NFC}", "a.JPG": "A.jpg", "dir/x": "Dir/x"}
"""New names by old ones."""


@pytest.mark.parametrize("full, caseless", sampled(product([True, False], repeat=2), (False, True)))
def test_file_that_was_renamed_to_another_form_comes_back_by_its_new_name(media_site, full, caseless):
    media_site.write({**dict.fromkeys(RENAMED, b"bytes"), "other": b"1"})
    before = media_site.read()
    first = media_site.have_backup()
    if caseless:
        ignoring_case(media_site)
    for old, new in RENAMED.items():
        path = media_site.folder / new
        path.parent.mkdir(exist_ok=True)
        (media_site.folder / old).rename(path)
    after = media_site.read()
    second = media_site.back_up(full=full)
    assert set(media_site.in_mirror()) == {"always", "other", *RENAMED.values()}
    for name, wanted in ((first, before), (second, after)):
        api.restore_media(name, exact=True)
        assert media_site.read() == wanted


def test_names_that_a_remote_takes_for_the_same_fail_and_are_named(media_site):
    media_site.write({"a": b"one"})
    media_site.have_backup()
    ignoring_case(media_site)
    media_site.write({"folder/a.jpg": b"bytes", "folder/A.jpg": b"bytes"})
    for _attempt in range(2):  # by the difference, and by comparing every file
        with pytest.raises(
            BackupError, match=r"treats names of files as equal.*'folder/A.jpg', 'folder/a.jpg'"
        ) as caught:
            media_site.back_up()
        assert "Nothing was changed" not in caught.value.hint
    assert len(api.list_media()) == 1
    (media_site.folder / "folder/a.jpg").unlink()
    media_site.back_up()
    assert set(media_site.in_mirror()) == {"always", "a", "folder/A.jpg"}


@pytest.mark.in_turns("full")
@pytest.mark.parametrize("full", [True, False])
def test_folders_that_differ_in_case_are_no_reason_to_miss_a_file(media_site, full):
    """What says of itself that it ignores case does not: here it is a folder on a disk that does not."""
    media_site.have_backup()
    ignoring_case(media_site)
    (media_site.folder / "empty").mkdir()
    media_site.write({"Empty/x": b"one", "dir/y": b"two", "Dir/x": b"one"})
    media_site.back_up(full=full)
    assert media_site.in_mirror() == media_site.read()


def test_list_of_an_older_version_does_not_remove_a_file_by_its_other_form(media_site, backups):
    """It has the names that the remote had: of a file that had been renamed, the old one."""
    backups.put_media(content={"always": b"there", NFC: b"bytes"})
    backups.configure(**media_site.settings.DJANGO_RCLONE)
    media_site.write({NFD: b"bytes", "other": b"1"})
    media_site.settings.MEDIA_ROOT = str(media_site.folder)
    api.restore_media(exact=True)
    assert set(media_site.read()) == {"always", NFC, NFD}


@pytest.mark.in_turns("full")
@pytest.mark.parametrize("full", [True, False])
def test_file_that_rclone_passes_over_is_noticed(media_site, tmp_path, full, monkeypatch):
    """Whatever the reason."""
    monkeypatch.setattr(retry, "WAITS", ())
    media_site.write({"a": b"one"})
    media_site.have_backup()
    media_site.write({"large": bytes(5000)})
    body = "if 'sync' in arguments or 'copy' in arguments:\n    sys.exit(0)\n"
    media_site.wrap(tmp_path / "bin", body)
    with pytest.raises(RemoteError, match="Files that did not arrive in the mirror: 1, among them 'large'"):
        media_site.back_up(full=full)
    assert len(api.list_media()) == 1


@pytest.mark.in_turns("full")
@pytest.mark.parametrize("full", [True, False])
def test_upload_that_comes_or_goes_during_a_backup_is_in_it_or_not(media_site, tmp_path, full):
    media_site.write({"a": b"one"})
    media_site.have_backup()
    media_site.write({"b": b"two", "c": b"three"})
    body = f"""
if ('copy' in arguments or 'sync' in arguments) and not os.path.exists({str(tmp_path / "seen")!r}):
    open({str(tmp_path / "seen")!r}, 'w').close()
    os.unlink({str(media_site.folder / "b")!r})
    with open({str(media_site.folder / "c")!r}, 'w') as file:
        file.write('longer now')
"""
    media_site.wrap(tmp_path / "bin", body)
    media_site.back_up(full=full)
    wanted = {"always": b"there", "a": b"one", "c": b"longer now"}
    assert media_site.in_mirror() == media_site.read() == wanted
    (media_site.folder / "c").unlink()
    api.restore_media(exact=True)
    assert media_site.read() == wanted


def test_links_and_the_like_are_left_out_and_named(media_site, tmp_path):
    (tmp_path / "secret").mkdir()
    (tmp_path / "secret/key").write_bytes(b"private")
    (media_site.folder / "link").symlink_to(tmp_path / "secret")
    (media_site.folder / "key").symlink_to(tmp_path / "secret/key")
    os.mkfifo(media_site.folder / "pipe")
    run = api.backup_media()
    assert "3 links and special files, 'key' among them" in run.log
    assert set(media_site.in_mirror()) == {"always"}
    media_site.write({"always": b"changed", "since": b"then"})
    api.restore_media(exact=True)
    assert media_site.read() == {"always": b"there"}
    for name in "link", "key":
        assert (media_site.folder / name).is_symlink()


def test_names_that_can_not_be_told_apart_are_noticed(media_site):
    for name in (b"\xff.jpg", b"\xfe.jpg"):
        Path(os.fsdecode(os.fsencode(media_site.folder) + b"/" + name)).write_bytes(name)
    with pytest.raises(LocalFileError, match="can't tell apart"):
        media_site.back_up()
