"""Checks a media backup: its list, the size of every file, and that the bytes of each can be read."""

from __future__ import annotations

from django.utils.translation import gettext as _

from ..core.check_marks import Level
from ..core.file_lists import MediaFile
from ..core.reading_files import unreadable
from ..exceptions import BackupDamaged, NotChecked, gettext_noop
from ..media import find_places, get_mirror, get_root
from ..media_lists import get_time, read_list
from .check_stored import check_bytes, refuse_unreadable_manifest
from .checking import Check

AGAIN = 3
"""How often files are looked for: a concurrent media backup moves the files that it replaces."""
PAUSE = 1
"""Seconds between two looks."""


def check_media(check: Check) -> None:
    """Check a media backup up to the requested level."""
    refuse_unreadable_manifest(check)
    if check.backup.manifest is None:
        raise NotChecked(
            gettext_noop("Without a manifest, the versions of its files are unknown."),
            hint=gettext_noop("Make a new media backup."),
        )
    check_bytes(check)
    if not check.begin(Level.STRUCTURE):
        return
    if get_time(check.backup) is None:
        raise BackupDamaged(gettext_noop("The manifest of the media backup has another time than its name."))
    check.job.stage(_("Looking for the files"))
    files = read_list(check.job.catalog, check.backup)
    places = _locate(check, files)
    check.tables = {"files": {"expected": check.backup.manifest.files, "found": len(files)}}
    if check.backup.manifest.files not in (None, len(files)):
        raise BackupDamaged(
            gettext_noop("The number of files in the list is %(found)d, and its manifest says %(expected)d."),
            found=len(files),
            expected=check.backup.manifest.files,
        )
    check.passed()
    if check.begin(Level.RESTORE):
        _read_files(check, files, places)
        check.passed()


def _locate(check: Check, files: list[MediaFile]) -> dict[str | None, list[str]]:
    """Find every file, with retries if some seem to be missing.

    :raises BackupDamaged: files are missing.
    """
    for left in reversed(range(AGAIN)):
        try:
            return find_places(check.job.catalog, check.backup, files)
        except BackupDamaged:
            if not left:
                raise
            check.job.control.sleep(PAUSE)
    raise AssertionError


def _read_files(check: Check, files: list[MediaFile], places: dict[str | None, list[str]]) -> None:
    """Read the bytes of every file.

    :raises BackupDamaged: some can't be read, or have another size.
    """
    control, sizes = check.job.control, {each.path: each.size for each in files}
    control.bytes_done, control.bytes_total = 0, sum(sizes.values())
    control.files_total = len(files)
    rclone = get_mirror(check.job.catalog).rclone
    for left in reversed(range(AGAIN)):
        check.job.stage(_("Reading the files"))
        lost = {
            path: reason
            for place, paths in places.items()
            for path, reason in unreadable(
                rclone,
                get_root(check.job.catalog, place),
                {path: sizes[path] for path in paths},
                control=control,
            ).items()
        }
        if not lost:
            return
        if left:
            control.sleep(PAUSE)
            some = [each for each in files if each.path in lost]
            places = _locate(check, some)
    raise BackupDamaged(
        gettext_noop("Files that can't be read: %(count)d, among them %(path)s (%(reason)s)."),
        count=len(lost),
        path=repr(min(lost)),
        reason=lost[min(lost)],
    )
