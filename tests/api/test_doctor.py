"""The doctor finds planted faults by name, says nothing bad of a healthy site, and leaves nothing behind."""

import json
import os
import subprocess
from collections.abc import Callable, Collection
from dataclasses import replace
from datetime import timedelta
from io import StringIO
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
from django.core.management import call_command
from django.db import connection, connections

from django_rclone_admin import api, clock
from django_rclone_admin.core import patience
from django_rclone_admin.doctor import examination
from django_rclone_admin.doctor import remote as remote_checks
from django_rclone_admin.models import BackupRun, BackupSchedule, Kind, Status
from tests.support import programs
from tests.support.backups import DAY, Backups
from tests.support.immutable import immutable
from tests.support.matrix import sampled
from tests.support.remotes import Remote, environment, local
from tests.support.small_disk import small_disk
from tests.support.storage import Storage

pytestmark = pytest.mark.django_db(databases=["default", "analytics"], transaction=True)


def examined(part: str = "", *, only: Collection[str] = ()) -> dict[str, api.Line]:
    """Examine this site, and return the lines by id, each with its subject where it has one.

    :param only: the ids of the checks to execute: the others would call rclone, too.
    """
    parts = [
        replace(each, checks=tuple(check for check in each.checks if check.id in only)) if only else each
        for each in examination.PARTS
    ]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(examination, "PARTS", parts)
        lines = {f"{each.id} {each.subject}".strip(): each for each in api.examine(part)}
    assert all(each.sentence for each in lines.values())
    assert all(each.hint for each in lines.values() if each.outcome in ("failed", "warning"))
    return lines


def bad(lines: dict[str, api.Line]) -> dict[str, str]:
    """Return the outcomes of what is wrong, without what could then not be checked."""
    return {name: each.outcome for name, each in lines.items() if each.outcome in ("failed", "warning")}


@pytest.fixture
def healthy(backups: Backups, settings: Any, tmp_path: Path) -> Backups:
    """A site with media files and a cache that its processes share."""
    Path(settings.MEDIA_ROOT).mkdir()
    (Path(settings.MEDIA_ROOT) / "photo.jpg").write_bytes(b"a photo")
    settings.CACHES = {
        "default": {
            "BACKEND": "django.core.cache.backends.filebased.FileBasedCache",
            "LOCATION": str(tmp_path / "cache"),
        }
    }
    backups.configure(EXECUTOR="django_rclone_admin.executors.ThreadExecutor")
    return backups


@pytest.mark.parametrize("remote", ["crypt", "s3"], indirect=True)
def test_healthy_site_is_green_and_nothing_is_left(healthy, remote, capsys):
    healthy.put(DAY)
    stored = local(remote.root, remote.binary)
    before = stored.files()
    code = 0
    try:
        call_command("rclonedoctor", json=True)
    except SystemExit as ended:
        code = ended.code
    document = json.loads(capsys.readouterr().out)
    lines = {each["id"]: each for each in document["checks"]}
    wrong = {each["id"]: each["outcome"] for each in document["checks"] if each["outcome"] != "passed"}
    unknown = dict.fromkeys(("remote.alone", "schedules.run", "notify.test"), "not checked")
    if remote.kind == "crypt":
        assert wrong == unknown | {"remote.clock": "not checked"}
        assert (document["status"], code) == ("ok", 0)
    else:
        assert wrong == unknown | {"remote.encryption": "warning", "remote.space": "not checked"}
        assert (document["status"], code) == ("warning", 1)
    assert not any(each["is_gap"] for each in document["checks"])
    assert {each["subject"] for each in document["checks"] if each["id"] == "database.reached"} == {
        "default",
        "analytics",
    }
    assert lines["notify.test"]["sentence"] == "NOTIFY is not set."
    assert stored.files() == before


# -- rclone and the remote ----------------------------------------------------------------------------------------------


