"""The way back from a media restore: what it overwrites or removes is kept until it has succeeded."""

from __future__ import annotations

import contextlib
import os
import shutil
import tempfile
import uuid
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import Self

from django.utils.translation import gettext as _

from ..core import file_lists
from ..core.control import Control
from ..core.file_lists import MediaFile
from ..core.mirror import Mirror
from ..exceptions import BackupError, LockLost, RestoreRefused, gettext_noop
from .job import Job

REPLACED, REMOVED = "replaced", "removed"
MARK = "-before-restore-"


class MediaRollback:
    """Changes the media files so that it can be undone, as long as they are in a local folder.

    :param place: where the media files are.
    :param added: the paths that are not there yet; they go again when the restore fails.
    """

    def __init__(self, job: Job, mirror: Mirror, place: str, added: Sequence[str]) -> None:
        self._job, self._mirror, self._added = job, mirror, added
        self._place = Path(place) if Path(place).is_absolute() else None
        self._folder = _folder_beside(self._place) if self._place else None
        self._always = not mirror.keeps_times()

    def __enter__(self) -> Self:
        """Say what restores left that nobody could finish: no one but a person knows whether it is still wanted."""
        for left in _folders_beside(self._place) if self._place else ():
            self._job.note(
                _("A restore that was killed left what it had overwritten in %(folder)s.") % {"folder": left}
            )
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        is_left = self._folder is not None and self._folder.exists()
        if isinstance(error, LockLost) and is_left:
            # What is there now may be what a later restore has put there.
            self._job.note(_("What had been overwritten is in %(folder)s.") % {"folder": self._folder})
        elif error is not None:
            self._put_back()
        elif self._folder:
            shutil.rmtree(self._folder, ignore_errors=True)

    def make_way(self, files: Sequence[MediaFile], obstacles: Sequence[str]) -> None:
        """Take away what stands where a folder or a file of the backup has to be.

        :raises RestoreRefused: that is a symbolic link, which could lead out of the media folder.
        """
        if not self._place:
            return
        links = _links(self._place)
        for file in files if links else ():
            if not links.isdisjoint((file.path, *file_lists.parents(file.path))):
                raise RestoreRefused(
                    gettext_noop("The media folder has a symbolic link where %(path)s has to be restored."),
                    hint=gettext_noop("Nothing was changed. Remove the link, and try again."),
                    path=repr(file.path),
                )
        if obstacles:
            self.take_away(obstacles)
        for path in self._added:
            _remove_empty(self._place / path)

    def fetch(self, folder: str, paths: Sequence[str]) -> None:
        """Copy files from a folder of the remote."""
        replaced = str(self._folder / REPLACED) if self._folder else None
        self._mirror.fetch(folder, paths, replaced=replaced, always=self._always, control=self._job.control)

    def take_away(self, paths: Sequence[str]) -> None:
        """Remove media files."""
        if self._folder:
            self._mirror.take_away(paths, into=str(self._folder / REMOVED), control=self._job.control)
        else:
            self._mirror.delete_local(paths, control=self._job.control)

    def _put_back(self) -> None:
        """Undo it all, by our own means as far as possible: rclone may be what failed."""
        if not self._place or not self._folder:
            return
        with contextlib.suppress(BackupError):
            # A new control, for that of the job may have been stopped.
            self._mirror.delete_local(self._added, control=Control())
        left = sum(not _move_all(self._folder / name, self._place) for name in (REPLACED, REMOVED))
        if left:
            self._job.note(_("What could not be put back is in %(folder)s.") % {"folder": self._folder})
            return
        shutil.rmtree(self._folder, ignore_errors=True)
        self._job.note(_("What had been overwritten was put back."))


def _folder_beside(place: Path) -> Path:
    """Return a new folder's path beside the media folder, on the same file system, or a temporary one."""
    return _beside(place) / f".{place.name}{MARK}{uuid.uuid4().hex[:8]}"


def _folders_beside(place: Path) -> list[Path]:
    """Return such folders of earlier restores."""
    return sorted(each for each in _beside(place).iterdir() if each.name.startswith(f".{place.name}{MARK}"))


def _beside(place: Path) -> Path:
    return place.parent if os.access(place.parent, os.W_OK) else Path(tempfile.gettempdir())


def _links(place: Path) -> set[str]:
    """Return the paths of all symbolic links below a folder, as rclone would write them."""
    found = set()
    for folder, folders, files in os.walk(place):
        for name in (*folders, *files):
            path = Path(folder) / name
            if path.is_symlink():
                found.add(_as_rclone(str(path.relative_to(place))))
    return found


def _as_rclone(path: str) -> str:
    pictures = {code: chr(0x2400 + code) for code in range(32)} | {0x7F: "\u2421"}
    return path.encode(errors="surrogateescape").decode(errors="replace").translate(pictures)


def _remove_empty(folder: Path) -> None:
    """Remove a folder that has nothing but empty folders in it; anything else stays."""
    if folder.is_dir() and not folder.is_symlink():
        for each, _folders, _files in os.walk(folder, topdown=False):
            with contextlib.suppress(OSError):
                Path(each).rmdir()


def _move_all(source: Path, target: Path) -> bool:
    """Move all files of a folder to the same places of another, over what is there; false when some could not be."""
    done = True
    for folder, _folders, files in os.walk(source):
        for name in files:
            path = Path(folder) / name
            wanted = target / path.relative_to(source)
            try:
                wanted.parent.mkdir(parents=True, exist_ok=True)
                _remove_empty(wanted)
                shutil.move(path, wanted)
            except OSError:
                done = False
    return done
