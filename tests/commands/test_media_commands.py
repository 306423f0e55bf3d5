"""``mediabackup`` and ``mediarestore`` as an operator uses them, and what they refuse."""

import hashlib
import json
import os
import re
import shutil
import tempfile
from datetime import UTC, datetime
from itertools import product
from pathlib import Path
from signal import SIGKILL

import pytest

from django_rclone_admin.core.compression import ZSTD, Compressor, Decompressor
from tests.site import settings as site_settings
from tests.support import programs, tables
from tests.support.faults import assert_failed
from tests.support.matrix import sampled
from tests.support.remotes import local
from tests.support.shops import Shops
from tests.support.site import Result, Shop
from tests.support.templates import made_once
from tests.support.waiting import wait_for

FILES = {
    "a.jpg": b"one",
    "Größe/日本 🙂.png": b"unicode",
    "-rf": b"a leading dash",
    "new\nline": b"two lines",
    "empty": b"",
    "back\\slash": b"a name that no server of rclone takes",
    "1/2/3/4/5/6/7/8/9/10": b"deep",
}

UPLOADS = "place/uploads"
"""The media folder of a shop, below its home."""

REMOTE = "remote"
"""The folder in the home of the shop that all others copy, which is its remote."""


LONG_AGO = 1_600_000_000
"""Time of the files that all tests copy; see ``write``."""


@pytest.fixture
def original(shops: Shops, rclone_binary: str) -> Path:
    """The home of a shop with a few files and a backup of them, for all others to copy."""

    def make() -> Path:
        home = Path(tempfile.mkdtemp(prefix="media-", dir=shops.folder)) / "shop"
        shop = shops.open(home, "sqlite")
        shop.remote = local(home / REMOTE, rclone_binary)
        shop.settings |= {
            "MEDIA_ROOT": str(home / UPLOADS),
            "DJANGO_RCLONE": {"RCLONE_BINARY": rclone_binary, **shop.remote.settings},
        }
        write(home / UPLOADS, FILES)
        for name in FILES:
            os.utime(home / UPLOADS / name, (LONG_AGO, LONG_AGO))
        back_up(shop)
        shops.clear(shop, "sqlite")
        return home

    return made_once(shops.folder, "media", make)


@pytest.fixture
def media(shop: Shop, original: Path) -> Path:
    """The media folder of the shop, with a few files."""
    folder = shop.home / UPLOADS
    shop.settings["MEDIA_ROOT"] = str(folder)
    shutil.copytree(original / UPLOADS, folder)
    return folder


@pytest.fixture
def backup(shop: Shop, original: Path) -> str:
    """The name of a backup of these files, which the history of the shop knows."""
    shutil.copytree(original / REMOTE, shop.remote.root, dirs_exist_ok=True)
    shutil.copy(original / shop.path().name, shop.path())
    [name] = [name for name in shop.remote.names("media-versions") if not name.endswith(".json")]
    return Path(name).name


def write(folder: Path, files: dict[str, bytes]) -> None:
    """Write files, each a little later than the one before."""
    for name, content in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
        write.clock += 2  # type: ignore[attr-defined]
        os.utime(path, (write.clock, write.clock))  # type: ignore[attr-defined]


write.clock = 1_700_000_000  # type: ignore[attr-defined]


def read(folder: Path) -> dict[str, bytes]:
    """Return all files below a folder; links are not followed."""
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file() and not path.is_symlink()
    }


def back_up(shop: Shop, *options: str) -> str:
    """Back up and return the name of the backup."""
    result = shop.manage("mediabackup", "--json", *options)
    assert result.code == 0, result
    return Path(result.json["path"]).name


def restore(shop: Shop, *options: str) -> Result:
    return shop.manage("mediarestore", "--noinput", *options)


def listed(shop: Shop, *options: str) -> list[dict[str, object]]:
    return shop.manage("listbackups", "--media", "--json", *options).json


