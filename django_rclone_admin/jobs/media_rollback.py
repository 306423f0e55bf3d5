"""A media restore into a local folder: replaced and removed files return if it fails, and are kept for an undo if
not."""

from __future__ import annotations

import contextlib
import shutil
import stat
import uuid
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Self

from django.conf import settings as django_settings
from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from ..conf import get_settings
from ..core.access import Access, Permissions
from ..core.exchange import STRANGERS, Exchange
from ..core.file_lists import MediaFile
from ..core.local_files import LocalFiles, nanoseconds, scan
from ..exceptions import BackupError, LocalFileError, LockLost, gettext_noop
from ..media import OURS
from . import media_kept, undo
from .job import Job
from .media_kept import Kept

NEW = "new"
"""The folder for downloaded files that are not in place yet."""


class MediaRollback:
    """Changes the media files in a folder so that the changes can be undone.

    :param folder: the folder of the media files; it may not exist yet.
    :param here: its files when the restore was planned.
    """

    def __init__(self, job: Job, folder: Path, here: LocalFiles) -> None:
        self._job, self._folder, self._here = job, folder, here
        self._seen = {each.path: each for each in here.files}
        self._exchange: Exchange | None = None
        self._made = False
        self._keeps = get_settings().safety_backup

    def __enter__(self) -> Self:
        """Create the private folder, and name the folders that killed restores left behind: their files may be
        needed."""
        media_kept.discard_old(self._folder)
        for left in self._left_by_others():
            self._job.note(
                _("A restore that was killed left what it had overwritten in %(folder)s.") % {"folder": left}
            )
        with _named(self._folder):
            self._store = self._make_store()
            self.arrived = self._store / NEW
            self.arrived.mkdir(mode=0o700)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._exchange is None:
            self._remove_store()
            return
        if isinstance(error, LockLost):
            # The current files may come from a later restore.
            self._job.note(_("What had been overwritten is in %(folder)s.") % {"folder": self._store})
        elif error is not None:
            self._put_back(error)
        else:
            self._finish(self._exchange)
        self._exchange.close()

    def put(self, files: Mapping[str, MediaFile] | None = None) -> None:
        """Move all downloaded files to their places.

        :param files: the expected files, by path; by default each file keeps its own time and access.
        :raises RestoreRefused: an obstacle is in the way.
        :raises LocalFileError: a file can't be written.
        """
        found = scan(self.arrived) or LocalFiles()
        control = self._job.control
        control.files_total = len(found.files)
        for number, each in enumerate(found.files):
            control.check()
            control.touch()
            control.files_done = number
            path, time = found.names.get(each.path, each.path), (files or {each.path: each})[each.path].time
            source, seen = self.arrived / path, self._seen.get(each.path)
            with _named(self._folder / path):
                own = None if files is not None else Access.of(source.lstat()).with_attributes(source)
                self._begin().put(source, path, seen=seen, time=nanoseconds(time), own=own)

    def remove(self, paths: Sequence[str]) -> None:
        """Remove files.

        :raises LocalFileError: a file can't be moved.
        """
        for each in paths:
            self._job.control.check()
            self._job.control.touch()
            path = self._here.names.get(each, each)
            with _named(self._folder / path):
                self._begin().take(path, seen=self._seen[each])

    def _begin(self) -> Exchange:
        """Return the exchange that changes the folder, and create the folder if it is missing."""
        if self._exchange is None:
            self._job.control.confirm()
            self._made = not self._folder.exists()
            permissions = _permissions(self._store)
            self._folder.mkdir(exist_ok=True)
            if self._made and permissions.folder is not None:
                self._folder.chmod(permissions.folder)
            self._exchange = Exchange(self._folder, self._store, self._here.habits, permissions)
        return self._exchange

    def _finish(self, exchange: Exchange) -> None:
        exchange.finish()
        for path in exchange.left:
            self._job.note(_("%(path)s was changed meanwhile, and stays.") % {"path": repr(path)})
        shutil.rmtree(self.arrived, ignore_errors=True)
        if exchange.strangers:
            values = {
                "count": len(exchange.strangers),
                "path": repr(exchange.strangers[0]),
                "folder": self._store / STRANGERS,
            }
            self._job.note(
                ngettext(
                    "A file that others wrote meanwhile was replaced: %(path)s. It is kept in %(folder)s.",
                    "%(count)d files that others wrote meanwhile were replaced, %(path)s among them. "
                    "They are kept in %(folder)s.",
                    len(exchange.strangers),
                )
                % values
            )
        is_kept = self._keep(exchange)
        for each in list(media_kept.stores(self._folder)):
            if each != self._store:  # only the last restore can be undone
                media_kept.discard(each)
        if not is_kept:
            media_kept.discard(self._store)

    def _keep(self, exchange: Exchange) -> bool:
        """Keep replaced and removed files for an undo; false if that is disabled or impossible."""
        if not self._keeps:
            return False
        try:
            Kept.write(self._store, self._folder, exchange, str(self._job.run.pk))
        except OSError as error:
            self._job.note(
                _("This restore can't be undone: %(reason)s.") % {"reason": error.strerror or str(error)}
            )
            return False
        undo.note(self._job.run, kept=str(self._store))
        self._job.note(
            _("What was replaced or removed is kept for 7 days in %(folder)s, for an undo.")
            % {"folder": self._store}
        )
        return True

    def _put_back(self, error: BaseException) -> None:
        """Undo all changes."""
        assert self._exchange
        if self._exchange.undo():
            self._remove_store()
            if self._made:
                with contextlib.suppress(OSError):
                    self._folder.rmdir()
            self._job.note(_("The overwritten files were moved to their old places."))
            return
        left = _("The files that could not be moved to their old places are in %(folder)s.") % {
            "folder": self._store
        }
        self._job.note(left)
        if isinstance(error, BackupError):
            error.changed = left

    def _make_store(self) -> Path:
        """Create a private folder next to the media folder, or inside it if only that is on the same file system."""
        self._folder.parent.mkdir(parents=True, exist_ok=True)
        name = OURS.format(name=self._folder.name) + uuid.uuid4().hex[:8]
        for place in self._places():
            try:
                (place / name).mkdir(mode=0o700)
            except OSError:
                continue
            return place / name
        (self._folder.parent / name).mkdir(mode=0o700)  # raises with the reason
        return self._folder.parent / name

    def _places(self) -> list[Path]:
        """Return the candidates for such a folder, best first."""
        parent = self._folder.parent
        if not self._folder.is_dir():
            return [parent]
        is_one_disk = parent.stat().st_dev == self._folder.stat().st_dev
        return [parent, self._folder] if is_one_disk else [self._folder, parent]

    def _left_by_others(self) -> list[Path]:
        found = media_kept.left_by_restores(self._folder)
        return sorted(each for each in found if not media_kept.is_kept(each))

    def _remove_store(self) -> None:
        shutil.rmtree(self._store, ignore_errors=True)


def _permissions(store: Path) -> Permissions:
    """Return the configured permissions of new files and folders. Django's default gives way to existing neighbours."""
    file: int | None = django_settings.FILE_UPLOAD_PERMISSIONS
    is_set = django_settings.is_overridden("FILE_UPLOAD_PERMISSIONS")  # type: ignore[misc]
    example = store / "example"
    example.touch()
    usual = stat.S_IMODE(example.stat().st_mode)
    example.unlink()
    return Permissions(
        file=file if is_set else None,
        folder=django_settings.FILE_UPLOAD_DIRECTORY_PERMISSIONS,
        file_otherwise=usual if file is None else file,
    )


@contextlib.contextmanager
def _named(path: Path) -> Iterator[None]:
    """Add the path to a system error.

    :raises LocalFileError: with the path and the reason.
    """
    try:
        yield
    except OSError as error:
        raise LocalFileError(
            gettext_noop("%(path)s can't be written: %(reason)s."),
            path=repr(str(path)),
            reason=error.strerror or str(error),
        ) from error
