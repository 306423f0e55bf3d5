"""How often rclone is started for the media files: what a call is for is in the comments."""

import itertools
import json
import shutil
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import SimpleNamespace

import pytest
from django.core.management import call_command

from django_rclone_admin import api
from django_rclone_admin.core.compression import Decompressor
from django_rclone_admin.jobs import mirroring
from django_rclone_admin.models.runs import BackupRun
from tests.support import programs

pytestmark = pytest.mark.django_db(transaction=True)

LOOK = ["lsjson", "cat"]
"""The folder of the lists, and the last list with its manifest."""
PUBLISH = ["rcat", "lsjson", "moveto", "rcat", "lsjson"]
"""The list, what arrived and which names are taken, the rename, the manifest, and a look at both."""


@pytest.fixture
def calls(media_site, tmp_path):
    """What gives the calls since the last look, in their order. The site has two files more."""
    media_site.write({"a": b"one", "b": b"two"})
    log = tmp_path / "calls.log"

    def start():
        program = programs.counting(tmp_path / "counting", media_site.remote.binary, log)
        media_site.configure(RCLONE_BINARY=str(program))

    def since():
        return programs.counted(log)

    return SimpleNamespace(start=start, since=since)


@pytest.fixture
def minutes(monkeypatch):
    """Each backup is taken a minute after the one before: of two of one second, more manifests are read."""
    first = datetime.now(UTC) - timedelta(hours=1)
    times = (first + timedelta(minutes=number) for number in itertools.count())
    monkeypatch.setattr(mirroring, "clock", SimpleNamespace(now=lambda: next(times)))


def made(media_site):
    """Return what a backup has left on the remote and in the history, but for its name, its times and its number."""
    [path] = media_site.remote.names("media-versions")[:1]
    stage = Decompressor()
    manifest = json.loads(media_site.remote.read(f"{path}.manifest.json"))
    its_own = {name: manifest.pop(name) for name in ("name", "taken_at", "finished_at", "run")}
    for name in "size", "sha256":  # the list was compressed line by line, or as a whole
        its_own[name] = manifest.pop(name)
    for name in "host", "django_version", "package_version":
        manifest.pop(name)
    run = BackupRun.objects.get()
    assert (str(run.pk), run.path, its_own["name"]) == (its_own["run"], path, Path(path).name)
    mirror = media_site.remote.root / "media"
    times = {name: (mirror / name).stat().st_mtime_ns for name in media_site.in_mirror()}
    lines = b"".join(stage.feed(media_site.remote.read(path))) + stage.finish()
    return (
        lines,
        manifest,
        times,
        media_site.in_mirror(),
        (run.kind, run.status, run.trigger, run.size, run.lock),
    )


def test_media_backup(media_site, calls, minutes):
    """The first one is as those that tests have without a backup."""
    media_site.write(
        {"deep/ü [x].txt": b"", "e\u0301": b"an accent", "new\nline": b"two lines", "-rf": b"a dash"}
    )
    media_site.have_backup()
    without_a_backup = made(media_site)
    shutil.rmtree(media_site.remote.root)
    BackupRun.objects.all().delete()
    calls.start()
    found, expected = [], []

    def back_up(*before):
        media_site.back_up()
        found.append(calls.since())
        expected.append([*before, *PUBLISH])

    # The first one: no lists, nothing there that can't be decrypted, and no mirror; then what has arrived.
    back_up("lsjson", "lsjson", "lsjson", "sync", "lsjson")
    assert made(media_site) == without_a_backup
    back_up(*LOOK)
    media_site.write({"a": b"ONE", "c": b"three"})
    back_up(*LOOK, "copy", "lsjson")  # what has arrived
    (media_site.folder / "b").unlink()
    back_up(*LOOK, "move")
    assert found == expected


def test_media_restore(media_site, calls):
    """The mirror and the versions are listed once more when the run has its lock."""
    media_site.have_backup()
    media_site.write({"a": b"ONE"})
    calls.start()

    call_command("mediarestore", interactive=False, verbosity=0)

    assert calls.since() == ["lsjson", "lsjson", "cat", "lsjson", "lsjson", "copy"]
    assert media_site.read()["a"] == b"one"
    media_site.write({"a": b"ONE"})
    api.restore_media()
    assert calls.since() == [*LOOK, "lsjson", "lsjson", "cat", "copy"]
    assert media_site.read()["a"] == b"one"


def test_media_check(media_site, calls):
    name = media_site.have_backup()
    calls.start()

    api.verify_backup(name, level="restore")

    find = [
        "lsjson",
        "lsjson",
        "lsjson",
        "cat",
    ]  # no database backups, nor any that can't be decrypted; the manifest
    read = [
        "cat",
        "cat",
        "lsjson",
        "lsjson",
        "cat",
    ]  # the list for its hash and its lines; all files; their bytes
    record = [
        "lsjson",
        "rcat",
        "rcat",
        "lsjson",
    ]  # the chain, the record in it and beside the backup, a look at both
    assert calls.since() == find + read + record
