"""Changes files below a local folder so that all of it can be undone, by what was done and not by what was planned.

Other programs use the folder meanwhile. So nothing is ever overwritten: what is at a path is moved aside at the moment
when another file takes its place, and no step follows a symbolic link below the folder.
"""

from __future__ import annotations

import contextlib
import functools
import itertools
import os
import shutil
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
"""The folders of what was moved aside."""
STRANGERS = "written-meanwhile"
"""And that of what nobody had planned to replace: it stays when the restore has succeeded."""
ATTEMPTS = 20
"""How often a file is put to a path where other programs put theirs at the same time."""


class Exchange:
    """Puts files into a folder and takes files away.

    :param root: the folder; it may be a link itself.
    :param store: a private folder for what is moved aside, on the same file system if there is a choice.
    :param habits: how the files there are accessed.
    :param permissions: what the site gives to new ones.
    """

    def __init__(self, root: Path, store: Path, habits: Habits, permissions: Permissions) -> None:
        self.store = store
        self.strangers: list[str] = []
        """Paths where something was moved aside that had not been there before, or not like that."""
        self.left: list[str] = []
        """Paths that were not taken away, for they had changed."""
        self._habits, self._permissions = habits, permissions
        self._root = os.open(root, FOLDER)
        self._done: list[Callable[[], bool]] = []
        """What undoes each step, in the order in which they were done; false where it could not be."""
        self._emptied: set[str] = set()

    def close(self) -> None:
        os.close(self._root)

    @property
    def has_begun(self) -> bool:
        """Whether anything was changed."""
        return bool(self._done)

    def put(self, source: Path, path: str, *, seen: MediaFile | None, time: int | None) -> None:
        """Move a file of the store to a path; what is there is moved aside.

        :param seen: what was there when the restore was planned.
        :param time: when the file was modified, in nanoseconds.
        :raises RestoreRefused: a link or a folder is in the way.
        """
        folder, _slash, name = path.rpartition("/")
        for _attempt in range(ATTEMPTS):
            with self._open(folder, make=True) as fd:
                access = self._clear(fd, path, seen) or self._access_in(folder, fd)
                access.give(source)
                if time is not None:
                    os.utime(source, ns=(time, time))
                put: list[Identity] = []
                self._done.append(functools.partial(self._take_back, path, put))
                if moving.put(source, fd, name, put):
                    return
                self._done.pop()
        raise RestoreRefused(
            gettext_noop("Another program writes to %(path)s all the time."),
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
        """Undo all steps; false when something could not be put back and is still in the store."""
        whole = True
        while self._done:
            step = self._done.pop()
            try:
                whole &= step()
            except (OSError, RestoreRefused):
                whole = False
        return whole

    def finish(self) -> None:
        """Remove what was moved aside, but for the strangers, and the folders that became empty."""
        self._done.clear()
        for folder in sorted(self._emptied, reverse=True):
            self._remove_emptied(folder)
        for name in (REPLACED, REMOVED, UNDONE):
            shutil.rmtree(self.store / name, ignore_errors=True)

    # -- steps ------------------------------------------------------------------------------------------------------

    @contextlib.contextmanager
    def _open(self, path: str, *, make: bool = False) -> Iterator[int]:
        """Open a folder part by part, so that none of them is a link.

        :param make: make those that are missing.
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
        """Make a folder and open it."""
        access = self._habits.folders.get(above) or Access.of(os.fstat(fd))
        if self._permissions.folder is not None:
            access = access._replace(mode=self._permissions.folder | (access.mode & stat.S_ISGID))
        with contextlib.suppress(FileExistsError):  # somebody else's: then it is theirs
            os.mkdir(name, 0o700, dir_fd=fd)
            path = f"{above}/{name}" if above else name
            self._done.append(functools.partial(self._remove_made, path))
            inner = os.open(name, NO_LINK, dir_fd=fd)
            access.give(inner)
            return inner
        return os.open(name, NO_LINK, dir_fd=fd)

    def _clear(self, fd: int, path: str, seen: MediaFile | None) -> Access | None:
        """Move aside what is at a path, and return the access that it had."""
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
        """Move a file into the store, and to the strangers there if it is not the one that was seen."""
        places = [self._place(where, path)]
        self._done.append(functools.partial(self._put_back, path, places))
        moving.take(path.rpartition("/")[2], fd, places[0])
        if seen is None or not _is(seen, places[0].lstat()):
            self.strangers.append(path)
            places.append(self._place(STRANGERS, path))
            places[0].rename(places[1])
        return places[-1]

    def _place(self, where: str, path: str) -> Path:
        """Return a free path in the store, in folders that are there."""
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
        """Remove a folder that has nothing but empty folders in it.

        :raises RestoreRefused: it has more.
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

    # -- and how each is undone -------------------------------------------------------------------------------------

    def _take_back(self, path: str, put: list[Identity]) -> bool:
        """Take away a file that was put there; what another program has put there since, or written into it, stays."""
        folder, _slash, name = path.rpartition("/")
        with contextlib.suppress(FileNotFoundError), self._open(folder) as fd:
            if identity(os.lstat(name, dir_fd=fd)) not in put:
                return True
            place = self._place(UNDONE, path)
            if moving.take(name, fd, place) not in put:  # it came in this very moment
                return moving.put(place, fd, name, [])
        return True

    def _put_back(self, path: str, places: list[Path]) -> bool:
        """Put back what was moved aside, unless another program has put something there since."""
        place = next((each for each in reversed(places) if os.path.lexists(each)), None)
        if place is None:
            return True
        folder, _slash, name = path.rpartition("/")
        with self._open(folder, make=True) as fd:
            return moving.put(place, fd, name, [])

    def _remove_made(self, path: str) -> bool:
        above, _slash, name = path.rpartition("/")
        with contextlib.suppress(OSError), self._open(above) as fd:
            os.rmdir(name, dir_fd=fd)  # not if another program has put something there
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
    """Say that a link is where a file has to be restored, which could lead anywhere."""
    return RestoreRefused(
        gettext_noop("The media folder has a symbolic link where %(path)s has to be restored."),
        hint=gettext_noop("Remove the link, and try again."),
        path=repr(path),
    )


def _blocked(fd: int, name: str, path: str, error: OSError) -> Exception:
    """Say why a part of a path can't be opened as a folder."""
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
    """Whether a file is the one that was seen, by all that a listing says of it."""
    is_file = stat.S_ISREG(status.st_mode)
    return is_file and status.st_size == seen.size and is_same_time(seen.time, stamp(status.st_mtime_ns))
