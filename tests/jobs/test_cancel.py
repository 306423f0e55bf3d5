"""Whoever may change the row of a run can cancel it, from any machine: it ends within seconds, wherever it is."""

from datetime import timedelta
from pathlib import Path

import pytest
from django.utils.dateparse import parse_datetime

from tests.support import leaks, programs
from tests.support.backups import put_media
from tests.support.databases import connection
from tests.support.faults import assert_failed, nothing_changes
from tests.support.matrix import sampled
from tests.support.programs import DOWNLOAD, UPLOAD
from tests.support.tables import HISTORY
from tests.support.waiting import patience, wait_for

CANCEL = """
from django_rclone_admin import api
from django_rclone_admin.models import BackupRun
api.cancel(BackupRun.objects.active().get())
"""
LIMIT = timedelta(seconds=6)
"""Three seconds, and as much again for a machine that is busy."""

BACKUP, RESTORE = ("dbbackup",), ("dbrestore", "--noinput", "--no-safety-backup")
MEDIA_BACKUP, MEDIA_RESTORE = ("mediabackup",), ("mediarestore", "--noinput")
LOOK, MANIFEST = r"\blsjson\b", r"\brcat\b.*manifest"
STAGES = {
    "listing": (BACKUP, LOOK, ""),
    "upload": (BACKUP, UPLOAD, ""),
    "arrival": (BACKUP, LOOK, UPLOAD),
    "rename": (BACKUP, r"\bmoveto\b", ""),
    "manifest": (BACKUP, MANIFEST, ""),
    "download": (RESTORE, DOWNLOAD, ""),
}
"""The command, and the call of rclone that never ends, if it is not any, with the one that has to come before it."""


def cancel(shop, process) -> None:
    """Cancel the run of a process from another one, and see it end."""
    assert shop.manage("shell", "-c", CANCEL).code == 0
    assert_failed(shop.finish(process), "The run was cancelled")
    query = f"SELECT status, cancel_requested_at, finished_at FROM {HISTORY} ORDER BY created_at DESC"
    status, asked, ended = shop.execute(query)[0]
    assert status == "cancelled"
    if isinstance(asked, str):
        asked, ended = parse_datetime(asked), parse_datetime(ended)
    assert ended - asked < LIMIT * patience()


MEDIA_STAGES = {
    "copying": (MEDIA_BACKUP, r"\b(sync|copy)\b"),
    "list": (MEDIA_BACKUP, r"\brcat\b"),
    "restoring": (MEDIA_RESTORE, r"\bcopy\b"),
}


def cancel_in_hanging(
    shop, folder: Path, rclone: str, command: tuple[str, ...], when: str, after: str = ""
) -> None:
    """Start a command, have a call of rclone hang for ever, and cancel the run then."""
    body = programs.after(after, when, 'open(sys.argv[0] + ".held", "w"); signal.pause()')
    program = programs.wrapper(folder, "rclone", rclone, body)
    shop.settings["DJANGO_RCLONE"]["RCLONE_BINARY"] = str(program)
    process = shop.start(*command)
    programs.Held(program=program).wait()
    cancel(shop, process)


@pytest.mark.backed_up
@pytest.mark.parametrize("stage", sampled(STAGES, "upload", "rename", "download"))
@pytest.mark.parametrize("shop", ["sqlite"], indirect=True)
def test_run_in_which_rclone_hangs(shop, tmp_path, rclone_binary, stage):
    with nothing_changes(shop):
        cancel_in_hanging(shop, tmp_path / "bin", rclone_binary, *STAGES[stage])


@pytest.mark.parametrize("shop", ["sqlite"], indirect=True)
def test_run_whose_backup_is_stored_already_does_not_say_that_nothing_was_changed(
    shop, tmp_path, rclone_binary
):
    cancel_in_hanging(shop, tmp_path / "bin", rclone_binary, BACKUP, LOOK, after=MANIFEST)
    [(hint,)] = shop.execute(f"SELECT hint FROM {HISTORY}")
    assert hint.startswith("The backup was stored on the remote")
    shop.settings["DJANGO_RCLONE"]["RCLONE_BINARY"] = rclone_binary
    assert [each["state"] for each in shop.manage("listbackups", "--json").json] == ["complete"]


@pytest.mark.parametrize("stage", sampled(MEDIA_STAGES, "copying", "restoring"))
@pytest.mark.parametrize("shop", ["sqlite"], indirect=True)
def test_run_of_media_in_which_rclone_hangs(shop, tmp_path, rclone_binary, stage):
    media = tmp_path / "media"
    media.mkdir()
    (media / "photo.jpg").write_bytes(b"as it is now")
    shop.settings["MEDIA_ROOT"] = str(media)
    put_media(shop.remote, {"photo.jpg": b"first"})
    lists = shop.remote.names("media-versions")
    cancel_in_hanging(shop, tmp_path / "bin", rclone_binary, *MEDIA_STAGES[stage])
    assert (media / "photo.jpg").read_bytes() == b"as it is now"
    assert [path.name for path in tmp_path.iterdir() if "before-restore" in path.name] == []
    assert [name for name in shop.remote.names("media-versions") if "jsonl" in name] == lists


@pytest.mark.backed_up
@pytest.mark.parametrize("command, name", [(BACKUP, "pg_dump"), (RESTORE, "psql")], ids=["backup", "restore"])
@pytest.mark.parametrize("shop", ["postgresql"], indirect=True)
def test_run_that_waits_for_a_lock_of_postgresql(shop, command, name):
    rows = shop.rows()
    with connection(shop.settings["DATABASES"]["default"]) as holder:
        holder.execute("BEGIN")
        holder.execute("LOCK TABLE shop_product IN ACCESS EXCLUSIVE MODE")
        process = shop.start(*command)
        wait_for(lambda: any(name in leaks.name(pid) for pid in leaks.descendants(process.pid)))
        cancel(shop, process)
    assert shop.rows() == rows


@pytest.mark.parametrize("shop", ["mysql"], indirect=True)
def test_backup_that_waits_for_a_lock_of_mysql(shop):
    with connection(shop.settings["DATABASES"]["default"]) as holder:
        holder.execute("LOCK TABLES shop_product WRITE")
        process = shop.start("dbbackup")
        wait_for(lambda: any("dump" in leaks.name(pid) for pid in leaks.descendants(process.pid)))
        cancel(shop, process)
    assert shop.names() == []
