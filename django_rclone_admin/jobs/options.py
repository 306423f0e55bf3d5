"""The options of a run, and the notes of a restore for its undo: the typed view of :attr:`BackupRun.options`."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import Any, Self

from ..models.runs import BackupRun


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """A part of the JSON object in ``BackupRun.options``; subclasses name its keys."""

    @classmethod
    def from_run(cls, run: BackupRun) -> Self:
        """Read the options of a run. Missing keys have their defaults."""
        names = {field.name for field in dataclasses.fields(cls)}
        return cls(**{key: value for key, value in run.options.items() if key in names})

    def as_dict(self) -> dict[str, Any]:
        """Return the keys whose values differ from the default, for storage."""
        return {
            field.name: value
            for field in dataclasses.fields(self)
            if (value := getattr(self, field.name)) != field.default
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class BackupOptions(Options):
    """Options of a backup of a database or of the media files."""

    clean: bool = False
    """After a successful backup, remove backups by the retention rules."""
    group: str = ""
    """Shared by all backups that were started together."""
    full: bool = False
    """For media files: compare every file with the mirror."""
    level: str = ""
    """Check the backup up to this level, before any removal. After a failed check, nothing is removed."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PruneOptions(Options):
    """Options of a clean-up."""

    versions: bool = False
    """Only remove the versions of media files that no media backup needs any more; every backup stays."""


@dataclass(frozen=True, slots=True, kw_only=True)
class OpenOptions(Options):
    """Options of the opening of a backup."""

    hours: float | None = None
    """How long it stays open; ``OPEN_HOURS`` if not set."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RestoreOptions(Options):
    """Options of a restore of a database."""

    strategy: str | None = None
    """One of the connector's strategies; its default if not set."""
    safety_backup: bool = True
    elsewhere: bool = False
    """Allow a backup of another database than the target."""
    opened: str = ""
    """The id of an opened backup to put live, instead of a backup on the remote."""
    undoes: str | None = None
    """For an undo, the id of the run to undo, empty if unknown; ``None`` if this is not an undo."""


@dataclass(frozen=True, slots=True, kw_only=True)
class UndoOptions(Options):
    """Options of an undo."""

    put_back: str = ""
    """The name of the kept data that becomes live again."""
    undoes: str | None = None
    """As in :class:`RestoreOptions`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class UndoNotes(Options):
    """What a restore records for its undo."""

    kept: str = ""
    """The name under which the server keeps the replaced data."""
    safety: str = ""
    """The path of the safety backup."""
    unfinished: bool = False
    """Set while the restore changes the database. It stays if the outcome is unknown."""


@dataclass(frozen=True, slots=True, kw_only=True)
class VerifyOptions(Options):
    """Options of a check, and its result afterwards."""

    level: str = "structure"
    """The level to check up to."""
    then: list[str] | None = None
    """Paths of further backups to check afterwards."""
    reached: str = ""
    """The level of the result."""
    outcome: str = ""
    """``passed``, ``failed`` or ``unchecked``; empty if the check was interrupted."""
    reason: str = ""
    """In English."""


@dataclass(frozen=True, slots=True, kw_only=True)
class MediaRestoreOptions(Options):
    """Options of a restore of media files."""

    exact: bool = False
    """Also remove the files that the backup lacks."""
    files: list[str] | None = None
    """The paths of the only files to restore; a trailing slash means a folder with all its files."""
