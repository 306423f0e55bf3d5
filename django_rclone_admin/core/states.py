"""The states of objects in a backup folder."""

from __future__ import annotations

from enum import StrEnum


class State(StrEnum):
    """The state of an object in a backup folder."""

    COMPLETE = "complete"
    """Its manifest exists and names its size."""
    LEGACY = "legacy"
    """It has a backup's name but no manifest: nothing can be checked beforehand."""
    DAMAGED = "damaged"
    """It is empty, its size differs from the manifest, the manifest can't be read, or it failed a check."""
    INCOMPLETE = "incomplete"
    """An upload in flight, or the remains of one. Never a backup."""
    FOREIGN = "foreign"
    """An unknown file: its name is not one of ours."""


RESTORABLE = (State.COMPLETE, State.LEGACY)
BACKUPS = (State.COMPLETE, State.LEGACY, State.DAMAGED)
