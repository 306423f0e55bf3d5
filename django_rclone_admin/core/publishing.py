"""Publishes a backup: from a stream to a name on the remote that says "complete".

The steps: upload under a name that is never a backup and carries the run's id; see it there with its size; choose a
name that nobody has taken or is about to take; rename; write the manifest last; see both there. Whatever fails, no
misleading object is left behind, and only what is surely ours is removed: another site may use the same folder.
"""

from __future__ import annotations

import contextlib
import dataclasses
import hashlib
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime

from ..exceptions import BackupError, RemoteError, gettext_noop
from .answers import Entry
from .catalog import Catalog
from .compression import SUFFIXES
from .control import Control
from .manifest import Manifest, ManifestReader
from .naming import MANIFEST, PARTIAL, partial
from .patience import look_until
from .rclone import NameTaken, Rclone, at
from .retry import retry
from .store import Stored, digest, pour
from .transfer import CommandSink, Source

MOST = 9999
"""The highest number in a name."""
STORED = gettext_noop(
    "The backup is on the remote all the same, and the backup list shows it as soon as it can be read."
)
"""What is true once the manifest was written, whatever keeps us from looking at it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Upload:
    """One backup on its way to the remote."""

    catalog: Catalog
    database: str
    taken_at: datetime
    extension: str
    """Of the dump, without compression."""
    compression: str | None
    level: int | None
    run: str
    """Makes the name of the upload in flight unique."""
    expected: int | None = None
    """About how many bytes will be stored."""
    look: Callable[[Sequence[Entry]], object] = lambda entries: None
    """Is shown the list of the folder when the upload has arrived."""
    left: dict[str, Stored | None] = field(default_factory=dict)
    """What attempts before this one could not remove: paths of uploads in flight, and of what may be published, with what
    it is if it is ours. This one removes it when it has succeeded, or adds its own."""

    def send(self, source: Source, control: Control) -> tuple[str, Stored]:
        """Upload and rename; the manifest is the caller's, by :meth:`seal`.

        :returns: the name, and what was stored.
        """
        rclone = self.catalog.rclone
        try:
            sink = CommandSink(rclone.upload(self._temporary, self.expected), control=control)
            stored = pour(source, sink, compression=self.compression, level=self.level, control=control)
            entries = self._see({self._temporary: stored.size})
            self.look(entries)
            return self._rename(stored, entries), stored
        except BaseException:
            self._remove([self._temporary])
            raise

    def seal(self, manifest: Manifest) -> None:
        """Write the manifest: from now on the backup is listed as complete.

        :raises RemoteError: it was not written; or all was done and can't be seen. What can't be seen may be late, and
            stays.
        """
        path, data = self.catalog.path(manifest.name), manifest.to_bytes()
        try:
            self.catalog.rclone.put(path + MANIFEST, data)
        except BaseException:  # without a manifest it would look like a backup of old
            self._take_back(path, Stored.of(manifest))
            raise
        there = {path: manifest.size, path + MANIFEST: len(data)}
        # What can't be looked at for a moment is no reason to make the whole backup again.
        control = self.catalog.rclone.control or Control()
        retry(lambda _number: self._see(there, renamed=path), control, lambda _error, _pause: None)
        for each, stored in {**self.left}.items():
            del self.left[each]
            if stored:
                self._take_back(each, stored)
            else:
                self._remove([each])

    # -- names --------------------------------------------------------------------------------------------------------

    @property
    def _temporary(self) -> str:
        return self.catalog.path(partial(self._name(1), self.run))

    def _name(self, number: int) -> str:
        extension = self.extension + SUFFIXES[self.compression]
        return self.catalog.naming.render(
            database=self.database, taken_at=self.taken_at, extension=extension, number=number
        )

    def _choose_name(self, names: Collection[str]) -> str:
        """Return a name after all others of its time: one that was removed may not come back, it would sort as older.

        Of two uploads that are renamed at once, one at least sees the other, for each looks when its own has arrived. Who
        sees another takes a number that only it comes to.
        """
        naming, first = self.catalog.naming, self._name(1)
        mine = naming.parse(first)
        assert mine is not None
        numbers, has_rival = [0], False
        for each in names:
            name, mark, run = each.rpartition(PARTIAL)
            parsed = naming.parse(name if mark else each)
            if not parsed or (parsed.database, parsed.taken_at) != (mine.database, mine.taken_at):
                continue
            if not mark:
                numbers.append(parsed.number)
            elif run != self.run:
                has_rival = True
        number = max(numbers) + 1
        if has_rival:
            own = int.from_bytes(hashlib.sha256(self.run.encode()).digest()[:4])
            number = min(number + 1 + own % (MOST // 2), MOST)
        return self._name(number)

    def _rename(self, stored: Stored, entries: Sequence[Entry]) -> str:
        """Give the upload a free name, and return that."""
        for attempts_left in (2, 1, 0):
            name = self._choose_name({each.name for each in entries})
            target = self.catalog.path(name)
            try:
                self.catalog.rclone.move(self._temporary, target)
                break
            except NameTaken:
                # Somebody was quicker between our look and our rename: what is there is not ours.
                if not attempts_left:
                    raise
                entries = self._list()
            except BaseException:  # it may have been done all the same
                self._take_back(target, stored)
                raise
        return name

    # -- looks --------------------------------------------------------------------------------------------------------

    def _list(self) -> list[Entry]:
        return self.catalog.rclone.list(at(self.catalog.folder), recursive=False) or []

    def _see(self, expected: Mapping[str, int], *, renamed: str = "") -> list[Entry]:
        """Wait until the folder has objects of these sizes, by path; return what it has.

        :param renamed: the path that the upload has now.
        :raises RemoteError: it does not have them.
        """

        def sizes(entries: Sequence[Entry]) -> dict[str, int]:
            return {self.catalog.path(each.name): each.size for each in entries}

        control = self.catalog.rclone.control
        try:
            seen = look_until(self._list, lambda entries: expected.items() <= sizes(entries).items(), control)
        except BackupError as error:
            if renamed:
                self._say_changed()
                error.changed = STORED
            raise
        found = sizes(seen)
        if renamed and renamed not in found and self._temporary in found:
            self._undo_nothing(renamed)
        for path, size in expected.items():
            if found.get(path) != size:
                if renamed:
                    self._say_changed()
                raise RemoteError(
                    gettext_noop("The remote shows %(found)s bytes of %(name)s instead of %(expected)d."),
                    hint=gettext_noop("Check the remote's free space and the backup list, then try again."),
                    found=found.get(path, 0),
                    expected=size,
                    name=path.partition(PARTIAL)[0],
                )
        return seen

    def _undo_nothing(self, path: str) -> None:
        """Remove what is left where the remote said that it renamed the upload, and did not.

        :raises RemoteError: that is so.
        """
        rclone = self.catalog.rclone
        if rclone.size(path) is None and rclone.size(self._temporary) is not None:
            self._remove([path + MANIFEST, self._temporary])
            raise RemoteError(gettext_noop("The remote did not rename the upload to %(name)s."), name=path)

    # -- taking back --------------------------------------------------------------------------------------------------

    @property
    def _patient(self) -> Rclone:
        """A client for what has to be done though the work was stopped, and soon has to end."""
        return dataclasses.replace(self.catalog.rclone, control=None, timeout=20)

    def _remove(self, paths: Sequence[str]) -> None:
        """Remove what is ours by its name, and remember what can't be removed now."""
        for path in paths:
            try:
                self._patient.delete(path)
            except BackupError:
                self._leave(path, None)

    def _take_back(self, path: str, stored: Stored) -> None:
        """Remove what was published, if it is there and ours."""
        with self._remembering(path, stored):
            if self._is_ours(path, stored):
                self._remove([path, path + MANIFEST])

    @contextlib.contextmanager
    def _remembering(self, path: str, stored: Stored) -> Iterator[None]:
        try:
            yield
        except BackupError:
            self._leave(path, stored)

    def _leave(self, path: str, stored: Stored | None) -> None:
        self.left[path] = stored
        self._say_changed()

    def _say_changed(self) -> None:
        """Let nobody say that nothing was changed."""
        if control := self.catalog.rclone.control:
            control.has_changed = True

    def _is_ours(self, path: str, stored: Stored) -> bool:
        """Whether an object is what we have uploaded: its manifest is of no other run, and its bytes are ours.

        :raises BackupError: it can't be known now.
        """
        rclone = self._patient
        if rclone.size(path) != stored.size:
            return False
        manifests: list[Manifest] = []
        reader = ManifestReader(manifests.append, thin=True)
        folder, _slash, name = path.rpartition("/")
        rclone.read_many(folder, [name + MANIFEST], reader.feed)
        reader.finish()
        if any(each.run != self.run for each in manifests):
            return False
        # Somebody may wait for our end. What is too large to be read by then stays, and is said to be there.
        return digest(rclone.download(path), seconds=rclone.timeout) == stored.sha256
