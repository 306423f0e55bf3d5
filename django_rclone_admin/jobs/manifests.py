"""Builds the manifest of a backup that a run has uploaded."""

from __future__ import annotations

import socket
from typing import Any

import django

from .. import __version__, clock
from ..core.manifest import Manifest
from ..core.publishing import Upload
from ..core.store import Stored
from ..models.runs import BackupRun
from .options import BackupOptions


def make_manifest(run: BackupRun, upload: Upload, name: str, stored: Stored, **contents: Any) -> Manifest:
    """Return the manifest of an upload.

    :param contents: the fields that depend on what was backed up.
    """
    return Manifest(
        name=name,
        database=upload.database,
        taken_at=upload.taken_at,
        finished_at=clock.now(),
        size=stored.size,
        raw_size=stored.raw_size,
        sha256=stored.sha256,
        compression=upload.compression,
        django_version=django.get_version(),
        package_version=__version__,
        label=run.label,
        trigger=run.trigger,
        run=str(run.pk),
        host=socket.gethostname(),
        group=BackupOptions.from_run(run).group,
        **contents,
    )
