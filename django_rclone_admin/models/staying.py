"""The models whose rows belong to this server: no backup contains them, and no restore changes them."""

from .health import Notice, SiteHealth
from .opened import OpenedBackup
from .runs import BackupRun

STAYING = (BackupRun, OpenedBackup, SiteHealth, Notice)
