"""The rules about the whole site. Each is a function of facts, limits and the time."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from django.utils.text import capfirst
from django.utils.timesince import timesince
from django.utils.translation import gettext as _

from .. import wording
from ..core.check_marks import AHEAD
from ..schedules.due import OVERDUE_AFTER
from .facts import RunFacts, SiteFacts
from .levels import Finding, Level, Rule
from .limits import Limits, SiteLimits

PASS_AFTER = timedelta(hours=1)
"""How long ``runschedules`` may be absent."""
QUEUED_FOR = timedelta(hours=1)
"""How long a run may wait for a worker."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Site:
    """The input of a rule."""

    facts: SiteFacts
    limits: SiteLimits
    health: dict[str, object]
    """The setting ``HEALTH``, for the limits of single databases."""
    now: datetime
    cron_line: str
    """The line of a crontab that runs the schedules."""


def unreachable(site: Site) -> Iterator[Finding]:
    """The remote does not answer, or rclone is not installed."""
    trouble = site.facts.trouble
    if trouble is not None:
        yield Finding(
            rule=Rule.NO_RCLONE if trouble.is_rclone_missing else Rule.UNREACHABLE,
            level=Level.CRITICAL,
            sentence=trouble.sentence,
            hint=trouble.hint,
        )


def old_answer(site: Site) -> Iterator[Finding]:
    """The stored facts are old."""
    limit, gathered_at = site.limits.max_answer_age_hours, site.facts.gathered_at
    is_ahead = gathered_at - site.now > AHEAD
    if is_ahead or (limit is not None and site.now - gathered_at > timedelta(hours=limit)):
        sentence = _("The last look at the backups was %(time)s ago.")
        if is_ahead:
            sentence = _("The last look at the backups has a time in the future: a clock was wrong.")
        yield Finding(
            rule=Rule.OLD_ANSWER,
            level=Level.UNKNOWN,
            sentence=sentence % {"time": timesince(gathered_at, site.now)},
            hint=_("Have “manage.py checkbackups” or “manage.py runschedules” run regularly."),
        )


def no_history(site: Site) -> Iterator[Finding]:
    """The run history can't be read."""
    if site.facts.history_problem:
        yield Finding(
            rule=Rule.NO_HISTORY,
            level=Level.WARNING,
            sentence=_("The run history can't be read, so failed runs and schedules are not evaluated."),
            hint=site.facts.history_problem,
        )


def stuck(site: Site) -> Iterator[Finding]:
    """A run is queued or running for too long, or its process is dead."""
    for run in site.facts.runs:
        limit = Limits.of(run.database, site.health).max_run_hours
        if sentence := _why_stuck(run, limit, site.now):
            yield Finding(
                rule=Rule.STUCK,
                level=Level.WARNING,
                subject=run.database,
                sentence=sentence,
                hint=_(
                    "Stale runs are closed by the next run, or by the run history in the admin; others can be cancelled there."
                ),
            )


def _why_stuck(run: RunFacts, limit: float | None, now: datetime) -> str:
    what = {"run": capfirst(run.words), "time": timesince(run.since_at, now)}
    if run.is_gone:
        return _("%(run)s that began %(time)s ago has stopped unexpectedly.") % what
    if run.status == "queued" and now - run.since_at > QUEUED_FOR:
        return _("%(run)s has waited for a worker for %(time)s.") % what
    if run.status == "running" and limit is not None and now - run.since_at > timedelta(hours=limit):
        return _("%(run)s has been running for %(time)s.") % what
    return ""


def overdue(site: Site) -> Iterator[Finding]:
    """A schedule was due and did not run."""
    for each in site.facts.schedules.overdue:
        yield Finding(
            rule=Rule.OVERDUE,
            level=Level.CRITICAL,
            subject=each.name,
            sentence=each.reason,
            hint=each.hint or _("Check that “manage.py runschedules” runs, and look at the run history."),
        )