def kept(shop: Shop) -> set[str]:
    """Return the names of the backups that are on the remote with their manifests."""
    end = ".manifest.json"
    names = [name.removeprefix("media-versions/") for name in shop.remote.names("media-versions")]
    return {name.removesuffix(end) for name in names if name.endswith(end)} & set(names)


def in_list(shop: Shop, backup: str) -> dict[str, tuple[int, float]]:
    """Return size and time of each file that the list of a backup names."""
    stage = Decompressor()
    text = b"".join(stage.feed(shop.remote.read(f"media-versions/{backup}"))) + stage.finish()
    lines = map(json.loads, text.splitlines())
    return {
        # rclone has a letter of its own for the end of a line.
        each["path"].replace("␊", "\n"): (each["size"], datetime.fromisoformat(each["time"]).timestamp())
        for each in lines
    }


COPY = r"\b(sync|copy)\b"
"""What copies the files."""


def wrap(shop: Shop, program: Path | str) -> None:
    """Have the shop use that rclone."""
    shop.settings["DJANGO_RCLONE"]["RCLONE_BINARY"] = str(program)


# -- what they do ---------------------------------------------------------------------------------------------------------


def test_backup_is_listed_and_restored(shop, media):
    with_receivers(shop, RECEIVER)
    dry = shop.manage("mediabackup", "--dry-run", "--json")
    assert dry.json == {"added": len(FILES), "changed": 0, "removed": 0}
    assert shop.remote.names() == []

    run = shop.manage("mediabackup", "--json").json
    assert (run["kind"], run["status"], run["trigger"]) == ("media_backup", "succeeded", "command")
    assert run["size"] == sum(map(len, FILES.values()))
    assert run["message"].startswith(f"Backed up {len(FILES)} files")
    assert shop.manage("mediabackup", "--dry-run", "--json").json == {"added": 0, "changed": 0, "removed": 0}
    [backup] = listed(shop)
    assert re.fullmatch(r"media-\d{4}-\d\d-\d\d-\d{6}\.jsonl\.zst", backup["name"])
    assert backup == {
        "name": Path(run["path"]).name,
        "path": run["path"],
        "kind": "media",
        "database": "media",
        "taken_at": backup["taken_at"],
        "size": run["size"],
        "state": "complete",
        "pinned": False,
    }

    write(media, {"a.jpg": b"ONE", "added": b"since then"})
    (media / "-rf").unlink()
    dry = restore(shop, "--dry-run", "--exact", "--json")
    assert dry.json == {"name": backup["name"], "added": 1, "changed": 1, "removed": 1}
    assert read(media)["a.jpg"] == b"ONE"
    result = restore(shop, "--json")
    assert (result.code, result.json["kind"]) == (0, "media_restore")
    assert read(media) == {**FILES, "added": b"since then"}
    assert heard(shop) == [
        "pre_media_backup media_backup []",
        "post_media_backup media_backup []",
        "pre_media_restore media_restore []",
        "post_media_restore media_restore []",
    ]
    # What it replaced is kept for an undo, and nothing else is left.
    assert [each.name for each in media.parent.iterdir() if "-before-restore-" not in each.name] == [
        "uploads"
    ]


@pytest.mark.parametrize("answer, code", [("y\n", 0), ("n\n", 1)], ids=["yes", "no"])
def test_restore_on_a_new_server_asks_first_and_makes_the_folder(shop, media, backup, answer, code):
    folder = shop.home / "elsewhere" / "media"
    shop.settings["MEDIA_ROOT"] = str(folder)
    result = shop.manage("mediarestore", input=answer)
    assert result.code == code
    assert "Restore the media files? [y/N]" in result.err
    assert folder.exists() == (code == 0)
    if folder.exists():
        assert read(folder) == FILES


def test_plain_mirror_of_django_rclone_is_restored(shop, media):
    for name, content in FILES.items():
        shop.remote.write(f"media/{name}", content)
    write(media, {"a.jpg": b"changed"})
    (media / "-rf").unlink()
    assert restore(shop).code == 0
    assert read(media) == FILES
    name = back_up(shop)
    assert kept(shop) == {name}


