"""Publishes a backup: uploads a stream and gives it a name that means "complete".

The steps: upload under a temporary name that contains the run's id; verify its size on the remote; choose a name that
no other backup has or is about to take; rename; write the manifest last; verify both. When a step fails, no misleading
object is left behind, and only objects that are surely ours are removed: another site may use the same folder.
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
from .manifest import Manifest
from .many_manifests import FullReading, ManifestReader
from .naming import MANIFEST, PARTIAL, partial
from .patience import look_until
from .rclone import NameTaken, Rclone
from .retry import retry
from .store import Stored, digest, pour
from .transfer import CommandSink, Source

MOST = 9999
"""The highest number in a name."""
STORED = gettext_noop(
    "The backup was stored on the remote. It appears in the backup list as soon as the remote can be read."
)
"""The hint once the manifest was written, when a later step fails."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Upload:
    """One backup on its way to the remote."""

    catalog: Catalog
    database: str
    taken_at: datetime
    extension: str
    """Of the dump, before compression."""
    compression: str | None
    level: int | None
    run: str
    """Makes the name of the upload in flight unique."""
    expected: int | None = None
    """The approximate number of bytes that will be stored."""
    look: Callable[[Sequence[Entry]], object] = lambda entries: None
    """Called with the list of the folder when the upload has arrived."""
    left: dict[str, Stored | None] = field(default_factory=dict)
    """Objects that earlier attempts could not remove: paths of uploads in flight, and of objects that may be
    published, with what was stored. This attempt removes them when it succeeds, or adds its own."""

    def send(self, source: Source, control: Control) -> tuple[str, Stored]:
        """Upload and rename; the caller writes the manifest with :meth:`seal`.

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
        """Write the manifest: from then on the backup is listed as complete.

        :raises RemoteError: the manifest was not written; or it was and can't be verified. In that case it stays,
            because the remote may show it later.
        """
        path, data = self.catalog.path(manifest.name), manifest.to_bytes()
        try:
            self.catalog.rclone.put(path + MANIFEST, data)
        except BaseException:  # without a manifest it would look like a legacy backup
            self._take_back(path, Stored.of(manifest))
            raise
        there = {path: manifest.size, path + MANIFEST: len(data)}
        # A failed look at the remote does not justify another backup.
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
        """Return a name after all others of the same time. A removed name is not reused: it would sort as older.

        Each upload lists the folder after its own arrival, so of two concurrent uploads at least one sees the other.
        An upload that sees another takes a number that only it can reach.
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
        """Rename the upload to a free name, and return that name."""
        for attempts_left in (2, 1, 0):
            name = self._choose_name({each.name for each in entries})
            target = self.catalog.path(name)
            try:
                self.catalog.rclone.move(self._temporary, target)
                break
            except NameTaken:
                # Another run took the name between the listing and the rename: that object is not ours.
                if not attempts_left:
                    raise
                entries = self._list()
            except BaseException:  # the rename may have succeeded nevertheless
                self._take_back(target, stored)
                raise
        return name

    # -- verification -------------------------------------------------------------------------------------------------

    def _list(self) -> list[Entry]:
        return self.catalog.rclone.list_folder(self.catalog.folder) or []

    def _see(self, expected: Mapping[str, int], *, renamed: str = "") -> list[Entry]:
        """Wait until the folder has objects of these sizes, by path; return its entries.

        :param renamed: the current path of the upload.
        :raises RemoteError: the objects did not appear.
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
        """Remove the upload where the remote reported a rename that it did not carry out.

        :raises RemoteError: in that case.
        """
        rclone = self.catalog.rclone
        if rclone.size(path) is None and rclone.size(self._temporary) is not None:
            self._remove([path + MANIFEST, self._temporary])
            raise RemoteError(gettext_noop("The remote did not rename the upload to %(name)s."), name=path)

    # -- removing after a failure -------------------------------------------------------------------------------------

    @property
    def _patient(self) -> Rclone:
        """A client for clean-up after a stop: the calls run although the work was stopped, with a short time limit."""
        return dataclasses.replace(self.catalog.rclone, control=None, timeout=20)

    def _remove(self, paths: Sequence[str]) -> None:
        """Remove objects that are ours by name, and remember those that can't be removed now."""
        for path in paths:
            try:
                self._patient.delete(path)
            except BackupError:
                self._leave(path, None)

    def _take_back(self, path: str, stored: Stored) -> None:
        """Remove the published object, if it exists and is ours."""
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
        """Make sure that no message claims that nothing was changed."""
        if control := self.catalog.rclone.control:
            control.has_changed = True

    def _is_ours(self, path: str, stored: Stored) -> bool:
        """Whether an object is our upload: no other run's manifest describes it, and its bytes are ours.

        :raises BackupError: it can't be determined now.
        """
        rclone = self._patient
        if rclone.size(path) != stored.size:
            return False
        manifests: list[Manifest] = []
        reader = ManifestReader(FullReading(thin=True), manifests.append)
        folder, _slash, name = path.rpartition("/")
        rclone.read_many(folder, [name + MANIFEST], reader.feed)
        reader.finish()
        if any(each.run != self.run for each in manifests):
            return False
        # A caller may be waiting. An object too large to be read in time stays, and the message says so.
        return digest(rclone.download(path), seconds=rclone.timeout) == stored.sha256
