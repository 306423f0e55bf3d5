"""A media backup copies the difference to the last list, and compares every file where that may not be enough."""

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from django_rclone_admin import api
from django_rclone_admin.core import retry
from django_rclone_admin.exceptions import BackupError, UsageError
from django_rclone_admin.jobs import mirroring
from django_rclone_admin.models.runs import BackupRun, Status
from tests.support.backups import put_version
from tests.support.matrix import sampled
from tests.support.media import Media

pytestmark = pytest.mark.django_db(transaction=True)

COMPARED = "Every file is compared with the mirror"


@pytest.fixture
def site(media_site: Media) -> Media:
    """A site with a backup, whose list the next one can believe."""
    media_site.write({"a": b"one", "folder/b": b"two", "gone": b"three"})
    media_site.have_backup()
    return media_site


def test_difference_is_copied_with_its_label_and_nothing_else_is_looked_at(site, backups, tmp_path):
    backups.configure(**site.settings.DJANGO_RCLONE)
    site.settings.MEDIA_ROOT = str(site.folder)
    change_manifest(site, trusted=mirroring.FULL_EVERY - 2)
    site.write({"a": b"ONE", "new/c": b"four"})
    (site.folder / "gone").unlink()
    backups.count_calls(tmp_path)
    run = api.backup_media(label="before the move")
    calls = backups.calls()
    assert COMPARED not in run.log
    assert "sync" not in calls
    assert [calls.count(name) for name in ("copy", "move")] == [1, 1]
    assert site.in_mirror() == site.read() == {
        "always": b"there", "a": b"ONE", "folder/b": b"two", "new/c": b"four",
    }  # fmt: skip
    manifest = api.list_media()[0].manifest
    # It counts, and the next one compares every file: that is the doubt “number” below.
    assert (manifest.label, manifest.trusted) == ("before the move", mirroring.FULL_EVERY - 1)


@pytest.mark.soak  # as the second backup of test_media_backup, whose calls are counted
def test_backup_without_a_difference_copies_nothing(site, backups, tmp_path):
    backups.configure(**site.settings.DJANGO_RCLONE)
    site.settings.MEDIA_ROOT = str(site.folder)
    backups.count_calls(tmp_path)
    api.backup_media()
    assert {"copy", "move", "sync"}.isdisjoint(backups.calls())
    assert len(api.list_media()) == 2


def change_manifest(site: Media, **values: object) -> None:
    """Change what the manifest of the only backup says; what is ``None`` is left out."""
    [name] = [each for each in site.remote.names("media-versions") if each.endswith("manifest.json")]
    manifest = {**json.loads(site.remote.read(name)), **values}
    known = {key: value for key, value in manifest.items() if value is not None}
    site.remote.write(name, json.dumps(known).encode() + b"\n")


def doubt_option(site: Media) -> dict[str, bool]:
    return {"full": True}


def doubt_number(site: Media) -> None:
    change_manifest(site, trusted=mirroring.FULL_EVERY - 1)


def doubt_failure(site: Media) -> None:
    BackupRun.objects.update(status=Status.FAILED)


def doubt_history(site: Media) -> None:
    BackupRun.objects.all().delete()


def doubt_versions(site: Media) -> None:
    later = datetime.now(UTC) + timedelta(seconds=5)
    put_version(site.remote, later, "x", b"")


def doubt_old_list(site: Media) -> None:
    change_manifest(site, trusted=None)


def doubt_spoilt_list(site: Media) -> None:
    [name] = [each for each in site.remote.names("media-versions") if each.endswith(".zst")]
    site.remote.write(name, bytes(len(site.remote.read(name))))


def doubt_excluded(site: Media) -> None:
    site.configure(MEDIA_EXCLUDE=["*.tmp"])
    (site.folder / "gone").unlink()


def doubt_much(site: Media) -> None:
    site.write({f"many/{number}": b"1" for number in range(mirroring.FEW + 1)})


DOUBTS = {
    name.removeprefix("doubt_"): value for name, value in list(globals().items()) if name.startswith("doubt_")
}


