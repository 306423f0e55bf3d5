"""The catalog tells what is on the remote from the remote alone, in at most two calls."""

import dataclasses
from datetime import UTC, datetime, timedelta

import pytest

from django_rclone_admin.core.answers import Entry
from django_rclone_admin.core.catalog import latest
from django_rclone_admin.core.manifest import Manifest
from django_rclone_admin.core.states import State
from django_rclone_admin.exceptions import RemoteDenied, RemoteError
from django_rclone_admin.remote import list_folders
from tests.support.engine import NAMING, local_catalog, local_rclone
from tests.support.programs import wrapper

NOON = datetime(2026, 11, 22, 12, 0, tzinfo=UTC)
NAME = "default-2026-11-22-120000.dump"


def manifest(name=NAME, **changes):
    parsed = NAMING.parse(name)
    values = {"size": 4, "raw_size": 4, "sha256": "", "engine": "sqlite", "connector": "", **changes}
    return Manifest(
        name=name,
        database=parsed.database,
        taken_at=parsed.taken_at,
        finished_at=parsed.taken_at,
        **values,
    )


@pytest.fixture
def put(root):
    """Put a backup on the remote: its content, and a manifest unless told otherwise."""

    def put(name=NAME, content=b"dump", **changes):
        (root / "db" / name).write_bytes(content)
        (root / "db" / f"{name}.manifest.json").write_bytes(manifest(name, **changes).to_bytes())

    return put


def states(catalog):
    return {each.name: each.state for each in catalog.objects()}


def test_folder_that_is_not_there_yet_is_empty(rclone_binary, tmp_path):
    assert local_catalog(rclone_binary, tmp_path / "nowhere").objects() == []


def test_folder_may_be_the_remote_itself(rclone_binary, root):
    (root / NAME).write_bytes(b"dump")

    [found] = local_catalog(rclone_binary, root, folder="").objects()

    assert (found.name, found.path) == (NAME, NAME)


def test_backup_with_a_manifest_of_its_size_is_complete(catalog, put):
    put()

    [found] = catalog.objects()

    assert found.state is State.COMPLETE
    assert found.manifest == manifest()
    assert (found.path, found.size, found.database, found.taken_at) == (f"db/{NAME}", 4, "default", NOON)


def test_state_is_what_size_and_manifest_say(catalog, put, root):
    """Damaged is what has another size than its manifest says, what is empty, and what has the manifest of another."""
    names = [f"default-2026-11-22-1200{number:02}.dump" for number in range(8)]
    complete, legacy, emptied, shorter, longer, always_empty, empty_legacy, with_another = names
    put(complete)
    (root / "db" / legacy).write_bytes(b"dump")
    for name, content in (emptied, b""), (shorter, b"dum"), (longer, b"dumps"):
        put(name, content)
    put(always_empty, content=b"", size=0)
    (root / "db" / empty_legacy).touch()
    (root / "db" / with_another).write_bytes(b"dump")
    (root / "db" / f"{with_another}.manifest.json").write_bytes(manifest(complete).to_bytes())

    expected = {complete: State.COMPLETE, legacy: State.LEGACY} | dict.fromkeys(names[2:], State.DAMAGED)
    assert states(catalog) == expected


def test_unreadable_manifest_makes_its_backup_damaged_and_no_other(catalog, put, root):
    rubbish = [b"", b"{", b"\xff\x00\n\n", manifest().to_bytes()[:-20]]
    names = [f"default-2026-11-22-1{hour}0000.dump" for hour in range(2 * len(rubbish) + 1)]
    for name in names:
        put(name)
    for name, content in zip(names[1::2], rubbish, strict=True):
        (root / "db" / f"{name}.manifest.json").write_bytes(content)

    expected = dict.fromkeys(names, State.COMPLETE) | dict.fromkeys(names[1::2], State.DAMAGED)
    assert states(catalog) == expected


def test_what_we_did_not_make_is_foreign(catalog, root):
    """A manifest or a pin without its backup, too: it belongs to nothing."""
    names = [
        "README.md",
        "default-2026-11-22.dump",
        f"{NAME} (copy)",
        f"{NAME}.manifest.json",
        f"{NAME}.keep",
        "-x",
    ]
    for name in names:
        (root / "db" / name).write_bytes(b"x")

    assert states(catalog) == dict.fromkeys(names, State.FOREIGN)


def test_upload_in_flight_is_incomplete(catalog, root):
    (root / "db" / f"{NAME}.partial-42").write_bytes(b"x")

    [found] = catalog.objects()

    assert (found.state, found.database, found.taken_at) == (State.INCOMPLETE, "", None)


def test_manifests_and_pins_are_not_listed_by_themselves(catalog, put, root):
    put()
    (root / "db" / f"{NAME}.keep").touch()

    [found] = catalog.objects()

    assert found.pinned


