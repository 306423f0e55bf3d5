"""What a run reads is neither cleaned up nor deleted meanwhile; and records do not outlive their backup beside it."""

from datetime import timedelta

import pytest

from django_rclone_admin import api, clock
from django_rclone_admin.jobs.reading import READING, BackupInUse
from django_rclone_admin.models import Backup, BackupRun, Kind, Status
from tests.support.backups import DAY

pytestmark = pytest.mark.django_db


def read(path, kind=Kind.VERIFY, **values):
    """Record a run that reads a backup, and works."""
    run = BackupRun(kind=kind, database="default", path=path, status=Status.RUNNING, heartbeat_at=clock.now())
    run.lock = run.lock_name if kind == Kind.VERIFY else None
    for name, value in values.items():
        setattr(run, name, value)
    run.save()
    return run


def stored(backups):
    """Return the paths of all backups, newest first."""
    return sorted((name for name in backups.remote.names() if name.endswith(".zst")), reverse=True)


def test_clean_up_leaves_what_a_run_reads(backups):
    """One run of each kind reads a backup of its own."""
    backups.configure(DB_CLEANUP_KEEP=1)
    newest, *being_read, _old = [backups.put(DAY - timedelta(days=days)) for days in range(len(READING) + 2)]
    runs = [read(path, kind) for path, kind in zip(being_read, READING, strict=True)]

    decisions = api.prune("default")

    assert stored(backups) == [newest, *being_read]
    assert [(each.keep, "a run is reading it" in each.reasons) for each in decisions] == [
        (True, False), *[(True, True)] * len(runs), (False, False)
    ]  # fmt: skip
    for run in runs:
        run.delete()
    api.prune("default")
    assert stored(backups) == [newest]


def test_clean_up_of_media_leaves_what_a_run_reads(backups):
    backups.configure(DB_CLEANUP_KEEP=1)
    paths = [backups.put_media(DAY - timedelta(days=days)) for days in range(3)]
    read(paths[1], Kind.MEDIA_RESTORE, database="")

    api.prune_media()

    assert stored(backups) == paths[:2]


def test_backup_that_a_run_reads_is_not_deleted(backups):
    paths = [backups.put(), backups.put(DAY - timedelta(days=1))]

    for kind in READING:
        run = read(paths[1], kind)
        with pytest.raises(BackupInUse) as caught:
            api.delete_backups(paths)
        assert caught.value.exit_code == 3
        run.delete()
    read(paths[1])
    with pytest.raises(BackupInUse):
        Backup.objects.all().delete()
    assert stored(backups) == paths


def test_run_that_is_over_or_gone_protects_nothing(backups):
    path = backups.put()
    read(path, status=Status.SUCCEEDED, lock=None)
    read(path, heartbeat_at=clock.now() - timedelta(hours=1))

    assert api.delete_backups([path]) == 1


@pytest.mark.parametrize("kind", [Kind.VERIFY, Kind.OPEN, Kind.COPY])
def test_what_only_reads_holds_up_no_backup(kind):
    assert BackupRun(kind=kind, database="default").lock_name == "read:default"
    assert BackupRun(kind=Kind.DB_BACKUP, database="default").lock_name == "db:default"


@pytest.mark.parametrize("folder, put", [("db", "put"), ("media-versions", "put_media")])
def test_clean_up_sweeps_records_whose_backup_is_gone(backups, folder, put):
    here = getattr(backups, put)()
    gone = here.replace("11-20", "11-19")
    kept = [
        f"{here}.check.checksum.passed.20201122T130000Z.json",
        f"{gone}.check.checksum.passed.{clock.now():%Y%m%dT%H%M%SZ}.json",  # its backup may show up late
        f"{folder}/notes.txt.check.checksum.passed.20201122T130000Z.json",
        f"{gone}.check.checksum.perfect.20201122T130000Z.json",
    ]
    for path in [*kept, f"{gone}.check.checksum.passed.20201122T130000Z.json"]:
        backups.remote.write(path, b"{}")

    api.prune_media() if folder == "media-versions" else api.prune("default")

    assert {name for name in backups.remote.names(folder) if ".check." in name} == set(kept)
