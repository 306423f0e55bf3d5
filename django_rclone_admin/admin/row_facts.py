"""Further facts for a row of the backup list: the user's permissions, and the change in size."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from django.http import HttpRequest

from .. import wording
from ..models import Backup
from .pages import has_permission

VERBS = ("restore", "open", "download", "pin", "delete")


def note_on_rows(request: HttpRequest, rows: Sequence[Any]) -> None:
    """Store on each row of a page what its columns need besides the backup."""
    if not rows:
        return
    verbs = frozenset(verb for verb in VERBS if has_permission(request, verb))
    before = _predecessors(rows)
    for row in rows:
        row.permitted_verbs = verbs
        row.change = _change(row, before.get(row.path))


def _predecessors(rows: Sequence[Any]) -> dict[str, Backup]:
    """Return the backup before each of the rows, of the same database, from a single listing."""
    following: dict[tuple[str, str], str] = {}
    pairs: dict[str, str] = {}
    wanted = {each.path for each in rows}
    open_ends = set(wanted)
    for path, kind, database in Backup.objects.values_list("path", "kind", "database").iterator():
        later = following.get((kind, database))
        if later is not None and later in wanted:
            pairs[later] = path
            open_ends.discard(later)
            if not open_ends:
                break
        following[kind, database] = path
    known = {each.path: each for each in [*rows, *_read(set(pairs.values()) - wanted)]}
    return {later: known[path] for later, path in pairs.items() if path in known}


def _read(paths: Iterable[str]) -> Iterable[Backup]:
    found: Iterable[Backup] = Backup.objects.filter(pk__in=list(paths))
    return found


def _change(row: Backup, before: Backup | None) -> str:
    """Return the growth of a backup since the previous one; empty if a size is unknown."""
    if row.is_media:
        return wording.files(row.files) + (
            wording.change(row.files or 0, before.files or 0) if before else ""
        )
    if before is None or Backup.State.DAMAGED in (row.state, before.state):
        return ""
    return wording.percent(row.size, before.size)