def answering(backups: Backups, folder: Path, when: str, output: str) -> None:
    """Have rclone say something else than it does: what it would say cannot be had here."""
    program = programs.wrapper(folder, "rclone", backups.remote.binary, answer(when, output))
    backups.configure(RCLONE_BINARY=str(program))


def answer(when: str, output: str) -> str:
    """Return the body of a program that says so."""
    return f"\nif re.search({when!r}, ' '.join(arguments)):\n    print({output!r})\n    sys.exit(0)\n"


def forbidden(backups: Backups, folder: Path) -> None:
    """Withhold another right in each of the folders."""
    when = r"\brcat\b.*:db/|deletefile.*:media-versions/|moveto.*:media/"
    program = programs.fail(
        folder, "rclone", backups.remote.binary, message="ERROR : permission denied", when=when
    )
    backups.configure(RCLONE_BINARY=str(program))


def features(**changed: object) -> str:
    usual = {"Move": True, "Copy": True, "PutStream": True, "About": True, "BucketBased": False}
    return json.dumps({"String": "Encrypted drive 'x:'", "Hashes": ["md5"], "Features": usual | changed})


def no_program(backups: Backups, folder: Path) -> None:
    backups.configure(RCLONE_BINARY=str(folder / "rclone"))


def flipped(backups: Backups, folder: Path) -> None:
    program = programs.flip_output(folder, "rclone", backups.remote.binary, at=5, when=r"\bcat\b")
    backups.configure(RCLONE_BINARY=str(program))


FULL = (r"\babout\b", '{"free": 1000}')


def full(backups: Backups, folder: Path) -> None:
    backups.put(DAY, size=5000)
    answering(backups, folder, *FULL)


def several(backups: Backups, folder: Path) -> None:
    """Plant the faults of ``TOGETHER``."""
    backups.put(DAY, size=5000)
    flipping = programs.flip_output(folder, "flipping", backups.remote.binary, at=5, when=r"\bcat\b")
    body = answer(*FULL) + answer(r"\bfeatures\b", features(Move=False, Copy=False, PutStream=False))
    backups.configure(RCLONE_BINARY=str(programs.wrapper(folder, "rclone", flipping, body)))


REMOTE_FAULTS: dict[str, tuple[Callable[[Backups, Path], object], dict[str, str]]] = {
    "no rclone": (no_program, {"rclone.found": "failed"}),
    "an old rclone": (
        lambda backups, folder: answering(backups, folder, r"\bversion\b", "rclone v1.59.2"),
        {"rclone.version": "failed"},
    ),
    "another program": (
        lambda backups, folder: answering(backups, folder, r"\bversion\b", "hello"),
        {"rclone.version": "failed"},
    ),
    "an unknown remote": (
        lambda backups, folder: backups.configure(REMOTE="nosuchremote:backups"),
        {"remote.known": "failed"},
    ),
    "a remote that is down": (lambda backups, folder: backups.take_down(), {"remote.reached": "failed"}),
    "other bytes come back": (
        flipped,
        {"remote.read db": "failed"},
    ),
    "no right to write, delete or rename, each in one folder": (
        forbidden,
        {
            "remote.write db": "failed",
            "remote.remove media-versions": "failed",
            "remote.rename media": "failed",
        },
    ),
    "a storage that can't rename and takes no streams": (
        lambda backups, folder: answering(
            backups, folder, r"\bfeatures\b", features(Move=False, Copy=False, PutStream=False)
        ),
        {"features.rename": "warning", "features.streaming": "warning"},
    ),
    "no room": (full, {"remote.space": "failed"}),
    "a storage that has no room, can't rename, takes no streams and gives other bytes back": (
        several,
        {
            "remote.read db": "failed",
            "features.rename": "warning",
            "features.streaming": "warning",
            "remote.space": "failed",
        },
    ),
}
TOGETHER = {"other bytes come back", "a storage that can't rename and takes no streams", "no room"}
"""Faults that the last one has, too."""


