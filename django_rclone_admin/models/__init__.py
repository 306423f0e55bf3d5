"""The models: run history, opened backups, schedules and health, which have tables; backups on the remote, without
one."""

from .backups import Backup
from .health import Notice, SiteHealth
from .opened import OpenedBackup
from .runs import BackupRun, Kind, Origin, Status, Trigger
from .schedules import BackupSchedule

__all__ = [
    "Backup",
    "BackupRun",
    "BackupSchedule",
    "Kind",
    "Notice",
    "OpenedBackup",
    "Origin",
    "SiteHealth",
    "Status",
    "Trigger",
]