def test_excluded_files_are_neither_copied_nor_removed(shop, media, backup):
    """A backup from before the exclusion has them. It is named by its path; there is one of each time alone."""
    shop.remote.write("media/cache/old", b"there since long")
    shop.settings["DJANGO_RCLONE"]["MEDIA_EXCLUDE"] = ["/cache/**", "*.tmp", "*.jpg"]
    excluded = {"cache/thumbnail": b"made anew", "upload.tmp": b"under way", "a.jpg": b"changed"}
    write(media, excluded)
    later = back_up(shop)
    assert kept(shop) == {later, backup}
    others = {name: content for name, content in FILES.items() if name != "a.jpg"}
    assert shop.remote.files("media") == {"media/cache/old": b"there since long"} | {
        f"media/{name}": content for name, content in FILES.items()
    }
    write(media, {"added": b"since then", "-rf": b"changed"})
    (media / "empty").unlink()
    said = restore(shop, "--exact").out
    assert "Files to add: 1, to replace: 1, to remove: 1." in said
    assert "media files: Restored 2 files, removed 1 file." in said
    assert read(media) == others | excluded

    (media / "a.jpg").unlink()
    assert_failed(restore(shop, "--at", "media-2001-01-01-000000"), "There is no media backup")
    assert restore(shop, "--at", f"media-versions/{backup}", "--exact").code == 0
    assert read(media) == FILES | {name: excluded[name] for name in excluded if name != "a.jpg"}


@pytest.mark.in_turns("name")
@pytest.mark.parametrize("name", ["1", "a.jpg"], ids=["folder", "file"])
def test_restore_does_not_write_through_a_link(shop, media, backup, name):
    outside = shop.home / "outside"
    outside.mkdir()
    write(outside, {"file": b"private"})
    (media / name).rename(shop.home / "moved")
    (media / name).symlink_to(outside / "file" if name == "a.jpg" else outside)
    before = read(media)
    assert_failed(restore(shop), "symbolic link where .* has to be restored")
    assert read(outside) == {"file": b"private"}
    assert read(media) == before


RECEIVER = """
from pathlib import Path

from django.dispatch import receiver
from django_rclone_admin import signals

def tell(name):
    def told(sender, run, **values):
        with Path(__file__).with_name("heard").open("a") as file:
            print(name, run.kind, sorted(set(values) - {"signal"}), file=file)
    return told

kept = {name: tell(name) for name in ("pre_media_backup", "post_media_backup", "pre_media_restore", "post_media_restore")}
for name, function in kept.items():
    getattr(signals, name).connect(function)
"""
VETO = (
    RECEIVER
    + "\ndef veto(**values):\n    raise RuntimeError('not today')\nsignals.pre_media_%s.connect(veto)\n"
)


def with_receivers(shop: Shop, code: str) -> None:
    """Have the shop's processes connect receivers."""
    folder = shop.home / "receivers"
    (folder / "receiving").mkdir(parents=True, exist_ok=True)
    (folder / "receiving" / "__init__.py").write_text("")
    (folder / "receiving" / "apps.py").write_text(
        "from django.apps import AppConfig\n\n"
        "class Receiving(AppConfig):\n    name = 'receiving'\n"
        "    def ready(self):\n        from receiving import receivers\n"
    )
    (folder / "receiving" / "receivers.py").write_text(code)
    shop.environment["PYTHONPATH"] = str(folder)
    shop.settings["INSTALLED_APPS"] = [*site_settings.INSTALLED_APPS, "receiving"]


def heard(shop: Shop) -> list[str]:
    """Return what the receivers of the shop have heard."""
    return (shop.home / "receivers" / "receiving" / "heard").read_text().splitlines()


