"""Gathers the facts: about the remote by rclone, about runs from the history, and the rest from the settings."""

from __future__ import annotations

import dataclasses
import hashlib
from collections.abc import Sequence
from datetime import datetime, timedelta

from django.utils import timezone

from .. import clock, wording
from ..cached_listing import PAGE_TIMEOUT, cache_key, get_listing, with_manifests
from ..conf import get_settings
from ..connectors.registry import all_databases, get_connector
from ..core.catalog import StoredObject, latest
from ..core.check_marks import Outcome
from ..core.features import read_version_and_free
from ..core.naming import MEDIA
from ..core.states import State
from ..exceptions import BackupError, ProgramMissing
from ..rclone_program import find_rclone
from ..remote import get_rclone
from ..single_flight import once
from ..site_cache import site_cache
from . import history_facts
from .coverage import has_media_files, uncovered
from .facts import DAYS, BackupFacts, Day, PartFacts, SiteFacts, Trouble
from .history_facts import Ended, History
from .limits import is_judged
from .updates import BY_HAND, with_backup

REMOTE_SECONDS = 300
"""How long the version of rclone and the free space are cached."""


def gather(known: SiteFacts | None) -> SiteFacts:
    """Look at the remote and the history. An unreachable remote is a fact, not an error.

    :param known: the facts of the last look, for values that can't be read now.
    """
    began_at, history = clock.now(), history_facts.read()
    try:
        objects = get_listing().backups
        _read_manifests(objects)
        parts = [_of_database(alias, objects, history) for alias in all_databases()]
        if _has_media(objects):
            parts.append(_of_media(objects, history))
        version, free = _about_remote()
    except BackupError as error:
        sentence, hint = wording.describe(error)
        missing = isinstance(error, ProgramMissing) or find_rclone() is None
        trouble = Trouble(sentence=sentence, hint=hint, is_rclone_missing=missing)
        return dataclasses.replace(gather_locally(known, history), trouble=trouble, gathered_at=began_at)
    return dataclasses.replace(_site(history, parts=parts, version=version, free=free), gathered_at=began_at)


def gather_locally(known: SiteFacts | None, history: History | None = None) -> SiteFacts:
    """Gather the facts that need no remote; the others come from the last look, or from the history."""
    history = history or history_facts.read()
    known = known if known and known.place == place() else None
    names = [*all_databases(), *([MEDIA] if _has_media([]) or (known and known.part(MEDIA)) else [])]
    parts = []
    for name in names:
        kind = "media" if name == MEDIA else "database"
        kept = known.part(name) if known else None
        part = kept or _from_history(name, kind, history)
        parts.append(_with_history(part, history))
    site = _site(history, parts=parts)
    if known is None:
        return site
    return dataclasses.replace(
        site, version=known.version, free=known.free, trouble=known.trouble, gathered_at=known.gathered_at
    )


def place() -> str:
    """Return a text that identifies the configured remote."""
    return hashlib.sha256(cache_key("health").encode()).hexdigest()[:16]


def _site(history: History, **values: object) -> SiteFacts:
    return SiteFacts(
        gathered_at=clock.now(),
        place=place(),
        remote=get_rclone().label,
        history_problem=history.problem,
        runs=history.active,
        schedules=history.schedules,
        uncovered=uncovered(),
        **values,  # type: ignore[arg-type]
    )


def _has_media(objects: Sequence[StoredObject]) -> bool:
    """Whether media files are evaluated: they exist, here or on the remote, and the settings want it."""
    return is_judged(MEDIA, get_settings().health) and (bool(_media_backups(objects)) or has_media_files())


def _media_backups(objects: Sequence[StoredObject]) -> list[StoredObject]:
    # A media backup without a manifest can't be restored.
    return [each for each in objects if each.kind == "media" and each.taken_at and each.has_manifest]


def _read_manifests(objects: Sequence[StoredObject]) -> None:
    """Read the manifests of the newest backups of all parts by one call of rclone for each kind; they are kept."""
    parts = [_backups_of(alias, objects) for alias in all_databases()]
    if _has_media(objects):
        parts.append(_media_backups(objects))
    with_manifests([each for mine in parts for each in _in_time(mine)[:DAYS]])


def _backups_of(alias: str, objects: Sequence[StoredObject]) -> list[StoredObject]:
    return [each for each in objects if (each.kind, each.database) == ("database", alias) and each.taken_at]


def _in_time(mine: Sequence[StoredObject]) -> list[StoredObject]:
    """Return the backups without those whose time is in the future."""
    now = clock.now()
    return [each for each in mine if not each.is_ahead(now)]


def _of_database(alias: str, objects: Sequence[StoredObject], history: History) -> PartFacts:
    mine = _backups_of(alias, objects)
    return _of_listing(alias, "database", get_connector(alias).vendor_name, mine, history)