@pytest.mark.parametrize("fault", sampled(REMOTE_FAULTS, *(REMOTE_FAULTS.keys() - TOGETHER)))
def test_fault_of_the_remote_is_found_by_name(healthy, settings, tmp_path, fault):
    plant, expected = REMOTE_FAULTS[fault]
    if plant is not forbidden:
        settings.MEDIA_ROOT = ""  # one folder is probed, and not three
    plant(healthy, tmp_path / "bin")
    found = examined("remote")
    encrypted = set() if "storage" in fault else {"remote.encryption"}
    assert {name: each for name, each in bad(found).items() if name not in encrypted} == expected
    assert {each.id for each in found.values()} == {each.id for each in remote_checks.CHECKS}
    assert api.verdict(found.values()) is (
        api.Level.CRITICAL if "failed" in expected.values() else api.Level.WARNING
    )
    left = {name.partition("/")[0] for name in healthy.remote.names() if "probe" in name}
    assert left == ({"media-versions"} if plant is forbidden else set())


def test_probe_that_a_killed_examination_has_left_is_removed_later(healthy, settings):
    settings.MEDIA_ROOT = ""
    old = (clock.now() - timedelta(hours=2)).strftime("%Y%m%d%H%M%S")
    new = clock.now().strftime("%Y%m%d%H%M%S")
    for stamp in (old, new):
        healthy.remote.write(f"db/.django-rclone-admin-probe-{stamp}-0123abcd", b"left")
    examined("remote", only=PROBE)
    assert healthy.remote.names() == [f"db/.django-rclone-admin-probe-{new}-0123abcd"]
    assert [each for each in api.list_backups() if "probe" in each.name] == []


PROBE = {"remote.write", "remote.read", "remote.rename", "remote.remove"}
"""The checks by a probe."""
NEVER = "if 'rcat' in arguments: sys.stdin.read(); sys.exit(0)"
LATE = """
seen = sys.argv[0] + ".seen"
if 'cat' in arguments and not os.path.exists(seen):
    open(seen, "w").close()
    sys.exit(0)
"""


@pytest.mark.parametrize("body, expected", [(NEVER, {"remote.write db": "failed"}), (LATE, {})])
def test_probe_may_appear_late_but_not_never(healthy, settings, tmp_path, monkeypatch, body, expected):
    settings.MEDIA_ROOT = ""
    monkeypatch.setattr(patience, "WAITS", (0.01,))
    program = programs.wrapper(tmp_path / "bin", "rclone", healthy.remote.binary, body)
    healthy.configure(RCLONE_BINARY=str(program))

    found = examined("remote", only=PROBE)

    assert bad(found) == expected
    if expected:
        assert "did not keep all of" in found["remote.write db"].sentence
        assert found["remote.read"].outcome == "not checked"
    assert healthy.remote.names() == []


def in_a_file(backups: Backups, folder: Path) -> None:
    file = folder.parent / "a file"
    file.write_bytes(b"")
    backups.configure(REMOTE=f"{file}/backups")


def of_configuration(backups: Backups, folder: Path, text: str) -> Path:
    file = folder.parent / "rclone.conf"
    file.write_text(text)
    backups.configure(REMOTE="shop:backups", RCLONE_CONFIG=str(file), RCLONE_ENV={})
    return file


def encrypted(backups: Backups, folder: Path, password: str = "") -> None:
    file = of_configuration(backups, folder, "[shop]\ntype = alias\nremote = /srv\n")
    subprocess.run(
        [backups.remote.binary, "config", "encryption", "set", "--config", str(file)],
        env=environment() | {"RCLONE_PASSWORD_COMMAND": "echo hunter2"}, input=b"", check=True, capture_output=True,
    )  # fmt: skip
    backups.configure(RCLONE_ENV={"RCLONE_CONFIG_PASS": password} if password else {})