def test_receiver_may_veto(shop, media, backup):
    objects = shop.remote.files()
    write(media, {"a.jpg": b"changed"})
    with_receivers(shop, VETO % "backup")
    assert_failed(shop.manage("mediabackup"), "A signal receiver in your project blocked this run: not today")
    assert shop.remote.files() == objects
    with_receivers(shop, VETO % "restore")
    assert_failed(restore(shop), "A signal receiver in your project blocked this run: not today")
    assert read(media) == {**FILES, "a.jpg": b"changed"}


# -- what they refuse -----------------------------------------------------------------------------------------------------


def test_source_that_looks_wrong_is_refused(shop, media, backup):
    objects = shop.remote.files()
    media.rename(shop.home / "away")
    assert_failed(shop.manage("mediabackup"), "The media folder does not exist", code=2)
    assert_failed(shop.manage("mediabackup", "--dry-run"), "The media folder does not exist", code=2)
    media.mkdir()
    refused = shop.manage("mediabackup")
    assert_failed(refused, f"There are no media files, but the backup has {len(FILES)}", code=2)
    assert "MEDIA_MAX_DELETE_PERCENT to 100" in refused.err
    write(media, {"a.jpg": b"one", "other": b"new"})
    removed = len(FILES) - 1
    expected = f"would remove {removed} of {len(FILES)} files, more than 50 percent"
    assert_failed(shop.manage("mediabackup"), expected, code=2)
    assert shop.remote.files() == objects
    shop.settings["MEDIA_ROOT"] = ""
    assert_failed(shop.manage("mediabackup"), "MEDIA_ROOT is empty", code=2)


def test_way_on_that_the_refusal_names_works(shop, media, backup):
    for each in FILES:
        (media / each).unlink()
    write(media, {"one": b"put there"})
    shop.settings["DJANGO_RCLONE"]["MEDIA_MAX_DELETE_PERCENT"] = 100
    back_up(shop)
    assert shop.remote.files("media") == {"media/one": b"put there"}
    versions = shop.remote.files("media-versions").items()
    assert sorted(content for name, content in versions if "jsonl" not in name) == sorted(FILES.values())


def test_options_that_exclude_each_other_are_refused(shop, media):
    refused = shop.manage("mediabackup", "--dry-run", "--clean")
    assert (refused.code, "can't be used together" in refused.err) == (2, True)


def test_empty_remote_is_not_restored(shop, media):
    refused = restore(shop, "--exact", "--json")
    assert_failed(refused, "The media backup is empty")
    assert refused.json.keys() == {"error", "hint"}
    assert read(media) == FILES


def test_restore_that_misses_files_changes_nothing(shop, media, backup):
    """One is gone, one is cut."""
    shop.remote.remove("media/a.jpg")
    shop.remote.write("media/-rf", b"cut")
    write(media, {"a.jpg": b"changed", "added": b"since then"})
    (media / "empty").unlink()
    before = read(media)
    assert_failed(
        restore(shop, "--exact"), "Files of this media backup that are missing on the remote: 2, among them"
    )
    assert read(media) == before


@pytest.mark.in_turns("path")
@pytest.mark.parametrize("path", ["../x", "/etc/x", "a/../../x"])
def test_list_that_leads_outside_is_refused(shop, media, backup, path):
    name = backup
    forge(shop, name, [{"path": path, "size": 3, "time": ""}])
    shop.remote.write("x", b"bad")
    before = read(shop.home / "place")
    assert_failed(restore(shop, "--exact"), "names a path outside of the media folder")
    assert read(shop.home / "place") == before


def spoil_list(shop: Shop, backup: str) -> None:
    """Change a byte of a file list and leave its size."""
    name = f"media-versions/{backup}"
    content = bytearray(shop.remote.read(name))
    content[-1] ^= 1
    shop.remote.write(name, bytes(content))


def test_list_with_a_wrong_byte_is_refused(shop, media, backup):
    """The next backup is among the doubts of ``jobs/test_media_difference``."""
    write(media, {"a.jpg": b"since then"})
    spoil_list(shop, backup)
    assert_failed(restore(shop, "--exact"), "")
    assert read(media) == {**FILES, "a.jpg": b"since then"}


