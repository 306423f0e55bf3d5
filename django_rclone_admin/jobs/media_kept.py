"""The files that a media restore has replaced or removed: kept next to the media files, so that it can be undone."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Self

from .. import clock
from ..core.exchange import STRANGERS, Exchange
from ..core.file_lists import MediaFile, is_same_time
from ..core.local_files import stamp
from ..exceptions import BackupNotFound, gettext_noop
from ..media import OURS

NOTES = "undo.json"
"""The description of a store. A store without one was left by a restore that was killed."""
KEPT_FOR = timedelta(days=7)
"""The same time as for a safety backup of a database."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """The change of a restore at one path. Paths are those of the system."""

    path: str
    kept: str = ""
    """The place of the old file in the store; empty if there was none."""
    size: int | None = None
    """Size of the restored file; ``None`` if the file was removed."""
    time: str = ""
    """The modification time of the restored file."""

    def came_as(self, found: MediaFile | None) -> bool:
        """Whether the current file is the one that the restore has put there."""
        return found is not None and found.size == self.size and is_same_time(found.time, self.time)


@dataclass(frozen=True, slots=True, kw_only=True)
class Kept:
    """The private folder that one restore has left, with its description."""

    store: Path
    run: str
    """The id of the restore."""
    changes: Sequence[Change]

    @classmethod
    def write(cls, store: Path, folder: Path, exchange: Exchange, run: str) -> Self:
        """Store the description of the changes.

        :param folder: the folder of the media files.
        :raises OSError: for instance, the disk is full.
        """
        came = set(exchange.came)
        changes = [
            Change(
                path=path,
                kept=str(exchange.moved[path].relative_to(store)) if path in exchange.moved else "",
                **(_facts(folder / path) if path in came else {}),
            )
            for path in dict.fromkeys([*exchange.moved, *exchange.came])
        ]
        values = {"run": run, "changes": [asdict(each) for each in changes]}
        (store / NOTES).write_text(json.dumps(values), encoding="ascii")
        return cls(store=store, run=run, changes=changes)

    @classmethod
    def read(cls, store: Path) -> Self:
        """Read the description that a restore has left.

        :raises BackupNotFound: it does not exist, or can't be read here.
        """
        try:
            values = json.loads((store / NOTES).read_text(encoding="ascii"))
            changes = [Change(**each) for each in values["changes"]]
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise nothing_to_undo() from error
        return cls(store=store, run=values["run"], changes=changes)

    @property
    def back(self) -> list[Change]:
        """The changes whose old files an undo restores."""
        return [each for each in self.changes if each.kept]

    @property
    def gone(self) -> list[Change]:
        """The files that an undo removes, because the restore has added them."""
        return [each for each in self.changes if not each.kept]

    def offer(self, arrived: Path) -> None:
        """Put the files to restore into a folder on the same disk, as hard links where that is possible.

        :raises OSError: a file is missing, or the disk is full.
        """
        for each in self.back:
            place = arrived / each.path
            place.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            try:
                os.link(self.store / each.kept, place)
            except FileNotFoundError:
                raise
            except OSError:
                shutil.copy2(self.store / each.kept, place)

    def forget(self) -> None:
        """Remove the restored files from the store, including those that others had written meanwhile."""
        for each in self.back:
            with contextlib.suppress(OSError):
                (self.store / each.kept).unlink()
        discard(self.store)


def _facts(file: Path) -> dict[str, Any]:
    """Return the size and the time of a file that was just put in place."""
    try:
        status = file.lstat()
    except OSError:  # another program has removed it since
        return {}
    return {"size": status.st_size, "time": stamp(status.st_mtime_ns)}


def left_by_restores(folder: Path) -> Iterator[Path]:
    """Give the private folders of restores that still exist: of killed ones, or kept for an undo."""
    start = OURS.format(name=folder.name)
    for place in {folder.parent, folder}:
        with contextlib.suppress(OSError):
            yield from (each for each in place.iterdir() if each.name.startswith(start))


def stores(folder: Path) -> Iterator[Path]:
    """Give the folders that restores have left for an undo."""
    return filter(is_kept, left_by_restores(folder))


def is_kept(store: Path) -> bool:
    """Whether the files that a restore has kept still exist."""
    try:
        return (store / NOTES).is_file()
    except OSError:
        return False


def last_kept(folder: Path) -> Kept:
    """Return what the last restore into a folder has kept.

    :raises BackupNotFound: it has kept nothing.
    """
    found = sorted(stores(folder), key=lambda each: (each / NOTES).stat().st_mtime_ns)
    if not found:
        raise nothing_to_undo()
    return Kept.read(found[-1])


def nothing_to_undo() -> BackupNotFound:
    return BackupNotFound(
        gettext_noop("There is nothing to undo for the media files."),
        hint=gettext_noop(
            "What the last restore replaced was kept on the machine that ran it, for 7 days and until the next restore. "
            "Restore any media backup with “mediarestore --at NAME”."
        ),
    )


def discard(store: Path) -> None:
    """Remove the kept files, except those that others had written meanwhile."""
    with contextlib.suppress(OSError):
        (store / NOTES).unlink(missing_ok=True)
        for each in store.iterdir():
            if not each.name.startswith(STRANGERS):
                shutil.rmtree(each, ignore_errors=True)
        for path, _folders, _files in os.walk(store, topdown=False):
            with contextlib.suppress(OSError):
                Path(path).rmdir()  # fails if a file is in it


def discard_old(folder: Path) -> None:
    """Remove the files whose undo has expired."""
    for each in stores(folder):
        with contextlib.suppress(OSError):
            taken_at = datetime.fromtimestamp((each / NOTES).stat().st_mtime, UTC)
            if clock.now() - taken_at > KEPT_FOR:
                discard(each)
