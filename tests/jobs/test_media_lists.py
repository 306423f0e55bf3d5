"""The latest media backup is found by reading one manifest, together with its list; all others only where they may matter."""

import shutil
from datetime import timedelta
from pathlib import Path

import pytest

from django_rclone_admin import api, media_lists
from django_rclone_admin.exceptions import BackupDamaged, BackupNotFound
from django_rclone_admin.remote import get_catalog, media_catalog
from tests.support.backups import DAY, listed, put_media, put_version
from tests.support.matrix import sampled
from tests.support.programs import wrapper

A_MINUTE = timedelta(minutes=1)
TWO = """
if "cat" in arguments and "--files-from-raw=-" in arguments:
    names = sorted(sys.stdin.read().split(), reverse={reverse})
    for name in names:
        sys.stdout.buffer.write(open({folder!r} + "/" + name, "rb").read())
        sys.stdout.flush()
    sys.exit()
"""


def find(name=None):
    return media_lists.find_media(media_catalog(get_catalog()), name, with_list=True)


def newest():
    catalog = media_catalog(get_catalog())
    return media_lists.find_newest(catalog, catalog.objects(manifests=False), with_list=True)


@pytest.mark.parametrize("reverse", [False, True])
def test_list_and_manifest_are_told_apart_in_either_order(backups, tmp_path, reverse):
    backups.put_media(content={"a": b"one", "b": b"two"})
    folder = str(backups.remote.root / "media-versions")
    program = wrapper(
        tmp_path / "bin", "rclone", backups.remote.binary, TWO.format(folder=folder, reverse=reverse)
    )
    backups.configure(RCLONE_BINARY=str(program))

    found = find()

    assert [each.path for each in found.read(get_catalog())] == ["a", "b"]
    assert found.backup.manifest.files == 2


def test_newest_takes_two_calls_whatever_their_number(backups, tmp_path):
    paths = [backups.put_media(DAY + number * A_MINUTE) for number in range(3)]
    backups.count_calls(tmp_path)

    objects, found = newest()
    found.read(get_catalog())

    assert backups.calls() == ["lsjson", "cat"]
    assert found.backup.path == paths[-1]
    assert [each.path for each in objects if each.manifest] == paths[-1:]


@pytest.mark.parametrize("spoilt", sampled([b"", b"{", b'{"format": 1}', b"no JSON"], b"", b'{"format": 1}'))
def test_newest_that_is_not_usable_gives_way_to_the_one_before(backups, spoilt):
    first = backups.put_media(DAY)
    second = backups.put_media(DAY + A_MINUTE)
    backups.remote.write(f"{second}.manifest.json", spoilt)

    assert find().backup.path == first
    with pytest.raises(BackupNotFound):
        find(Path(second).name)


def test_manifest_that_another_program_wrote_anew_is_still_read(backups):
    path = backups.put_media()
    line = backups.remote.read(f"{path}.manifest.json")
    backups.remote.write(f"{path}.manifest.json", b"\n " + line)

    assert find().read(get_catalog())
    assert find(Path(path).name).read(get_catalog())


@pytest.mark.parametrize("later", ["of the same second", "damaged", "with a name of the future"])
def test_times_of_all_that_may_be_later_are_known(backups, later):
    """A new backup is taken later than every earlier one, whatever the clock shows."""
    path = backups.put_media(DAY)
    taken_at = DAY + A_MINUTE
    if later == "of the same second":
        other = path.replace(".jsonl", "-2.jsonl")
        backups.remote.write(other, backups.remote.read(path))
        manifest = backups.remote.read(f"{path}.manifest.json")
        manifest = manifest.replace(Path(path).name.encode(), Path(other).name.encode())
        backups.remote.write(f"{other}.manifest.json", manifest)
    elif later == "damaged":
        other = backups.put_media(taken_at)
        backups.remote.write(f"{other}.check.checksum.failed.20261121T000000Z.json", b"{}")
    else:
        other = backups.put_media(DAY.replace(year=2999))

    objects, found = newest()

    assert {each.path for each in objects if each.manifest} == {path, other}
    assert found.backup.path == (other if later == "of the same second" else path)


def test_list_that_was_changed_is_damage(backups):
    path = backups.put_media()
    content = backups.remote.read(path)
    backups.remote.write(path, content[:-1] + bytes([content[-1] ^ 1]))

    with pytest.raises(BackupDamaged):
        find().read(get_catalog())


@pytest.mark.django_db(transaction=True)
def test_backup_that_ends_between_two_looks_is_no_damage(media_site, tmp_path):
    """The mirror was listed before it, and the lists after it."""
    remote, before = media_site.remote.root, tmp_path / "before"
    put_media(media_site.remote, {"always": b"there", "a": b"one"})
    shutil.copytree(remote, before)
    media_site.write({"a": b"longer", "new": b"two"})
    put_version(media_site.remote, DAY + A_MINUTE, "a", b"one")
    lines = listed(media_site.folder)
    newest = put_media(media_site.remote, media_site.read(), DAY + A_MINUTE, lines=lines)
    remote.rename(tmp_path / "after")
    shutil.copytree(before, remote)
    body = f"""
if "lsjson" in arguments and "media-versions" in arguments[-1] and os.path.exists({str(before)!r}):
    os.rename({str(before)!r}, {str(before)!r} + ".seen")
    os.rename({str(remote)!r}, {str(remote)!r} + ".gone")
    os.rename({str(tmp_path / "after")!r}, {str(remote)!r})
"""
    media_site.wrap(tmp_path / "bin", body)

    plan = api.plan_restore_media()

    assert plan.backup.path == newest
    assert plan.difference.is_empty


@pytest.mark.django_db(transaction=True)
def test_backup_that_was_deleted_after_it_was_chosen_is_not_restored(media_site):
    """The versions that only it needed are gone too, and a file of the same size is in the mirror."""
    put_media(media_site.remote, {"a": b"one"})
    media_site.write({"a": b"now"})
    plan = api.plan_restore_media()
    put_version(media_site.remote, DAY + A_MINUTE, "a", b"one")
    put_media(media_site.remote, {"a": b"two"}, DAY + A_MINUTE)
    api.delete_backups([plan.backup.path])

    for files in None, ["a"]:  # all that is stored is listed, and only what was chosen
        with pytest.raises(BackupNotFound, match=plan.backup.name):
            api.restore_media(plan, files=files)

        assert media_site.read()["a"] == b"now"
