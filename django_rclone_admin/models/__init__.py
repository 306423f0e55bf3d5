"""The run history, opened backups and schedules, which have tables, and the backups on the remote, which have none."""

from .backups import Backup
from .opened import OpenedBackup
from .runs import BackupRun, Kind, Origin, Status, Trigger
from .schedules import BackupSchedule

__all__ = ["Backup", "BackupRun", "BackupSchedule", "Kind", "OpenedBackup", "Origin", "Status", "Trigger"]