MISCONFIGURED: dict[str, tuple[Callable[[Backups, Path], object], str, str, str]] = {
    "a file in the path": (in_a_file, "remote.write db", "a file where a folder is needed", "Correct REMOTE"),
    "a configuration that is a folder": (
        lambda backups, folder: backups.configure(
            REMOTE="shop:x", RCLONE_CONFIG=str(folder.parent), RCLONE_ENV={}
        ),
        "remote.reached",
        "can't read its configuration",
        "RCLONE_CONFIG",
    ),
    "a configuration of something else": (
        lambda backups, folder: of_configuration(backups, folder, "this is [not\n one"),
        "remote.reached",
        "can't read its configuration",
        "RCLONE_CONFIG",
    ),
    "an encrypted configuration": (encrypted, "remote.reached", "can't decrypt", "RCLONE_CONFIG_PASS"),
    "an encrypted configuration and another password": (
        lambda backups, folder: encrypted(backups, folder, "hunter3"),
        "remote.reached",
        "can't decrypt",
        "RCLONE_CONFIG_PASS",
    ),
    "an unknown kind of storage": (
        lambda backups, folder: of_configuration(backups, folder, "[shop]\ntype = s4\nsecret = hunter2\n"),
        "remote.reached",
        "does not know this kind of storage",
        "Correct the type",
    ),
    "an unknown flag": (
        lambda backups, folder: backups.configure(RCLONE_FLAGS=["--nonsense=hunter2"]),
        "rclone.version",
        "unknown flag: --nonsense",
        "RCLONE_FLAGS",
    ),
    "a program that fails": (
        lambda backups, folder: backups.configure(RCLONE_BINARY="/bin/false"),
        "rclone.version",
        "does not print a version",
        "rclone itself",
    ),
}


@pytest.mark.parametrize("fault", MISCONFIGURED)
def test_mistake_in_the_configuration_is_named_with_its_remedy(healthy, settings, tmp_path, fault):
    plant, where, sentence, hint = MISCONFIGURED[fault]
    settings.MEDIA_ROOT = ""
    plant(healthy, tmp_path / "bin")
    found = examined("remote")
    wrong = {name for name in bad(found) if name not in ("remote.encryption", "remote.space")}
    assert wrong == {where}
    assert sentence in found[where].sentence
    assert hint in found[where].hint
    assert "hunter" not in " ".join(f"{each.sentence} {each.hint}" for each in found.values())


@pytest.mark.parametrize("remote", ["s3"], indirect=True)
def test_missing_bucket_is_named(healthy, settings, remote):
    settings.MEDIA_ROOT = ""
    name = remote.settings["REMOTE"].partition(":")[0]
    healthy.configure(REMOTE=f"{name}:no-such-bucket/x", RCLONE_FLAGS=["--s3-no-check-bucket"])
    found = examined("remote")
    assert found["remote.write db"].sentence == "The bucket in REMOTE does not exist."
    assert found["remote.write db"].hint == "Create it, or correct REMOTE."


def test_backup_of_another_site_in_the_same_place_is_found(healthy, settings):
    settings.MEDIA_ROOT = ""
    now = clock.now()
    own = BackupRun.objects.create(
        kind=Kind.DB_BACKUP, database="default", status=Status.SUCCEEDED, created_at=now - timedelta(days=2)
    )
    healthy.put(now - timedelta(days=3), run=str(uuid4()))  # from before the run history
    healthy.put(now - timedelta(hours=3), run=str(own.pk))
    alone = {"remote.alone"}
    assert examined("remote", only=alone)["remote.alone"].outcome == "passed"
    healthy.put(now - timedelta(hours=2), run=str(uuid4()), host="shop2.example.com")
    found = examined("remote", only=alone)["remote.alone"]
    assert found.outcome == "warning"
    assert "which shop2.example.com has made" in found.sentence


