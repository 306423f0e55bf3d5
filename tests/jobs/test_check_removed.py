"""A check works on the list that chose its backup. A backup that was removed since then is gone, and not damaged."""

import pytest

from django_rclone_admin import api
from django_rclone_admin.exceptions import BackupNotFound
from django_rclone_admin.models import BackupRun


@pytest.mark.django_db(databases=["default", "analytics"], transaction=True)
@pytest.mark.parametrize("remote", ["local", "s3"], indirect=True)  # a bucket returns nothing, and no error
def test_backup_that_was_removed_after_it_was_chosen_is_not_damaged(backups, remote):
    backups.put()
    backups.put_media()
    chosen = [(each, level) for each in api.choose_for_check() for level in ("checksum", "restore")]
    for name in remote.names():
        remote.remove(name)

    for backup, level in chosen:
        with pytest.raises(BackupNotFound, match=f"There is no backup “{backup.name}”"):
            api.verify_backup(backup, level=level)

    assert len(chosen) == 4
    assert remote.names() == []
    assert set(BackupRun.objects.values_list("status", flat=True)) == {"failed"}
