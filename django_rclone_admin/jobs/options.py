"""What a run was asked to do, and what a restore notes for its undo: the typed view of :attr:`BackupRun.options`."""

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
        """Read the options of a run. A key that it lacks has its default."""
        names = {field.name for field in dataclasses.fields(cls)}
        return cls(**{key: value for key, value in run.options.items() if key in names})

    def as_dict(self) -> dict[str, Any]:
        """Return the keys whose values are not the default, as they are stored."""
        return {
            field.name: value
            for field in dataclasses.fields(self)
            if (value := getattr(self, field.name)) != field.default
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class BackupOptions(Options):
    """Options of a backup of a database or of the media files."""

    clean: bool = False
    """Remove what the retention rules do not keep, once the backup has succeeded."""
    group: str = ""
    """The same for all backups that were started together."""
    full: bool = False
    """Of the media files: compare every file with the mirror."""


@dataclass(frozen=True, slots=True, kw_only=True)
class OpenOptions(Options):
    """Options of the opening of a backup."""

    hours: float | None = None
    """How long it stays; ``OPEN_HOURS`` where there is none."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RestoreOptions(Options):
    """Options of a restore of a database."""

    strategy: str | None = None
    """One of the connector's strategies; its default where there is none."""
    safety_backup: bool = True
    elsewhere: bool = False
    """The backup may be of another database than the one that it is restored into."""
    opened: str = ""
    """The id of the opened backup that is put live, instead of one on the remote."""
    undoes: str | None = None
    """The id of the run that is undone, empty where nobody knows it; ``None`` for what is no undo."""


@dataclass(frozen=True, slots=True, kw_only=True)
class UndoOptions(Options):
    """Options of an undo."""

    put_back: str = ""
    """The kept name that becomes live again."""
    undoes: str | None = None
    """As in :class:`RestoreOptions`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class UndoNotes(Options):
    """What a restore has left for its undo."""

    kept: str = ""
    """The name under which the server keeps what was live."""
    safety: str = ""
    """The path of the safety backup."""
    unfinished: bool = False
    """Set while the restore changes the database. It stays where nobody knows how far that came."""


@dataclass(frozen=True, slots=True, kw_only=True)
class VerifyOptions(Options):
    """Options of a check, and its result once it has one."""

    level: str = "structure"
    """Up to which level."""
    then: list[str] | None = None
    """Paths of the backups that are checked afterwards."""
    reached: str = ""
    """The level that the result is about."""
    outcome: str = ""
    """``passed``, ``failed`` or ``unchecked``; empty where the check could not go on."""
    reason: str = ""
    """In English."""


@dataclass(frozen=True, slots=True, kw_only=True)
class MediaRestoreOptions(Options):
    """Options of a restore of media files."""

    exact: bool = False
    """Also remove the files that are not in the backup."""
    files: list[str] | None = None
    """The paths of the only files to restore."""
