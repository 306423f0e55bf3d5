"""The run history, which has a table, and the backups on the remote, which have none."""

from .backups import Backup
from .runs import BackupRun, Kind, Origin, Status, Trigger

__all__ = ["Backup", "BackupRun", "Kind", "Origin", "Status", "Trigger"]
