"""Clean-ups by the retention rules, of the backups of a database or of the media files."""

from __future__ import annotations

from collections.abc import Collection

from ..core.naming import MEDIA
from ..core.retention import Decision
from ..models.runs import BackupRun, Kind, Origin
from .at_once import run_now
from .prune import Pruning
from .prune_media import MediaPruning


def clean_up(database: str, origin: Origin, *, made: Collection[str] = ()) -> list[Decision]:
    """Remove the backups of a database, or of the media files, that the retention rules do not keep, as a separate run.

    :param database: its alias, or ``media``.
    :param made: paths of backups just made: they are kept, and so are all that were stored later.
    """
    work = pruning(database, made)
    run_now(BackupRun(kind=Kind.PRUNE, database=database, **origin.as_fields()), work)
    return work.decisions


def pruning(database: str, made: Collection[str] = ()) -> Pruning:
    """Return the work of a clean-up; see :func:`clean_up`."""
    return MediaPruning(made) if database == MEDIA else Pruning(made)
