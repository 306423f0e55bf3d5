"""Two sites on one folder, and storages that are late: nobody's good backup is removed."""

import threading
from datetime import UTC, datetime, timedelta

import pytest

from django_rclone_admin.core import patience
from django_rclone_admin.core.control import Control
from django_rclone_admin.core.manifest import Manifest
from django_rclone_admin.core.publishing import Upload
from django_rclone_admin.core.states import State
from django_rclone_admin.core.transfer import CommandSource
from django_rclone_admin.exceptions import BackupError
from tests.support.engine import SOURCE, local_catalog, python
from tests.support.matrix import sampled
from tests.support.programs import wrapper

NOON = datetime(2026, 11, 22, 12, 0, tzinfo=UTC)
NAME = "default-2026-11-22-120000.dump"
OURS = b"dump" * 1000


@pytest.fixture
def root(tmp_path):
    (tmp_path / "remote" / "db").mkdir(parents=True)
    return tmp_path / "remote"


def prepared(catalog, run, content=OURS, **values):
    return Upload(
        catalog=catalog, database="default", taken_at=NOON, extension="dump", compression=None, level=None, run=run, **values
    )  # fmt: skip


def manifest_of(name, size, run, sha256=""):
    return Manifest(
        name=name, database="default", engine="", connector="", taken_at=NOON, finished_at=NOON, size=size,
        raw_size=size, sha256=sha256, run=run,
    )  # fmt: skip


def publish(upload):
    """Upload a dump, with its manifest, and return its name."""
    name, stored = upload.send(CommandSource(python(f"{SOURCE}out.write(b'dump' * 1000)")), Control())
    upload.seal(manifest_of(name, stored.size, upload.run, stored.sha256))
    return name


def put_theirs(root, content=b"theirs"):
    """Return what a rival's program does to publish a backup of its own under the name that we want."""
    path = root / "db" / NAME
    manifest = manifest_of(NAME, len(content), "theirs").to_bytes()
    return f"open({str(path)!r}, 'wb').write({content!r}); open({str(path) + '.manifest.json'!r}, 'wb').write({manifest!r})"


def theirs(root, content=b"theirs"):
    path = root / "db" / NAME
    manifest = Manifest.from_bytes((root / "db" / f"{NAME}.manifest.json").read_bytes())
    return path.read_bytes() == content and manifest.run == "theirs"


def left_of_us(root):
    return [path.name for path in (root / "db").iterdir() if ".partial-" in path.name]


both_contents = pytest.mark.parametrize(
    "content", sampled([b"theirs", OURS], OURS), ids=["other bytes", "the same bytes"]
)


@pytest.mark.in_turns("ending")
@both_contents
@pytest.mark.parametrize("ending", ["sys.exit('no space left')", "sys.exit('connection reset by peer')"])
def test_rename_that_fails_leaves_the_winner_alone(rclone_binary, root, tmp_path, content, ending):
    rival = wrapper(
        tmp_path / "bin",
        "rclone",
        rclone_binary,
        f"if 'moveto' in arguments: {put_theirs(root, content)}; {ending}",
    )

    with pytest.raises(BackupError):
        publish(prepared(local_catalog(str(rival), root), "ours"))

    assert theirs(root, content)
    assert left_of_us(root) == []


@both_contents
def test_manifest_that_fails_leaves_the_winner_alone(rclone_binary, root, tmp_path, content):
    """They have overwritten what we renamed a moment before."""
    body = f"if 'rcat' in arguments and 'manifest' in arguments[-1]: {put_theirs(root, content)}; sys.exit('quota exceeded')"
    rival = wrapper(tmp_path / "bin", "rclone", rclone_binary, body)

    with pytest.raises(BackupError):
        publish(prepared(local_catalog(str(rival), root), "ours"))

    assert theirs(root, content)


def test_manifest_that_fails_takes_back_what_is_ours(rclone_binary, root, tmp_path):
    body = "if 'rcat' in arguments and 'manifest' in arguments[-1]: sys.exit('quota exceeded')"
    full = wrapper(tmp_path / "bin", "rclone", rclone_binary, body)

    with pytest.raises(BackupError, match="full"):
        publish(prepared(local_catalog(str(full), root), "ours"))

    assert [*(root / "db").iterdir()] == []


def test_uploads_of_one_second_get_names_of_their_own(rclone_binary, root, tmp_path):
    """Each is stopped right before its rename until both are there."""
    both = threading.Barrier(2)

    def look(entries):
        both.wait(60)

    names = {}

    def work(run):
        names[run] = publish(prepared(local_catalog(rclone_binary, root), run, look=look))

    threads = [threading.Thread(target=work, args=(run,)) for run in ("one", "two")]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(120)

    assert len({*names.values()}) == 2
    found = local_catalog(rclone_binary, root).objects()
    assert {each.name: each.state for each in found} == dict.fromkeys(names.values(), State.COMPLETE)


