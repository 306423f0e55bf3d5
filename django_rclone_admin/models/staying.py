"""The models whose rows belong to this server: no backup carries them, and no restore touches them."""

from .health import Notice, SiteHealth
from .opened import OpenedBackup
from .runs import BackupRun

STAYING = (BackupRun, OpenedBackup, SiteHealth, Notice)