def test_mirror_that_is_not_as_the_last_list_says_is_repaired(shop, media, backup):
    """What is in the way there is not in the list."""
    mirror = shop.remote.root / "media"
    (mirror / "a.jpg").unlink()
    write(mirror, {"a.jpg/inner": b"in a folder", "folder": b"a file"})
    write(media, {"folder/inner": b"in a folder"})
    back_up(shop)
    assert read(mirror) == {**FILES, "folder/inner": b"in a folder"}


def forge(shop: Shop, name: str, files: list[dict[str, object]]) -> None:
    """Put another list in the place of a backup's, with a manifest that fits it."""
    compress = Compressor(ZSTD, None)
    lines = b"".join(json.dumps(each).encode() + b"\n" for each in files)
    stored = b"".join(compress.feed(lines)) + compress.finish()
    manifest = json.loads(shop.remote.read(f"media-versions/{name}.manifest.json"))
    manifest |= {"size": len(stored), "raw_size": len(lines), "sha256": hashlib.sha256(stored).hexdigest()}
    shop.remote.write(f"media-versions/{name}", stored)
    shop.remote.write(f"media-versions/{name}.manifest.json", json.dumps(manifest).encode() + b"\n")


# -- what breaks in the middle --------------------------------------------------------------------------------------------

LAST_COPY = r"\bcopy\b.*media-versions"
"""A restore copies the versions after what is in the mirror."""


@pytest.mark.parametrize("when", sampled([LAST_COPY, r"\bcopy\b"], LAST_COPY))
def test_failed_restore_changes_nothing(shop, media, backup, tmp_path, rclone_binary, when):
    """The files of the backup are in the mirror and, where a later one has replaced them, among the versions."""
    replaced = shop.remote.root / f"media-versions/{datetime.now(UTC):%Y-%m-%d-%H%M%S-%f}"
    replaced.mkdir()
    for each in "a.jpg", "-rf":
        (shop.remote.root / "media" / each).rename(replaced / each)
    shop.remote.write("media/a.jpg", b"ONE")
    write(media, {"a.jpg": b"ONE", "-rf": b"changed", "empty": b"no more", "uploads": b"since then"})
    (media / "new\nline").unlink()
    (media / "1").rename(media / "moved")
    before = read(media)
    wrap(shop, programs.fail(tmp_path / "bin", "rclone", rclone_binary, message="Killed", when=when))
    assert_failed(restore(shop, "--exact", "--at", backup), "Killed")
    assert read(media) == before
    assert [path.name for path in media.parent.iterdir()] == ["uploads"]


def test_next_restore_completes_a_killed_one_and_names_what_it_left(
    shop, media, backup, tmp_path, rclone_binary
):
    write(media, {"a.jpg": b"since then"})
    body = "if 'copy' in arguments:\n    start().wait()\n    hold()\n"
    held = programs.Held(program=programs.wrapper(tmp_path / "bin", "rclone", rclone_binary, body))
    wrap(shop, held.program)
    process = shop.start("mediarestore", "--noinput")
    held.wait()
    assert shop.kill(process).code == -SIGKILL
    [left] = [path for path in media.parent.iterdir() if path != media]
    assert read(left) == {"new/a.jpg": b"one"}
    assert read(media) == {**FILES, "a.jpg": b"since then"}
    wrap(shop, rclone_binary)
    again = restore(shop, "--json")
    assert again.code == 0
    assert str(left) in again.json["log"]
    assert read(media) == FILES


def test_file_that_goes_from_the_remote_during_the_restore_is_noticed(
    shop, media, backup, tmp_path, rclone_binary
):
    write(media, {"a.jpg": b"changed"})
    (media / "empty").unlink()
    before = read(media)
    empty = str(shop.remote.root / "media" / "empty")
    body = f"if 'copy' in arguments:\n    os.unlink({empty!r})\n"
    wrap(shop, programs.wrapper(tmp_path / "bin", "rclone", rclone_binary, body))
    assert_failed(restore(shop), "Files that did not arrive from the remote: 1, among them 'empty'")
    assert read(media) == before