def test_name_that_another_upload_is_about_to_take_is_left_to_it(rclone_binary, root):
    (root / "db" / f"{NAME}.partial-other").write_bytes(b"x")

    name = publish(prepared(local_catalog(rclone_binary, root), "ours"))

    assert name not in (NAME, NAME.replace(".dump", "-2.dump"))


LATE = """
import json, subprocess
if 'lsjson' in arguments and not os.path.exists({marker!r}):
    seen = {looks!r}
    count = len(open(seen).read()) if os.path.exists(seen) else 0
    if count < {number}:
        open(seen, 'a').write('x')
        done = subprocess.run([REAL, *arguments], stdout=PIPE)
        try: entries = json.loads(done.stdout)
        except ValueError: entries = None
        if isinstance(entries, list): print(json.dumps([each for each in entries if not re.search({hidden!r}, each['Path'])]))
        else: sys.stdout.buffer.write(done.stdout)
        sys.exit(done.returncode)
    os.remove(seen)
    open({marker!r}, 'w').close()
"""


@pytest.mark.parametrize(
    "hidden",
    sampled([r"\.partial-", r"\.dump$", r"\.manifest\.json$"], r"\.dump$", r"\.manifest\.json$"),
    ids=["upload", "backup", "manifest"],
)
def test_object_that_shows_up_late_is_waited_for(rclone_binary, root, tmp_path, hidden):
    """The storage does not show it in the first looks."""
    body = LATE.format(marker=str(tmp_path / "shown"), looks=str(tmp_path / "looks"), number=2, hidden=hidden)
    catalog = local_catalog(str(wrapper(tmp_path / "bin", "rclone", rclone_binary, body)), root)

    name = publish(prepared(catalog, "ours"))

    [found] = local_catalog(rclone_binary, root).objects()
    assert (found.name, found.state) == (name, State.COMPLETE)


def test_manifest_that_never_shows_up_costs_no_backup(rclone_binary, root, tmp_path, monkeypatch):
    """It was written; whether it comes nobody can tell."""
    monkeypatch.setattr(patience, "WAITS", (0.01, 0.01))  # time alone
    body = LATE.format(
        marker=str(tmp_path / "never"), looks=str(tmp_path / "looks"), number=999, hidden="manifest"
    )
    catalog = local_catalog(str(wrapper(tmp_path / "bin", "rclone", rclone_binary, body)), root)

    with pytest.raises(BackupError, match=r"shows 0 bytes of db/.*manifest"):
        publish(prepared(catalog, "ours"))

    [found] = local_catalog(rclone_binary, root).objects()
    assert found.state is State.COMPLETE


def test_upload_that_never_shows_up_is_no_backup(rclone_binary, root, tmp_path, monkeypatch):
    monkeypatch.setattr(patience, "WAITS", (0.01, 0.01))  # time alone
    body = LATE.format(
        marker=str(tmp_path / "never"), looks=str(tmp_path / "looks"), number=999, hidden="partial"
    )
    catalog = local_catalog(str(wrapper(tmp_path / "bin", "rclone", rclone_binary, body)), root)

    with pytest.raises(BackupError, match="shows 0 bytes"):
        publish(prepared(catalog, "ours"))

    assert [*(root / "db").iterdir()] == []


def test_what_an_attempt_could_not_take_back_the_next_one_does(rclone_binary, root, tmp_path):
    """The network is gone right after the rename."""
    gone = tmp_path / "gone"
    body = f"""
if 'rcat' in arguments and 'manifest' in arguments[-1] and not os.path.exists({str(gone)!r}): open({str(gone)!r}, 'w').close()
if os.path.exists({str(gone)!r}) and os.path.getsize({str(gone)!r}) == 0: sys.exit('connection refused')
"""
    catalog = local_catalog(str(wrapper(tmp_path / "bin", "rclone", rclone_binary, body)), root)
    left = {}
    with pytest.raises(BackupError, match="refused"):
        publish(prepared(catalog, "ours", left=left))
    assert left
    gone.write_text("and back")

    later = Upload(
        catalog=catalog, database="default", taken_at=NOON + timedelta(minutes=1), extension="dump", compression=None,
        level=None, run="ours", left=left,
    )  # fmt: skip
    name = publish(later)

    assert left == {}
    assert sorted(path.name for path in (root / "db").iterdir()) == [name, f"{name}.manifest.json"]
