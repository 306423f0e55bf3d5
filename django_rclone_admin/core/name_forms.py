"""File names that a storage may treat as equal, because it ignores case or the Unicode form of accents."""

from __future__ import annotations

import unicodedata
from collections import Counter
from collections.abc import Collection, Iterable, Sequence

from .file_lists import MediaFile, parents


def form(path: str) -> str:
    """Return the common form of all paths that a storage may treat as equal."""
    return unicodedata.normalize("NFC", unicodedata.normalize("NFC", path).casefold())


def other_forms(old: Iterable[MediaFile], new: Iterable[MediaFile]) -> list[str]:
    """Return the paths of ``old`` that ``new`` has in another form: a storage may refuse to hold both."""
    before, after = ({each.path for each in files} for files in (old, new))
    added = {form(path) for path in after - before}
    return sorted(path for path in before - after if form(path) in added) if added else []


def in_one_form(files: Iterable[MediaFile], paths: Collection[str]) -> list[str]:
    """Return the names of files and folders, among some paths, that a storage may treat as equal."""
    wanted = {form(each) for path in paths for each in (path, *parents(path))}
    found: dict[str, set[str]] = {}
    for file in files:
        for each in (file.path, *parents(file.path)):
            if (key := form(each)) in wanted:
                found.setdefault(key, set()).add(each)
    return sorted(each for group in found.values() if len(group) > 1 for each in group)


def with_a_name_of_their_own(files: Iterable[MediaFile], paths: Iterable[str]) -> list[str]:
    """Return those paths that no storage treats as equal to the path of another file; perhaps to that of its folder."""
    counts = Counter(form(each.path) for each in files)
    return [path for path in paths if counts[form(path)] < 2]


def twice(files: Sequence[MediaFile]) -> list[str]:
    """Return the duplicate paths of a list: rclone can't tell two such names apart."""
    paths = [path for path, _size, _time in files]
    if len({*paths}) == len(paths):
        return []
    return sorted(path for path, count in Counter(paths).items() if count > 1)