def _of_media(objects: Sequence[StoredObject], history: History) -> PartFacts:
    return _of_listing(MEDIA, "media", "", _media_backups(objects), history)


def _of_listing(
    name: str, kind: str, vendor: str, mine: Sequence[StoredObject], history: History
) -> PartFacts:
    now, in_time = clock.now(), _in_time(mine)
    # The listing alone does not show damaged backups and safety backups.
    newest = with_manifests(in_time[:DAYS])
    last = latest(newest, name) or latest(in_time[DAYS:], name)
    good = [each for each in newest if not each.is_safety and each.state is not State.DAMAGED]
    complete = [
        each for each in good if each.state is State.COMPLETE and not (last and each.name == last.name)
    ]
    damaged = [each for each in newest if each.state is State.DAMAGED]
    automatic = [each for each in good if not each.manifest or each.manifest.trigger not in BY_HAND]
    proofs = sorted((each.proof for each in mine if each.proof), key=lambda each: each.at)
    part = PartFacts(
        database=name,
        kind=kind,
        vendor=vendor,
        last=_backup(last) if last else None,
        failed_check=_failed_check(last) if last else "",
        proven_at=proofs[-1].at if proofs else None,
        proven_level=str(proofs[-1].level) if proofs else "",
        size_before=complete[0].total_size if complete else None,
        damaged=[each.name for each in damaged],
        is_newest_damaged=bool(damaged) and (last is None or damaged[0].order > last.order),
        ahead=[each.name for each in mine if each.is_ahead(now)],
        first_at=in_time[-1].taken_at if in_time else None,
        automatic_at=automatic[0].taken_at if automatic else None,
        sizes=[each.total_size for each in reversed(good)],
        days=_strip([*newest, *in_time[DAYS:]], history.ended(name, kind)),
        count=len(mine),
        stored=sum(each.size for each in mine),
    )
    return _with_history(part, history)


def _backup(stored: StoredObject) -> BackupFacts:
    assert stored.taken_at is not None
    return BackupFacts(
        name=stored.name,
        path=stored.path,
        taken_at=stored.taken_at,
        total_size=stored.total_size,
        state=str(stored.state),
        files=stored.manifest.files if stored.manifest else None,
    )


def _failed_check(backup: StoredObject) -> str:
    """Return the level of a failed check that does not make the backup damaged; empty if there is none."""
    return next((str(each.level) for each in backup.checks if each.outcome is Outcome.FAILED), "")


def _with_history(part: PartFacts, history: History) -> PartFacts:
    """Return the facts of a database, completed from the history."""
    ended = history.ended(part.database, part.kind)
    first = min((each for each in (part.first_at, history.first_at(part.database)) if each), default=None)
    return dataclasses.replace(
        part,
        failure=history_facts.failure(ended, part.last.taken_at if part.last else None),
        first_at=first,
        seconds=next((each.seconds for each in ended if each.is_success), part.seconds),
        next_run_at=history.next_run_at(part.database),
    )


def _from_history(name: str, kind: str, history: History) -> PartFacts:
    """Return the facts about the backups of a database from the history, if the remote was never listed."""
    good = [each for each in history.ended(name, kind) if each.is_success and each.path]
    vendor = "" if kind == "media" else get_connector(name).vendor_name
    part = PartFacts(database=name, kind=kind, vendor=vendor, is_listed=False, count=len(good))
    for each in reversed(good):
        part = with_backup(part, each)
    return part


def _strip(mine: Sequence[StoredObject], ended: Sequence[Ended]) -> list[Day]:
    today = timezone.localtime(clock.now()).date()
    good = {_day(each.taken_at) for each in mine if each.state is not State.DAMAGED}
    tried = {_day(each.created_at) for each in ended if not each.is_success}
    tried |= {_day(each.taken_at) for each in mine if each.state is State.DAMAGED}
    days = [today - timedelta(days=back) for back in range(DAYS - 1, -1, -1)]
    return [Day(day=day, state="ok" if day in good else "failed" if day in tried else "none") for day in days]


def _day(time: datetime | None) -> object:
    return timezone.localtime(time).date() if time else None


def _about_remote() -> tuple[str, int | None]:
    """Return the version of rclone and the free bytes, by one call of rclone every few minutes for all callers."""
    key = cache_key("remote")

    def remembered() -> tuple[str, int | None] | None:
        found: tuple[str, int | None] | None = site_cache.get(key)
        return found

    def ask() -> tuple[str, int | None]:
        rclone = get_rclone(timeout=PAGE_TIMEOUT)
        found = read_version_and_free(rclone)
        site_cache.set(key, found, REMOTE_SECONDS)
        return found

    return once(key, remembered, ask, seconds=2 * PAGE_TIMEOUT)
