"""Changes files below a local folder so that every change can be undone, from a record of what was done.

Other programs use the folder meanwhile. So nothing is ever overwritten: a file is moved aside at the moment when
another takes its place, and no step follows a symbolic link below the folder.
"""

from __future__ import annotations

import contextlib
import functools
import itertools
import os
import stat
from collections.abc import Callable, Iterator
from pathlib import Path

from ..exceptions import RestoreRefused, gettext_noop
from . import moving
from .access import Access, Habits, Permissions
from .file_lists import MediaFile, is_same_time
from .local_files import stamp
from .moving import Identity, identity

FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC
NO_LINK = FOLDER | os.O_NOFOLLOW
REPLACED, REMOVED, UNDONE = "replaced", "removed", "undone"
"""The folder for files that were moved aside."""
STRANGERS = "written-meanwhile"
"""The folder for moved files that the plan did not know: they are kept after a successful restore."""
ATTEMPTS = 20
"""Attempts to put a file at a path where other programs write at the same time."""


class Exchange:
    """Puts files into a folder and removes files from it.

    :param root: the folder; it may be a link itself.
    :param store: a private folder for files moved aside, on the same file system if possible.
    :param habits: how the files there are accessed.
    :param permissions: the configured permissions of new files.
    """

    def __init__(self, root: Path, store: Path, habits: Habits, permissions: Permissions) -> None:
        self.store = store
        self.strangers: list[str] = []
        """Paths where a file was moved aside that was new or changed since the plan was made."""
        self.left: list[str] = []
        """Paths that were not removed, because they had changed."""
        self.moved: dict[str, Path] = {}
        """The new place of each file that was moved aside, by its path; the last one if others wrote meanwhile."""
        self.came: list[str] = []
        """Paths where a file was put."""
        self._habits, self._permissions = habits, permissions
        self._root = os.open(root, FOLDER)
        self._done: list[Callable[[], bool]] = []
        """Functions that undo each step, in the order of the steps; each returns false where it could not."""
        self._emptied: set[str] = set()

    def close(self) -> None:
        os.close(self._root)

    @property
    def has_begun(self) -> bool:
        """Whether anything was changed."""
        return bool(self._done)

    def put(
        self, source: Path, path: str, *, seen: MediaFile | None, time: int | None, own: Access | None = None
    ) -> None:
        """Move a file from the store to a path; an existing file there is moved aside.

        :param seen: the file at the path when the restore was planned.
        :param time: when the file was modified, in nanoseconds.
        :param own: the access that it keeps; by default it gets that of the file that it replaces, or of its neighbours.
        :raises RestoreRefused: a link or a folder is in the way.
        """
        folder, _slash, name = path.rpartition("/")
        for _attempt in range(ATTEMPTS):
            with self._open(folder, make=True) as fd:
                there = self._clear(fd, path, seen)
                (own or there or self._access_in(folder, fd)).give(source)
                if time is not None:
                    os.utime(source, ns=(time, time))
                put: list[Identity] = []
                self._done.append(functools.partial(self._take_back, path, put))
                if moving.put(source, fd, name, put):
                    self.came.append(path)
                    return
                self._done.pop()
        raise RestoreRefused(
            gettext_noop("Another program keeps writing to %(path)s."),
            hint=gettext_noop("Stop the program that writes to the media files, then restore again."),
            path=repr(path),
        )

    def take(self, path: str, *, seen: MediaFile) -> None:
        """Move a file aside, unless it has changed since the restore was planned."""
        folder, _slash, name = path.rpartition("/")
        with contextlib.suppress(FileNotFoundError), self._open(folder) as fd:
            if _is(seen, os.lstat(name, dir_fd=fd)):
                self._move_aside(fd, path, seen, REMOVED)
                self._emptied.add(folder)
            else:
                self.left.append(path)

    def undo(self) -> bool:
        """Undo all steps; false when a file could not be returned to its place and is still in the store."""
        whole = True
        while self._done:
            step = self._done.pop()
            try:
                whole &= step()
            except (OSError, RestoreRefused):
                whole = False
        return whole

    def finish(self) -> None:
        """Remove folders that became empty. The caller keeps or removes the files that were moved aside."""
        self._done.clear()
        for folder in sorted(self._emptied, reverse=True):
            self._remove_emptied(folder)

    # -- steps ------------------------------------------------------------------------------------------------------

    @contextlib.contextmanager
    def _open(self, path: str, *, make: bool = False) -> Iterator[int]:
        """Open a folder part by part, so that no part is a symbolic link.

        :param make: create missing folders.
        """
        fd = os.open(".", FOLDER, dir_fd=self._root)
        try:
            done = ""
            for name in path.split("/") if path else ():
                try:
                    inner = os.open(name, NO_LINK, dir_fd=fd)
                except FileNotFoundError:
                    if not make:
                        raise
                    inner = self._make(fd, done, name)
                except OSError as error:
                    raise _blocked(fd, name, path, error) from error
                os.close(fd)
                fd, done = inner, f"{done}/{name}" if done else name
            yield fd
        finally:
            os.close(fd)

    def _make(self, fd: int, above: str, name: str) -> int:
        """Create a folder and open it."""
        access = self._habits.folders.get(above) or Access.of(os.fstat(fd))
        if self._permissions.folder is not None:
            access = access._replace(mode=self._permissions.folder | (access.mode & stat.S_ISGID))
        with contextlib.suppress(FileExistsError):  # another program created it and owns it
            os.mkdir(name, 0o700, dir_fd=fd)
            path = f"{above}/{name}" if above else name
            self._done.append(functools.partial(self._remove_made, path))
            inner = os.open(name, NO_LINK, dir_fd=fd)
            access.give(inner)
            return inner
        return os.open(name, NO_LINK, dir_fd=fd)

    def _clear(self, fd: int, path: str, seen: MediaFile | None) -> Access | None:
        """Move the file at a path aside, and return its access."""
        name = path.rpartition("/")[2]
        try:
            status = os.lstat(name, dir_fd=fd)
        except FileNotFoundError:
            return None
        if stat.S_ISLNK(status.st_mode):
            raise link_in_the_way(path)
        if stat.S_ISDIR(status.st_mode):
            self._remove_empty(fd, path)
            return None
        kept = self._move_aside(fd, path, seen, REPLACED)
        return Access.of(status)._replace(mode=status.st_mode & 0o1777).with_attributes(kept)

    def _move_aside(self, fd: int, path: str, seen: MediaFile | None, where: str) -> Path:
        """Move a file into the store, apart from the others if it is not the one that was seen."""
        places = [self._place(where, path)]
        self._done.append(functools.partial(self._put_back, path, places))
        moving.take(path.rpartition("/")[2], fd, places[0])
        if seen is None or not _is(seen, places[0].lstat()):
            self.strangers.append(path)
            places.append(self._place(STRANGERS, path))
            places[0].rename(places[1])
        self.moved[path] = places[-1]
        return places[-1]

    def _place(self, where: str, path: str) -> Path:
        """Return a free path in the store, and create its folders."""
        for number in itertools.count():
            place = self.store / (f"{where}-{number}" if number else where) / path
            with contextlib.suppress(FileExistsError, NotADirectoryError):
                place.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
                if not os.path.lexists(place):
                    return place
        raise AssertionError

    def _access_in(self, folder: str, fd: int) -> Access:
        """Return the access of a new file in a folder."""
        above, own = self._habits.file_in(folder), Access.of(os.fstat(fd))
        mode = self._permissions.file
        if mode is None:
            mode = above.mode if above else self._permissions.file_otherwise
        gid = own.gid if own.mode & stat.S_ISGID or not above else above.gid
        return Access(mode & 0o1777, above.uid if above else own.uid, gid)

    def _remove_empty(self, fd: int, path: str) -> None:
        """Remove a folder that contains only empty folders.

        :raises RestoreRefused: it contains files.
        """
        name = path.rpartition("/")[2]
        above = path.removesuffix(name)
        try:
            for inner, folders, _files, inner_fd in os.fwalk(name, topdown=False, dir_fd=fd):
                for each in folders:
                    self._remove_folder(inner_fd, f"{above}{inner}/{each}")
            self._remove_folder(fd, path)
        except OSError as error:
            raise RestoreRefused(
                gettext_noop(
                    "%(path)s has to be restored as a file, but is a folder with other files in it."
                ),
                hint=gettext_noop("Move that folder away, and try again."),
                path=repr(path),
            ) from error

    def _remove_folder(self, fd: int, path: str) -> None:
        name = path.rpartition("/")[2]
        access = Access.of(os.lstat(name, dir_fd=fd))
        os.rmdir(name, dir_fd=fd)
        self._done.append(functools.partial(self._make_again, path, access))

    def _remove_emptied(self, folder: str) -> None:
        """Remove a folder and those above it, as long as they are empty."""
        with contextlib.suppress(OSError, RestoreRefused):
            while folder:
                above, _slash, name = folder.rpartition("/")
                with self._open(above) as fd:
                    os.rmdir(name, dir_fd=fd)
                folder = above

    # -- undoing the steps ---------------------------------------------------------------------------------------------

    def _take_back(self, path: str, put: list[Identity]) -> bool:
        """Remove a file that was put there; a file that another program has put there or changed since stays."""
        folder, _slash, name = path.rpartition("/")
        with contextlib.suppress(FileNotFoundError), self._open(folder) as fd:
            if identity(os.lstat(name, dir_fd=fd)) not in put:
                return True
            place = self._place(UNDONE, path)
            if moving.take(name, fd, place) not in put:  # another program replaced it at this moment
                return moving.put(place, fd, name, [])
        return True

    def _put_back(self, path: str, places: list[Path]) -> bool:
        """Move a file from the store to its old place, unless another program has put a file there since."""
        place = next((each for each in reversed(places) if os.path.lexists(each)), None)
        if place is None:
            return True
        folder, _slash, name = path.rpartition("/")
        with self._open(folder, make=True) as fd:
            return moving.put(place, fd, name, [])

    def _remove_made(self, path: str) -> bool:
        above, _slash, name = path.rpartition("/")
        with contextlib.suppress(OSError), self._open(above) as fd:
            os.rmdir(name, dir_fd=fd)  # fails if another program has put something there
        return True

    def _make_again(self, path: str, access: Access) -> bool:
        above, _slash, name = path.rpartition("/")
        with contextlib.suppress(FileExistsError), self._open(above) as fd:
            os.mkdir(name, 0o700, dir_fd=fd)
            inner = os.open(name, NO_LINK, dir_fd=fd)
            access.give(inner)
            os.close(inner)
        return True


def link_in_the_way(path: str) -> RestoreRefused:
    """Return the error for a symbolic link at a path to restore: it could lead anywhere."""
    return RestoreRefused(
        gettext_noop("The media folder has a symbolic link where %(path)s has to be restored."),
        hint=gettext_noop("Remove the link, and try again."),
        path=repr(path),
    )


def _blocked(fd: int, name: str, path: str, error: OSError) -> Exception:
    """Return the error that explains why a part of a path can't be opened as a folder."""
    with contextlib.suppress(OSError):
        mode = os.lstat(name, dir_fd=fd).st_mode
        if stat.S_ISLNK(mode):
            return link_in_the_way(path)
        if not stat.S_ISDIR(mode):
            return RestoreRefused(
                gettext_noop("A file is where the folder %(path)s has to be."),
                hint=gettext_noop("Move the file away, and try again."),
                path=repr(path),
            )
    return error


def _is(seen: MediaFile, status: os.stat_result) -> bool:
    """Whether a file is the one that was seen, by all values of its listing."""
    is_file = stat.S_ISREG(status.st_mode)
    return is_file and status.st_size == seen.size and is_same_time(seen.time, stamp(status.st_mtime_ns))
