"""The dashboard: backups, runs and restores inside the Django admin."""

from .backups import BackupAdmin
from .runs import BackupRunAdmin

__all__ = ["BackupAdmin", "BackupRunAdmin"]