def test_second_run_ends_at_once(shop, media, backup, tmp_path, rclone_binary):
    held = programs.hold_input(tmp_path / "bin", "rclone", rclone_binary, after=10, when=r"\brcat\b")
    wrap(shop, held.program)
    process = shop.start("mediabackup")
    held.wait()
    wrap(shop, rclone_binary)
    for command in ("mediabackup",), ("mediarestore", "--noinput"), ("prunebackups", "--media"):
        assert_failed(shop.manage(*command), "locked by a media backup", code=3)
    held.release()
    assert shop.finish(process).code == 0


MOMENTS = {
    "copying": COPY,
    "list": r"\brcat\b.*partial",
    "manifest": r"\brcat\b.*manifest",
    "last-look": r"\blsjson\b",
}
"""The call of rclone in which a media backup is killed; the last look comes after the manifest."""


CHANGES = {"a.jpg": b"ONE", "large": bytes(3_000_000)}
"""One of them is large enough to be found in the middle of the copy, which is slowed down for that."""


def kill_backup(shop: Shop, folder: Path, moment: str) -> None:
    """Kill a media backup in one of ``MOMENTS``."""
    when, rclone = MOMENTS[moment], shop.remote.binary
    slow = "open(sys.argv[0] + '.held', 'w').close(); arguments.insert(0, '--bwlimit=500k')"
    body = programs.after(
        MOMENTS["manifest"] if moment == "last-look" else "", when, slow if when == COPY else "hold()"
    )
    held = programs.Held(program=programs.wrapper(folder / moment, "rclone", rclone, body))
    wrap(shop, held.program)
    process = shop.start("mediabackup")
    held.wait()
    if when == COPY:
        wait_for(lambda: [name for name in shop.remote.names("media") if "large" in name])
    assert shop.kill(process).code == -SIGKILL
    wrap(shop, rclone)


def assert_restored(shop: Shop, media: Path, files: dict[str, bytes]) -> None:
    """Fail unless the last backup can be restored, and put back what is there.

    After a kill in the copy, the mirror is neither that of the backup before nor that of the next.
    """
    wanted = read(media)
    assert restore(shop, "--exact").code == 0
    assert read(media) == files
    for each in set(read(media)) - set(wanted):
        (media / each).unlink()
    write(media, {each: wanted[each] for each in wanted if read(media).get(each) != wanted[each]})


def assert_is_backup_of(media: Path, shop: Shop, name: str) -> None:
    """Fail unless the mirror and the list of a backup have the files that are there."""
    assert shop.remote.files("media") == {f"media/{name}": content for name, content in read(media).items()}
    assert in_list(shop, name) == {
        str(path.relative_to(media)): (path.stat().st_size, path.stat().st_mtime)
        for path in media.rglob("*")
        if path.is_file()
    }


@pytest.mark.slow
@pytest.mark.parametrize(
    "moment, first",
    [*product(MOMENTS, [True, False])],
)
@pytest.mark.soak  # the next test kills one in each of these moments
def test_next_backup_repairs_what_a_killed_one_left(
    request, shop, media, tmp_path, rclone_binary, moment, first
):
    taken = {} if first else {request.getfixturevalue("backup"): FILES}
    write(media, CHANGES)
    (media / "-rf").unlink()
    kill_backup(shop, tmp_path, moment)

    complete = {each["name"] for each in listed(shop) if each["state"] == "complete"}
    for name in complete - set(taken):  # killed after the last byte
        taken[name] = read(media)
    assert complete == set(taken)
    if moment == "copying":
        assert_restored(shop, media, list(taken.values())[-1])

    write(media, {"later": b"added"})
    name = back_up(shop)
    assert_is_backup_of(media, shop, name)
    assert not [name for name in shop.remote.names("media-versions") if ".partial-" in name]
    for name, files in taken.items():
        assert restore(shop, "--exact", "--at", name).code == 0
        assert read(media) == files


