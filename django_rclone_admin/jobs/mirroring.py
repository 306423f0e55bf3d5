"""Makes the mirror equal to the media files: by the difference to the last file list, or by comparing every file."""

from __future__ import annotations

import functools
import unicodedata
from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Self

from django.db import DatabaseError
from django.utils.translation import gettext as _

from .. import clock
from ..conf import get_settings
from ..core import file_lists, name_forms
from ..core.catalog import Catalog, StoredObject
from ..core.file_lists import Difference, MediaFile
from ..core.mirror import FEW, Mirror
from ..exceptions import BackupDamaged, BackupError, RemoteError, gettext_noop
from ..media import STAMP, local_files, media_in, parse_stamp
from ..media_lists import FoundMedia, find_newest, get_time
from ..models.runs import BackupRun, Kind, Status
from ..remote import media_catalog
from . import history
from .job import Job

FULL_EVERY = 10
"""After this number of media backups, one compares every file with the mirror."""
SAME_SIZE = 64 << 20
"""Total size of changed files of equal size; above it, rclone compares contents and may skip the unchanged ones."""
LOOKS = (1.0, 4.0)
"""Seconds between looks for missing files: a storage may show them late."""
SHOWN = 6
"""How many names an error contains."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Before:
    """The state of the remote before a backup."""

    catalog: Catalog
    lists: list[StoredObject]
    """The objects of the folder of the lists; see :func:`~django_rclone_admin.media_lists.find_newest`."""
    last: FoundMedia | None
    """The last list."""
    runs: list[datetime]
    """The times of all runs that replaced or removed files."""

    @classmethod
    def look(cls, mirror: Mirror, catalog: Catalog) -> Self:
        objects, folders = mirror.contents(catalog.folder)
        lists, last = find_newest(catalog, catalog.arrange(objects), with_list=True)
        return cls(
            catalog=catalog,
            lists=lists,
            last=last and last.fetched(catalog),
            runs=[time for name in folders if (time := parse_stamp(name))],
        )

    def files(self) -> list[MediaFile]:
        """Return the files of the last list; none when it can't be read."""
        try:
            return self.last.read(self.catalog) if self.last else []
        except BackupDamaged:
            return []

    def compare(self, here: Sequence[MediaFile], lines: Collection[bytes]) -> Difference | None:
        """Return the changes since the last list; ``None`` when that can't be read.

        :param here: the media files.
        :param lines: the same as lines of a list.
        """
        try:
            return (
                file_lists.compare_lines(self.last.read_lines(self.catalog), lines, here)
                if self.last
                else None
            )
        except BackupDamaged:
            return None

    @property
    def taken_at(self) -> datetime:
        """A time later than every earlier run, whatever the clock shows."""
        earlier = max([clock.now(), *self.runs, *filter(None, map(get_time, self.lists))])
        return earlier + timedelta(microseconds=1)

    @property
    def trusted(self) -> int:
        """How many consecutive runs, up to the last list, relied on the previous list for the contents of the
        mirror."""
        manifest = self.last.backup.manifest if self.last else None
        return (manifest.trusted or 0) if manifest else 0

    @property
    def is_last_word(self) -> bool:
        """Whether no run has replaced files since the last list."""
        time = get_time(self.last.backup) if self.last else None
        return time is not None and all(run <= time for run in self.runs)


@dataclass(frozen=True, slots=True, kw_only=True)
class Mirrored:
    """The result of updating the mirror."""

    taken_at: datetime
    """The time of the last step."""
    files: list[MediaFile]
    """The media files, all of which are in the mirror."""
    lines: list[bytes]
    """The same as lines of a list."""
    trusted: int
    """See :attr:`~django_rclone_admin.core.manifest.Manifest.trusted`."""


def update_mirror(
    job: Job, mirror: Mirror, before: Before, here: list[MediaFile], *, full: bool = False
) -> Mirrored:
    """Make the mirror equal to the media files, and verify it.

    Each step stores replaced files in a folder of its own.

    :param full: compare every file.
    :raises UsageError: too many files would be removed.
    :raises BackupError: a file could not be copied, or is missing in the mirror.
    """
    lines = file_lists.to_lines(here)
    found = before.compare(here, lines)
    difference = found or Difference(added=[], changed=[], removed=[])
    doubt = _("it was asked for") if full else _doubt(job, mirror, before) or _limit(mirror, found)
    now, there = before.taken_at, list[MediaFile]()
    if doubt:
        job.note(_("Every file is compared with the mirror: %(reason)s.") % {"reason": doubt})
        there = _in_mirror(mirror, before)
        _check_source(here, there)
    else:
        most = get_settings().media_max_delete_percent
        last = len(here) - len(difference.added) + len(difference.removed)
        file_lists.check_counts(len(here), last, len(difference.removed), most)

    def attempt(number: int) -> Mirrored:
        nonlocal here, there, lines
        if number:
            here, there = local_files(mirror).files, _in_mirror(mirror, before)
            lines = file_lists.to_lines(here)
            _check_source(here, there)
        trusts = not (doubt or number)
        copied = [*difference.added, *difference.changed] if trusts else None
        for step in _by_difference(mirror, difference) if trusts else _by_comparison(mirror, there, here):
            take(step)
        lost = _lost(job, mirror, here, copied)
        # Of two folders that differ only in case, rclone skips one, even if the other is empty.
        again = name_forms.with_a_name_of_their_own(here, lost) if lost and not mirror.passes_over else []
        if again:
            take(functools.partial(mirror.renew, get_settings().media_backup_dir, again))
            lost = _lost(job, mirror, here, copied)
        if lost:
            raise _not_arrived(here, lost)
        return Mirrored(taken_at=now, files=here, lines=lines, trusted=before.trusted + 1 if trusts else 0)

    def take(step: Callable[..., None]) -> None:
        nonlocal now
        now += timedelta(microseconds=1)
        versions = media_catalog(job.catalog).path(now.astimezone(UTC).strftime(STAMP))
        step(versions=versions, control=job.control)

    # Despite rclone's errors: a file may have changed while it was read, and copied files need not be copied again.
    return job.retrying(attempt, on=(RemoteError,))