# test_label_and_full_comparison_are_options_of_a_backup has the option, a test below what is excluded, and
# test_the_last_list_is_not_believed_where_the_mirror_may_differ the versions.
@pytest.mark.parametrize("doubt", sampled(DOUBTS, *(DOUBTS.keys() - {"option", "excluded", "versions"})))
def test_mirror_itself_is_looked_at_where_the_list_may_not_be_it(site, doubt):
    """The list knows nothing of the file for which the backup is refused, before it copies anything."""
    options = DOUBTS[doubt](site) or {}
    site.remote.write("media/foreign", b"not ours")
    site.configure(MEDIA_MAX_DELETE_PERCENT=1)
    with pytest.raises(UsageError, match="would remove 1 of 5 files"):
        api.backup_media(**options)
    assert COMPARED in BackupRun.objects.latest("created_at").log


@pytest.mark.parametrize("doubt", sampled(DOUBTS, "number", "spoilt_list"))  # what is done is the same
def test_every_file_is_compared_where_the_list_may_not_be_the_mirror(site, doubt):
    options = DOUBTS[doubt](site) or {}
    site.remote.remove("media/folder/b")  # behind our back
    site.remote.write("media/foreign", b"not ours")
    run = api.backup_media(**options)
    assert COMPARED in run.log
    assert set(site.in_mirror()) == set(site.read())
    manifest = json.loads(site.remote.read(f"{run.path}.manifest.json"))
    assert manifest["trusted"] == 0  # counted from here


def test_file_that_was_excluded_since_stays_on_the_remote(site):
    site.configure(MEDIA_EXCLUDE=["gone"])
    site.remote.remove("media/folder/b")  # behind our back
    assert COMPARED in api.backup_media().log
    assert site.in_mirror() == {"always": b"there", "a": b"one", "folder/b": b"two", "gone": b"three"}
    site.write({"a": b"ONE"})
    assert COMPARED not in api.backup_media().log
    assert site.in_mirror() == {"always": b"there", "a": b"ONE", "folder/b": b"two", "gone": b"three"}


@pytest.mark.soak  # as test_backup_brings_back_its_files_after_all_that_can_happen
def test_change_of_equal_size_is_noticed_and_its_time_kept_on_a_remote_that_keeps_none(site, make_remote):
    remote = make_remote("webdav")
    site.settings.DJANGO_RCLONE = {"RCLONE_BINARY": remote.binary, **remote.settings}
    site.back_up()
    site.write({"a": b"ONE"})
    assert COMPARED not in api.backup_media().log
    path = site.folder / "a"
    time = path.stat().st_mtime_ns
    path.unlink()
    api.restore_media()
    assert path.read_bytes() == b"ONE"
    assert path.stat().st_mtime_ns == time
    assert api.plan_restore_media().difference.is_empty


def test_run_that_dies_while_it_copies_is_made_good_by_the_next(site, tmp_path, monkeypatch):
    monkeypatch.setattr(retry, "WAITS", (0.0,))
    wanted = site.read()
    first = Path(BackupRun.objects.get().path).name
    site.write({"a": b"ONE", "new": b"four"})
    site.wrap(
        tmp_path / "bin",
        "if 'copy' in arguments or 'sync' in arguments:\n    start().wait()\n    sys.exit(1)\n",
    )
    with pytest.raises(BackupError) as caught:
        api.backup_media()
    assert "Nothing was changed" not in caught.value.hint
    site.unwrap()
    (site.folder / "new").unlink()
    assert COMPARED in api.backup_media().log
    assert site.in_mirror() == site.read() == {**wanted, "a": b"ONE"}
    api.restore_media(first, exact=True)
    assert site.read() == wanted


@pytest.mark.in_turns("taken_at")
@pytest.mark.parametrize(
    "taken_at",
    ["0001-01-01T00:00:00+00:00", "9999-12-31T23:59:59.999999+00:00", "0001-01-01T00:00:00+14:00",
     "9999-12-31T23:59:59.999999-14:00", "0999-01-01T00:00:00+00:00", "2031-01-01T00:00:00+00:00"],
)  # fmt: skip
def test_time_that_no_run_had_stops_no_backup(site, taken_at):
    change_manifest(site, taken_at=taken_at)
    site.remote.write("media-versions/9999-12-31-235959-999999/x", b"")
    site.remote.write("media-versions/0001-01-01-000000-000000/x", b"")
    site.write({"a": b"ONE"})
    run = api.backup_media()
    assert COMPARED in run.log
    (site.folder / "a").unlink()
    api.restore_media(exact=True)
    assert site.read()["a"] == b"ONE"
    api.prune_media()