@pytest.mark.parametrize("kind", ["webdav-credentials", "s3-refused"])
def test_remote_that_refuses_is_named_without_a_secret(healthy, broken_remote, kind):
    remote = broken_remote(kind)
    healthy.configure(**remote.settings)
    found = examined("remote")
    assert bad(found) == {"remote.reached": "failed"}
    assert found["remote.clock"].sentence == "The check “remote.reached” has to pass first."
    shown = " ".join(f"{each.sentence} {each.hint}" for each in found.values())
    assert [secret for secret in remote.secrets if secret in shown] == []


@pytest.mark.parametrize("remote", ["webdav"], indirect=True)
def test_remote_that_is_read_only_is_found(healthy, settings, remote, storage: Storage):
    settings.MEDIA_ROOT = ""
    healthy.put(DAY)
    healthy.configure(**storage.read_only(remote).settings)
    found = bad(examined("remote"))
    # This kind takes no uploads of unknown size either.
    assert [found.pop(each) for each in ("remote.encryption", "features.streaming")] == ["warning"] * 2
    assert found == {"remote.write db": "failed"}


@pytest.mark.parametrize("remote", ["crypt"], indirect=True)
def test_wrong_passphrase_is_found(healthy, remote, make_remote: Callable[[str], Remote]):
    healthy.put(DAY)
    other = make_remote("crypt").settings["RCLONE_ENV"] | {
        "RCLONE_CONFIG_SHOP_REMOTE": str(remote.root),
        "RCLONE_CONFIG_SHOP_PASSWORD": remote.rclone("obscure", "wrong").decode().strip(),
    }
    healthy.configure(RCLONE_ENV=other)
    assert bad(examined("remote")) == {"remote.reached": "failed"}


def test_parts_that_are_too_small_for_the_largest_backup_are_found(healthy, settings, tmp_path):
    settings.MEDIA_ROOT = ""
    # The S3 server of the tests would read the whole of a large object to list it.
    answering(healthy, tmp_path / "bin", r"\bfeatures\b", features(BucketBased=True))
    path = healthy.put(DAY, manifest=False)
    os.truncate(healthy.remote.root / path, 12 << 30)  # it takes no room on the disk
    parts = {"remote.parts"}
    assert bad(examined("remote", only=parts)) == {}
    healthy.configure(RCLONE_FLAGS=["--s3-chunk-size=1Mi"])
    found = examined("remote", only=parts)
    assert bad(found) == {"remote.parts": "failed"}
    assert "9.8 GB" in found["remote.parts"].sentence


# -- databases and the site ---------------------------------------------------------------------------------------------


def test_several_faults_of_a_site_are_found_at_once(healthy, settings, tmp_path, monkeypatch):
    settings.MEDIA_ROOT = str(tmp_path / "gone")
    assert examined("site")["media.read"].sentence.startswith("The media folder does not exist yet")
    healthy.put_media()
    settings.CACHES = {
        "default": {"BACKEND": "django.core.cache.backends.db.DatabaseCache", "LOCATION": "no_table"}
    }
    healthy.configure(EXECUTOR="tests.nowhere.Executor", DATABASES=["default", "nope"])
    BackupRun.objects.create(
        kind=Kind.DB_BACKUP,
        database="default",
        status=Status.QUEUED,
        created_at=clock.now() - timedelta(hours=1),
    )
    found = examined("databases") | examined("site")
    assert bad(found) == {
        "database.covered": "failed",
        "media.read": "failed",
        "site.cache": "failed",
        "runs.executor": "failed",
        "runs.waiting": "failed",
    }
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "gone"))
    assert examined("site")["site.temporary"].outcome == "failed"