def _check_source(here: Sequence[MediaFile], there: Sequence[MediaFile]) -> None:
    file_lists.check_source(here, there, get_settings().media_max_delete_percent)


def _doubt(job: Job, mirror: Mirror, before: Before) -> str:
    """Return why the last list may not match the mirror; empty when it can be trusted."""
    last = before.last.backup.manifest if before.last else None
    if last is None:
        return _("this is the first file list")
    if last.trusted is None:
        return _("the last file list was written by an older version")
    if not before.is_last_word:
        return _("a later run has replaced files")
    if last.trusted + 1 >= FULL_EVERY:
        return _("that is done from time to time")
    if not _ended_well(job):
        return _("the last run did not succeed, or its outcome is unknown")
    if mirror.passes_over:
        return _("RCLONE_FLAGS exclude files")
    return ""


def _limit(mirror: Mirror, difference: Difference | None) -> str:
    """Return why the difference should not be copied file by file; empty when it can be."""
    if difference is None:
        return _("the last file list can't be read")
    copied, removed = len(difference.added) + len(difference.changed), len(difference.removed)
    if max(copied, removed) > FEW or difference.kept_size > SAME_SIZE:
        return _("much has changed")
    if mirror.has_excludes and removed:
        return _("files may have been excluded since")
    return ""


def _ended_well(job: Job) -> bool:
    """Whether the previous media backup is known to have succeeded."""
    if not job.recorded:
        return False
    runs = BackupRun.objects.using(history.database()).filter(kind=Kind.MEDIA_BACKUP).exclude(pk=job.run.pk)
    try:
        last = runs.order_by("-created_at").values_list("status", flat=True).first()
    except DatabaseError:
        return False
    return last == Status.SUCCEEDED


def _in_mirror(mirror: Mirror, before: Before) -> list[MediaFile]:
    """Return the files of the mirror, with times from the last list if no later run has replaced files."""
    return file_lists.with_times(media_in(mirror), before.files() if before.is_last_word else [])


def _by_difference(mirror: Mirror, difference: Difference) -> Iterator[Callable[..., None]]:
    """Give the steps for the case that the last list matches the mirror."""
    folder = get_settings().media_backup_dir
    if difference.removed:
        yield functools.partial(mirror.retire, folder, difference.removed)
    if copied := [*difference.added, *difference.changed]:
        yield functools.partial(mirror.renew, folder, copied)


def _by_comparison(
    mirror: Mirror, there: Sequence[MediaFile], here: Sequence[MediaFile]
) -> Iterator[Callable[..., None]]:
    """Give the steps by which rclone compares all files and transfers the differences."""
    folder = get_settings().media_backup_dir
    if gone := {*file_lists.obstacles(there, here), *name_forms.other_forms(there, here)}:
        yield functools.partial(mirror.retire, folder, sorted(gone))
    # A sync compares only sizes when the remote keeps no times, so changed files of equal size are named explicitly.
    if there and not mirror.keeps_times() and (changed := file_lists.compare(there, here).changed):
        yield functools.partial(mirror.renew, folder, changed)
    yield functools.partial(mirror.sync, folder)


def _lost(job: Job, mirror: Mirror, files: Sequence[MediaFile], paths: Sequence[str] | None) -> list[str]:
    """Return the paths of files missing in the mirror: rclone skips some with only a notice.

    :param paths: the paths to look for; all by default.
    """
    folder = get_settings().media_backup_dir
    chosen = None if paths is None else {*paths}
    wanted = {path: size for path, size, _time in files if chosen is None or path in chosen}
    for pause in (*LOOKS, None) if wanted else ():
        if paths is None:
            found = {each.name: each.size for each in mirror.remote_files(folder)}
        else:
            found = mirror.sizes(folder, paths)
        lost = [path for path, size in wanted.items() if found.get(path) != size]
        if not lost or not pause:
            return lost
        job.control.sleep(pause)
    return []


def _not_arrived(files: Sequence[MediaFile], lost: Sequence[str]) -> BackupError:
    if same := name_forms.in_one_form(files, lost):
        return _taken_for_the_same(same)
    return file_lists.did_not_arrive(
        gettext_noop("Files that did not arrive in the mirror: %(count)d, among them %(path)s."), lost
    )


def _taken_for_the_same(paths: Sequence[str]) -> BackupError:
    shown = [*map(repr, paths)]
    if len({unicodedata.normalize("NFC", each) for each in shown}) < len(shown):
        shown = [*map(ascii, paths)]  # otherwise they also look equal to people
    return BackupError(
        gettext_noop(
            "The remote treats names of files as equal, so that it can't keep all of them: %(names)s."
        ),
        hint=gettext_noop(
            "Rename all but one of them, or exclude them with MEDIA_EXCLUDE. The other files are in the mirror."
        ),
        names=", ".join(shown[:SHOWN]),
    )
