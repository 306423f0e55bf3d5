"""The dashboard: backups, runs, restores and schedules inside the Django admin."""

from .backups import BackupAdmin
from .opened import OpenedBackupAdmin
from .runs import BackupRunAdmin
from .schedules import BackupScheduleAdmin

__all__ = ["BackupAdmin", "BackupRunAdmin", "BackupScheduleAdmin", "OpenedBackupAdmin"]