def test_damaged_or_closed_sqlite_file_is_found(healthy, tmp_path):
    analytics = connections["analytics"]
    file = Path(analytics.settings_dict["NAME"])
    whole = file.read_bytes()
    analytics.close()
    try:
        file.write_bytes(whole[: len(whole) // 2])
        assert bad(examined("databases")) == {"database.contents analytics": "failed"}
        os.truncate(file, 8 << 40)  # it takes no room on the disk
        assert examined("site")["site.temporary"].outcome == "failed"
    finally:
        file.write_bytes(whole)
    with immutable(file):
        assert bad(examined("databases")) == {"database.rights analytics": "failed"}


def test_media_folder_that_takes_nothing_is_found(healthy, settings):
    with immutable(Path(settings.MEDIA_ROOT)):
        assert bad(examined("site")) == {"media.write": "failed"}


def test_schedules_that_nobody_carries_out_are_found(healthy):
    assert examined("site")["schedules.run"].sentence == "No schedule is enabled."
    time = clock.now() - timedelta(hours=1)
    schedule = BackupSchedule.objects.create(name="nightly", cron=f"{time.minute} {time.hour} * * *")
    assert bad(examined("site")) == {"schedules.run": "warning"}
    call_command("runschedules", json=True, stdout=StringIO())
    assert bad(examined("site")) == {}
    long_ago = clock.now() - timedelta(days=2)
    BackupSchedule.objects.update(last_due_at=long_ago, seen_at=long_ago)
    found = examined("site")
    assert bad(found) == {f"schedules.run {schedule.name}": "failed", "schedules.run": "warning"}
    assert "nightly" in found["schedules.run nightly"].sentence


def test_schedule_with_an_unknown_time_zone_is_found_with_its_remedy(healthy):
    BackupSchedule.objects.create(name="nightly", cron="0 2 * * *")
    BackupSchedule.objects.update(time_zone="Mars/Base", seen_at=clock.now())
    found = examined("site")
    assert bad(found) == {"schedules.run nightly": "failed"}
    assert "no time zone “Mars/Base”" in found["schedules.run nightly"].sentence
    assert "such as “Europe/Vienna”" in found["schedules.run nightly"].hint


def test_missing_folder_of_sqlite_is_found_with_its_remedy(healthy, monkeypatch):
    analytics = connections["analytics"]
    analytics.close()
    monkeypatch.setitem(analytics.settings_dict, "NAME", "/nowhere/db.sqlite3")
    found = examined("databases")
    assert found["database.reached analytics"].outcome == "failed"
    assert found["database.reached analytics"].hint.startswith("Check NAME in DATABASES")
    analytics.close()


def test_cache_of_each_process_is_a_warning(healthy, settings):
    settings.CACHES = {"default": {"BACKEND": "django.core.cache.backends.locmem.LocMemCache"}}
    assert bad(examined("site")) == {"site.cache": "warning"}


def test_history_that_is_not_migrated_is_found(healthy):
    with connection.cursor() as cursor:
        cursor.execute("DELETE FROM django_migrations WHERE app = 'django_rclone_admin' AND name > '0003'")
    found = examined("site")
    assert bad(found) == {"runs.history": "failed"}
    assert found["runs.waiting"].is_gap
    call_command("migrate", "django_rclone_admin", fake=True, verbosity=0)


def test_check_that_breaks_breaks_alone_and_is_not_taken_for_well(healthy, monkeypatch, caplog):
    class Broken:
        def __getattr__(self, name: str) -> object:
            raise RuntimeError("hunter2 is nobody's business")

    monkeypatch.setattr("django_rclone_admin.doctor.site.shutil", Broken())
    found = examined("site")
    assert [name for name, each in found.items() if each.is_gap] == ["site.temporary"]
    assert "RuntimeError" in found["site.temporary"].sentence
    assert "hunter2" not in found["site.temporary"].sentence
    assert api.verdict(found.values()) is api.Level.UNKNOWN
    assert caplog.records == []


def test_folder_for_temporary_files_without_room_is_found(healthy, monkeypatch):
    with small_disk(8) as disk:
        monkeypatch.setattr("tempfile.tempdir", str(disk.folder))
        found = examined("site")
    assert bad(found) == {"site.temporary": "failed"}
    assert "TMPDIR" in found["site.temporary"].hint