def schedule_failed(site: Site) -> Iterator[Finding]:
    """The last run of a schedule failed."""
    for each in site.facts.schedules.failed:
        yield Finding(
            rule=Rule.SCHEDULE_FAILED,
            level=Level.WARNING,
            subject=each.name,
            sentence=_("The schedule “%(name)s” failed: %(reason)s")
            % {"name": each.name, "reason": each.reason},
            hint=_("See the run history. The problem is over when the schedule succeeds."),
        )


def no_runner(site: Site) -> Iterator[Finding]:
    """Schedules exist, but ``runschedules`` does not run.

    A new site is given time to set it up: where it never ran, that is no problem until a schedule was due.
    """
    schedules = site.facts.schedules
    passed_at, first_due_at = schedules.passed_at, schedules.first_due_at
    if passed_at and passed_at - site.now > AHEAD:  # by a wrong clock
        passed_at = None
    if passed_at:
        is_absent = site.now - passed_at > PASS_AFTER
    else:
        is_absent = first_due_at is not None and site.now - first_due_at > OVERDUE_AFTER
    if schedules.enabled and is_absent:
        sentence = _("“runschedules” does not run.")
        if passed_at:
            sentence = _("“runschedules” last ran %(time)s ago.") % {"time": timesince(passed_at, site.now)}
        yield Finding(
            rule=Rule.NO_RUNNER,
            level=Level.CRITICAL,
            sentence=sentence,
            hint=_("Add this line to a crontab: %(line)s") % {"line": site.cron_line},
        )


def no_schedule(site: Site) -> Iterator[Finding]:
    """No automatic backups: the site has neither a schedule nor a recent backup started by a program."""
    if site.facts.schedules.enabled or not site.facts.parts:
        return
    for each in site.facts.parts:
        limit = Limits.of(each.database, site.health).max_age_hours
        age = site.now - each.automatic_at if each.automatic_at else None
        if age is not None and (limit is None or age <= timedelta(hours=limit)):
            return
    yield Finding(
        rule=Rule.NO_SCHEDULE,
        level=Level.WARNING,
        sentence=_("There are no automatic backups: the site has no schedule."),
        hint=_("Add a schedule in the admin, or have cron call “manage.py dbbackup --all”."),
    )


def low_space(site: Site) -> Iterator[Finding]:
    """The remote is nearly full."""
    free, limit = site.facts.free, site.limits.min_free
    if free is None or site.facts.trouble:
        return
    # The mirror of media files grows only by changes, so its size does not predict that of the next run.
    need = sum(each.last.total_size for each in site.facts.parts if each.kind != "media" and each.last)
    if free < need or free < (2 * need if limit is None else limit):
        yield Finding(
            rule=Rule.LOW_SPACE,
            level=Level.CRITICAL if free < need else Level.WARNING,
            sentence=_("The remote has only %(free)s free.") % {"free": wording.size(free)},
            hint=_("The last backups take %(need)s. Free some space, or lower the retention.")
            % {"need": wording.size(need)},
        )


def uncovered(site: Site) -> Iterator[Finding]:
    """A database or a storage that no backup covers."""
    for each in site.facts.uncovered:
        kind, _space, name = each.partition(" ")
        if kind == "database":
            sentence = _("The database “%(name)s” is not backed up: its engine has no connector.") % {
                "name": name
            }
            hint = _("Name one in CONNECTORS or CONNECTOR_MAPPING, or list the others in DATABASES.")
        else:
            sentence = _("The files of the storage “%(name)s” in STORAGES are not backed up.") % {
                "name": name
            }
            hint = _(
                "Put it below MEDIA_ROOT, back it up otherwise, or set HEALTH[“ignore”] to [“%(key)s”]."
            ) % {"key": f"{Rule.UNCOVERED}:{name}"}
        yield Finding(rule=Rule.UNCOVERED, level=Level.WARNING, subject=name, sentence=sentence, hint=hint)


SITE_RULES: Sequence[Callable[[Site], Iterator[Finding]]] = (
    unreachable,
    old_answer,
    low_space,
    overdue,
    no_runner,
    schedule_failed,
    stuck,
    uncovered,
    no_schedule,
    no_history,
)
"""The order in which findings of one level are shown."""
