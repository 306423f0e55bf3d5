"""The rules about one database, or about the media files. Each is a function of facts, limits and the time."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from django.utils.timesince import timesince
from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from .. import wording
from ..core.states import State
from .facts import PartFacts
from .levels import Finding, Level, Rule
from .limits import Limits

FIRST_WORDS = 5
"""How many names a sentence contains."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """The input of a rule."""

    part: PartFacts
    limits: Limits
    now: datetime

    @property
    def command(self) -> str:
        """The command line that backs up this database, or the media files."""
        if self.part.kind == "media":
            return "manage.py mediabackup"
        return f"manage.py dbbackup -d {self.part.database}"

    def finding(self, rule: Rule, level: Level, sentence: str, hint: str) -> Finding:
        """Return a finding about this database."""
        return Finding(rule=rule, level=level, subject=self.part.database, sentence=sentence, hint=hint)


def missing(case: Case) -> Finding | None:
    """The database was never backed up, or its backups are gone."""
    if case.part.last is not None:
        return None
    hint = _("Back it up now: “%(command)s”.") % {"command": case.command}
    if not case.part.is_listed:
        sentence, level = _("The backups are unknown: the backup list was not read yet."), Level.UNKNOWN
        hint = _("Run “manage.py checkbackups”.")
    elif case.part.ahead:
        sentence, level = _("All backups have a time in the future."), Level.CRITICAL
    else:
        sentence, level = _("There is no backup."), Level.CRITICAL
    return case.finding(Rule.MISSING, level, sentence, hint)


def old(case: Case) -> Finding | None:
    """The last good backup is too old."""
    last, limit = case.part.last, case.limits.max_age_hours
    if last is None or limit is None or case.now - last.taken_at <= timedelta(hours=limit):
        return None
    return case.finding(
        Rule.OLD,
        Level.CRITICAL,
        _("The last backup is %(time)s old; the limit is %(limit)s.")
        % {"time": timesince(last.taken_at, case.now), "limit": wording.hours(limit)},
        _("Back it up now with “%(command)s”, and check why that was not done.") % {"command": case.command},
    )


def too_small(case: Case) -> Finding | None:
    """The last good backup has too few bytes."""
    last, limit = case.part.last, case.limits.min_size
    is_empty_folder = last is not None and last.files == 0
    if last is None or limit is None or is_empty_folder or last.total_size >= limit:
        return None
    return case.finding(
        Rule.TOO_SMALL,
        Level.CRITICAL,
        _("The last backup is too small."),
        _(
            "It has %(size)s; the limit is %(limit)s. Check the contents of the database before older backups are removed."
        )
        % {"size": wording.size(last.total_size), "limit": wording.size(int(limit))},
    )


def future_name(case: Case) -> Finding | None:
    """The name of a backup has a time in the future."""
    names = case.part.ahead
    if not names:
        return None
    sentence = ngettext(
        "%(count)d backup has a time in the future: a clock was wrong.",
        "%(count)d backups have a time in the future: a clock was wrong.",
        len(names),
    ) % {"count": len(names)}
    hint = _("Correct the clock, then rename or delete: %(names)s.") % {"names": _some(names)}
    return case.finding(Rule.FUTURE_NAME, Level.WARNING, sentence, hint)


def damaged(case: Case) -> Finding | None:
    """A backup is damaged."""
    names, last = case.part.damaged, case.part.last
    if not names:
        return None
    if case.part.is_newest_damaged:
        sentence = _("The newest backup is damaged; an older one is good.")
        if last is None:
            sentence = _("The newest backup is damaged.")
    else:
        sentence = ngettext(
            "%(count)d older backup is damaged.", "%(count)d older backups are damaged.", len(names)
        ) % {"count": len(names)}
    hint = _("It can't be restored. Back up anew, then delete: %(names)s.") % {"names": _some(names)}
    return case.finding(Rule.DAMAGED, Level.WARNING, sentence, hint)


def failing(case: Case) -> Finding | None:
    """The last runs did not succeed."""
    failure = case.part.failure
    if failure is None:
        return None
    sentence = _("The last run did not succeed.")
    if failure.count > 1:
        sentence = _("The last %(count)d runs did not succeed.") % {"count": failure.count}
    hint = " ".join(filter(None, (failure.message, failure.hint))) or _("See the run history.")
    return case.finding(Rule.FAILING, Level.WARNING, sentence, hint)


def shrunk(case: Case) -> Finding | None:
    """The last backup is much smaller than the previous one."""
    last, before, limit = case.part.last, case.part.size_before, case.limits.max_size_drop_percent
    if last is None or not before or limit is None or last.total_size >= before * (1 - limit / 100):
        return None
    return case.finding(
        Rule.SHRUNK,
        Level.WARNING,
        _("The last backup is much smaller than the previous one."),
        _("It has %(size)s, the previous one %(before)s. Check that no data is missing.")
        % {"size": wording.size(last.total_size), "before": wording.size(before)},
    )


def no_manifest(case: Case) -> Finding | None:
    """The last backup can't be checked."""
    last = case.part.last
    if last is None or last.state != State.LEGACY:
        return None
    return case.finding(
        Rule.NO_MANIFEST,
        Level.WARNING,
        _("The last backup can't be checked: its manifest is missing."),
        _("Make one with this package: “%(command)s”.") % {"command": case.command},
    )


def check_failed(case: Case) -> Finding | None:
    """The last backup has failed a check that does not make it damaged."""
    if not case.part.failed_check:
        return None
    return case.finding(
        Rule.CHECK_FAILED,
        Level.WARNING,
        _("The last backup failed its check of the level “%(level)s”.") % {"level": case.part.failed_check},
        _("The record of the check gives the reason. Check the data and VERIFY_CHECKS, then back up anew."),
    )


def unproven(case: Case) -> Finding | None:
    """The last check is too long ago. A new site has as long as the limit for its first check."""
    part, limit = case.part, case.limits.max_verified_age_days
    since = part.proven_at or part.first_at
    if part.last is None or not part.proves or limit is None or since is None:
        return None
    if case.now - since <= timedelta(days=limit):
        return None
    age = {"time": timesince(since, case.now)}
    sentence = _("The last check that passed is %(time)s old.") % age
    if part.proven_at is None:
        sentence = _("No backup was ever checked; the first one is %(time)s old.") % age
    return case.finding(
        Rule.UNPROVEN,
        Level.WARNING,
        sentence,
        _("Check the newest with “manage.py verifybackups --due”, and let a schedule do it."),
    )


PART_RULES: Sequence[Callable[[Case], Finding | None]] = (
    missing,
    old,
    too_small,
    future_name,
    damaged,
    failing,
    shrunk,
    no_manifest,
    check_failed,
    unproven,
)
"""The order in which findings of one level are shown."""


def _some(names: Sequence[str]) -> str:
    shown = ", ".join(names[:FIRST_WORDS])
    return f"{shown}, …" if len(names) > FIRST_WORDS else shown