def test_backups_come_newest_first_and_what_is_none_comes_last(catalog, put, root):
    put("default-2026-11-22-120000-10.dump")
    put("default-2026-11-22-120000-2.dump")
    put("analytics-2026-11-23-000000.dump")
    put()
    (root / "db" / "README.md").touch()

    assert [each.name for each in catalog.objects()] == [
        "analytics-2026-11-23-000000.dump",
        "default-2026-11-22-120000-10.dump",
        "default-2026-11-22-120000-2.dump",
        NAME,
        "README.md",
    ]


def test_folders_and_what_is_in_them_are_not_listed(catalog, put, root):
    (root / "db" / "sub").mkdir()
    put()
    (root / "db" / "sub" / NAME).write_bytes(b"x")

    assert len(catalog.objects()) == 1


@pytest.fixture
def logged(rclone_binary, root, tmp_path):
    """A catalog whose rclone writes each of its calls down, and the file where."""
    log = tmp_path / "calls"
    note = f"with open({str(log)!r}, 'a') as log: print(*arguments, file=log)"
    binary = wrapper(tmp_path / "bin", "rclone", rclone_binary, note)
    return local_catalog(str(binary), root), log


def test_listing_takes_two_calls_however_many_backups_there_are(logged, put):
    catalog, log = logged
    for minute in range(40):
        put(f"default-2026-11-22-12{minute:02}00.dump")

    assert len(catalog.objects()) == 40
    assert len(log.read_text().splitlines()) == 2


def test_listing_without_manifests_takes_one_call(logged, put):
    catalog, log = logged
    put()

    [found] = catalog.objects(manifests=False)

    assert (found.state, found.manifest) == (State.COMPLETE, None)
    assert len(log.read_text().splitlines()) == 1


def test_remote_that_cannot_be_listed_is_never_an_empty_catalog(rclone_binary):
    broken = dataclasses.replace(local_rclone(rclone_binary, "/"), remote="nosuchremote:")

    with pytest.raises(RemoteError):
        dataclasses.replace(broken, remote=":ftp,host=127.0.0.1,port=1:").entries("db")
    with pytest.raises(RemoteError):
        broken.entries("db")


def test_names_that_cannot_be_decrypted_are_never_an_empty_catalog(make_remote, rclone_binary):
    """rclone lists nothing there, and says that all is well."""
    remote = make_remote("crypt")
    remote.write(f"db/{NAME}", b"dump")
    env = remote.settings["RCLONE_ENV"]
    wrong = env | {"RCLONE_CONFIG_SHOP_PASSWORD": env["RCLONE_CONFIG_SHOP_PASSWORD2"]}
    catalog = local_catalog(rclone_binary, "shop:")
    catalog.rclone = dataclasses.replace(catalog.rclone, env=env)
    assert len(catalog.objects()) == 1

    catalog.rclone = dataclasses.replace(catalog.rclone, env=wrong)
    for look in (catalog.objects, lambda: list_folders([catalog]), lambda: list_folders([catalog, catalog])):
        with pytest.raises(RemoteDenied, match="decrypted"):
            look()


def stored(catalog, hours, **changes):
    """Return a listed backup, so many hours before noon, without a remote."""
    name = NAMING.render(database="default", taken_at=NOON - timedelta(hours=hours), extension="dump")
    [found] = catalog.arrange([Entry(name=name, size=4, stamp="")])
    trigger = changes.pop("trigger", None)
    held = manifest(name, trigger=trigger) if trigger else None
    return dataclasses.replace(found, manifest=held, **changes)


LATEST = {
    "newest complete": ([("complete", 3), ("complete", 2)], 1),
    "complete before a newer legacy one": ([("complete", 3), ("legacy", 1)], 0),
    "complete before a newer damaged one": ([("complete", 3), ("damaged", 1)], 0),
    "legacy where nothing is complete": ([("legacy", 3), ("legacy", 2), ("damaged", 1)], 1),
    "complete before a newer safety one": ([("complete", 3), ("safety", 1)], 0),
    "legacy before a safety one": ([("legacy", 3), ("safety", 1)], 0),
    "safety where there is no other": ([("safety", 3), ("safety", 2)], 1),
    "none where all are damaged": ([("damaged", 3)], None),
    "none where nothing is": ([], None),
}


@pytest.mark.parametrize("case", LATEST)
def test_latest_backup_is_the(catalog, case):
    listed, expected = LATEST[case]
    backups = [
        stored(catalog, hours, state=State.COMPLETE, trigger="safety")
        if kind == "safety"
        else stored(catalog, hours, state=State(kind), trigger="schedule" if kind == "complete" else None)
        for kind, hours in listed
    ]

    found = latest(reversed(backups), "default")

    assert found == (None if expected is None else backups[expected])
    assert latest(backups, "analytics") is None