@pytest.mark.slow
def test_each_of_several_killed_backups_is_repaired_by_the_next(shop, media, tmp_path):
    kill_backup(shop, tmp_path, "last-look")
    [first] = kept(shop)  # killed after the last byte
    assert_is_backup_of(media, shop, first)

    write(media, CHANGES)
    (media / "-rf").unlink()
    kill_backup(shop, tmp_path, "copying")
    assert kept(shop) == {first}
    assert_restored(shop, media, FILES)

    kill_backup(shop, tmp_path, "manifest")
    names = [Path(name).name for name in shop.remote.names("media-versions")]
    [second] = [name for name in names if name.endswith(".zst") and name != first]
    assert_is_backup_of(media, shop, second)  # though it can't say so
    states = {each["name"]: each["state"] == "complete" for each in listed(shop)}
    assert states.pop(first)
    assert not any(states.values())

    write(media, {"later": b"added"})
    name = back_up(shop)
    assert_is_backup_of(media, shop, name)
    assert not [name for name in shop.remote.names("media-versions") if ".partial-" in name]
    assert restore(shop, "--exact", "--at", first).code == 0
    assert read(media) == FILES


# -- the retention --------------------------------------------------------------------------------------------------------


def test_retention_removes_the_versions_that_no_kept_backup_needs(shop, media, backup):
    """The backup that is kept needs what the next one replaced, though that one goes."""
    shop.settings["DJANGO_RCLONE"]["DB_CLEANUP_KEEP"] = 1
    shop.remote.write(f"media-versions/{backup}.keep", b"")
    write(media, {"a.jpg": b"two", "only": b"in the second"})
    second = back_up(shop)
    write(media, {"a.jpg": b"three"})
    (media / "only").unlink()

    assert shop.manage("mediabackup", "--clean").code == 0

    assert len(kept(shop)) == 2
    assert kept(shop) & {backup, second} == {backup}
    versions = [
        content for name, content in shop.remote.files("media-versions").items() if "jsonl" not in name
    ]
    assert versions == [b"one"]
    assert shop.remote.files("media") == {f"media/{name}": content for name, content in read(media).items()}
    assert restore(shop, "--exact", "--at", backup.partition(".")[0]).code == 0
    assert read(media) == FILES

    shop.remote.remove(f"media-versions/{backup}.keep")
    objects = shop.remote.files()
    dry = shop.manage("prunebackups", "--media", "--dry-run", "--json").json
    assert {each["name"]: each["keep"] for each in dry} == {name: name != backup for name in kept(shop)}
    assert shop.remote.files() == objects
    assert shop.manage("prunebackups", "--media", "--json").json == dry
    assert len(kept(shop)) == 1
    assert all("jsonl" in name for name in shop.remote.names("media-versions"))


@pytest.mark.soak  # as test_versions_stay_while_another_media_backup_is_damaged
def test_versions_stay_as_long_as_a_kept_backup_is_damaged(shop, media, backup):
    write(media, {"a.jpg": b"changed"})
    newer = back_up(shop)
    shop.settings["DJANGO_RCLONE"]["DB_CLEANUP_KEEP"] = 1
    shop.remote.write(f"media-versions/{backup}", b"cut")
    assert shop.manage("prunebackups", "--media").code == 0
    assert kept(shop) == {backup, newer}
    assert [name for name in shop.remote.names("media-versions") if "/a.jpg" in name]


def test_no_media_command_is_stopped_by_a_missing_history(shop, media):
    shop.execute(f"DROP TABLE {tables.HISTORY}")
    assert shop.manage("mediabackup").code == 0
    (media / "a.jpg").unlink()
    assert restore(shop).code == 0
    assert read(media) == FILES
