"""A name appears on the remote only when all of its backup is there, and never in the place of another."""

from datetime import UTC, datetime, timedelta

import pytest

from django_rclone_admin.core.catalog import latest
from django_rclone_admin.core.control import Control
from django_rclone_admin.core.manifest import Manifest
from django_rclone_admin.core.naming import Naming
from django_rclone_admin.core.publishing import Upload
from django_rclone_admin.core.states import State
from django_rclone_admin.core.store import digest, remove, set_pin, sweep
from django_rclone_admin.core.transfer import CommandSource
from django_rclone_admin.exceptions import BackupError, EmptyDump, ProgramFailed, Stalled
from tests.support.engine import SOURCE, local_catalog, python
from tests.support.programs import fail, wrapper

NOON = datetime(2026, 11, 22, 12, 0, tzinfo=UTC)
NAME = "default-2026-11-22-120000.dump"
DUMP = python(f"{SOURCE}out.write(b'dump' * 1000)")


@pytest.fixture
def root(tmp_path):
    (tmp_path / "remote").mkdir()
    return tmp_path / "remote"


@pytest.fixture
def catalog(rclone_binary, root):
    return local_catalog(rclone_binary, root)


def upload(catalog, command=DUMP, *, run="42", compression=None):
    """Upload a dump, with its manifest, and return its name."""
    work = Upload(
        catalog=catalog, database="default", taken_at=NOON, extension="dump", compression=compression, level=None,
        run=run,
    )  # fmt: skip
    name, stored = work.send(CommandSource(command), Control())
    manifest = Manifest(
        name=name, database="default", engine="", connector="", taken_at=NOON, finished_at=NOON, size=stored.size,
        raw_size=stored.raw_size, sha256=stored.sha256, compression=compression,
    )  # fmt: skip
    work.seal(manifest)
    return name


def put(root, name=NAME):
    """Put a backup there as an upload leaves it."""
    manifest = Manifest(
        name=name, database="default", engine="", connector="", taken_at=NOON, finished_at=NOON, size=4, raw_size=4,
        sha256="",
    )  # fmt: skip
    (root / "db").mkdir(exist_ok=True)
    (root / "db" / name).write_bytes(b"dump")
    (root / "db" / f"{name}.manifest.json").write_bytes(manifest.to_bytes())


def names(root):
    return sorted(path.name for path in root.rglob("*") if path.is_file())


def test_bytes_that_take_too_long_to_read_are_not_waited_for():
    """A huge backup whose renaming was cancelled is not read again to see whose it is: it stays, and is said to be there."""
    endless = python(f"{SOURCE}import time\nwhile True: out.write(b'x'); out.flush(); time.sleep(0.01)")
    with pytest.raises(Stalled):
        digest(endless, seconds=0.5)


def test_upload_is_a_complete_backup_and_nothing_else(catalog, root):
    """Its manifest has the sizes before and after its compression."""
    assert upload(catalog, compression="zstd") == f"{NAME}.zst"

    [found] = catalog.objects()
    assert found.state is State.COMPLETE
    assert found.size == found.manifest.size < found.manifest.raw_size == 4000
    assert names(root) == [f"{NAME}.zst", f"{NAME}.zst.manifest.json"]


@pytest.mark.parametrize(
    "code, error", [("sys.exit(1)", ProgramFailed), ("", EmptyDump)], ids=["fails", "is empty"]
)
def test_dump_that_fails_leaves_nothing(catalog, root, code, error):
    with pytest.raises(error):
        upload(catalog, python(SOURCE + code))

    assert names(root) == []


@pytest.mark.parametrize("step", ["rcat", "moveto", "manifest"])
def test_remote_that_fails_leaves_nothing(rclone_binary, root, tmp_path, step):
    broken = fail(tmp_path / "bin", "rclone", rclone_binary, message="no space left", when=rf"\b{step}\b")

    with pytest.raises(BackupError, match="full"):
        upload(local_catalog(str(broken), root))

    assert names(root) == []


def test_second_backup_of_the_same_second_has_a_name_of_its_own(catalog, root):
    put(root)

    second = upload(catalog)

    found = catalog.objects()
    assert second == NAME.replace(".dump", "-2.dump")
    assert (latest(found, "default").name, found[0].size, found[0].manifest.raw_size) == (second, 4000, 4000)
    assert {each.name: each.state for each in found} == dict.fromkeys([NAME, second], State.COMPLETE)


def test_number_that_was_removed_does_not_come_back(catalog, root):
    """With days for a date format, the newest backup would take the oldest's place, and be the next to go."""
    catalog.naming = Naming("{database}-{datetime}.{ext}", "%Y-%m-%d")
    for name in "default-2026-11-22.dump", "default-2026-11-22-2.dump":
        put(root, name)
    remove(catalog, catalog.objects(manifests=False)[-1])

    newest = upload(catalog)

    found = catalog.objects()
    assert newest == "default-2026-11-22-3.dump"
    assert [each.number for each in found] == [3, 2]
    assert latest(found, "default").name == newest


def test_name_that_is_taken_between_the_look_and_the_rename_is_left_alone(rclone_binary, root, tmp_path):
    """Another machine may back up to the same remote in the same second."""
    taken = root / "db" / NAME
    take = f"path = {str(taken)!r}\nif 'moveto' in arguments and not os.path.exists(path): open(path, 'w').write('theirs')"
    quicker = wrapper(tmp_path / "bin", "rclone", rclone_binary, take)

    name = upload(local_catalog(str(quicker), root))

    assert name == NAME.replace(".dump", "-2.dump")
    assert taken.read_text() == "theirs"
    assert names(root) == [name, f"{name}.manifest.json", NAME]


def test_removed_backup_leaves_neither_manifest_nor_pin(catalog, root):
    put(root)
    set_pin(catalog, catalog.objects(manifests=False)[0], pinned=True)
    [backup] = catalog.objects(manifests=False)
    assert backup.pinned

    remove(catalog, backup)

    assert names(root) == []


def test_pin_can_be_taken_off_again(catalog, root):
    put(root)
    [backup] = catalog.objects(manifests=False)
    for pinned in (True, True, False, False):
        set_pin(catalog, backup, pinned=pinned)

        [backup] = catalog.objects(manifests=False)
        assert backup.pinned is pinned


@pytest.mark.parametrize(
    "is_over, age, is_swept",
    [(True, 0, True), (False, 5, False), (None, 0, False), (None, 0.9, False), (None, 1.1, True)],
    ids=["run is over", "run goes on", "unknown run", "unknown run of today", "unknown run of yesterday"],
)
def test_upload_in_flight_is_swept_when_nobody_works_on_it(catalog, root, is_over, age, is_swept):
    (root / "db").mkdir()
    (root / "db" / f"{NAME}.partial-42").write_bytes(b"x")
    asked = []

    def is_run_over(run):
        asked.append(run)
        return is_over

    count = sweep(
        catalog, catalog.objects(), is_run_over, datetime.now(UTC) + timedelta(days=age), pytest.fail
    )

    assert asked == ["42"]
    assert (count, names(root) == []) == (int(is_swept), is_swept)


def test_sweep_touches_nothing_else(catalog, root):
    put(root)
    (root / "db" / "README.md").touch()
    before = names(root)

    later = datetime.now(UTC) + timedelta(days=99)
    assert sweep(catalog, catalog.objects(), lambda run: True, later, pytest.fail) == 0
    assert names(root) == before
