"""Evaluates the facts by the rules. Panel, command, JSON, metrics and mail all show this result."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from .. import clock, wording
from ..conf import get_settings
from .crontab import cron_line
from .facts import BackupFacts, Day, PartFacts, SiteFacts
from .levels import OF_THE_SITE, Finding, Level, Rule, worst
from .limits import Limits, SiteLimits, is_judged
from .rules import PART_RULES, Case
from .site_rules import SITE_RULES, Site


@dataclass(frozen=True, slots=True, kw_only=True)
class DatabaseHealth:
    """The health of one database, or of the media files."""

    level: Level
    reason: str
    """The gravest finding; empty if there is none."""
    facts: PartFacts
    limits: Limits = field(default_factory=Limits)
    findings: list[Finding] = field(default_factory=list)
    """All findings, the gravest first."""

    @property
    def database(self) -> str:
        """Its alias, or ``media``."""
        return self.facts.database

    @property
    def kind(self) -> str:
        """``database`` or ``media``."""
        return self.facts.kind

    @property
    def vendor(self) -> str:
        """The engine, for people."""
        return self.facts.vendor

    @property
    def last(self) -> BackupFacts | None:
        """The newest backup that a restore would use by default."""
        return self.facts.last

    @property
    def sizes(self) -> list[int]:
        """Sizes of its last backups in bytes, oldest first."""
        return self.facts.sizes

    @property
    def days(self) -> list[Day]:
        """The recent days, for the chart."""
        return self.facts.days

    @property
    def name(self) -> str:
        """Its name, for people."""
        return _("media files") if self.kind == "media" else self.database


@dataclass(frozen=True, slots=True, kw_only=True)
class Health:
    """The health of the site."""

    level: Level
    sentence: str
    detail: str
    hint: str
    facts: SiteFacts
    databases: list[DatabaseHealth] = field(default_factory=list)
    media: DatabaseHealth | None = None
    """``None`` for a site without media files."""
    findings: list[Finding] = field(default_factory=list)
    """All findings, the gravest first."""
    is_known: bool = True
    """Whether there has been a look at the backups."""

    @property
    def parts(self) -> list[DatabaseHealth]:
        """All evaluated databases, and the media files."""
        return [*self.databases, *([self.media] if self.media else [])]

    @property
    def of_site(self) -> list[Finding]:
        """Findings about the whole site that the headline does not show."""
        own = {each.key for part in self.parts for each in part.findings}
        said = (Rule.UNREACHABLE, Rule.NO_RCLONE)
        return [each for each in self.findings if each.key not in own and each.rule not in said]

    @property
    def remote(self) -> str:
        """The remote, as shown to people."""
        return self.facts.remote

    @property
    def version(self) -> str:
        """The version of rclone; empty if unknown."""
        return self.facts.version

    @property
    def free(self) -> int | None:
        """Free bytes on the remote, if it reports them."""
        return self.facts.free

    @property
    def gathered_at(self) -> datetime:
        """When the facts were gathered."""
        return self.facts.gathered_at


def judge(
    facts: SiteFacts,
    *,
    only: Sequence[str] = (),
    now: datetime | None = None,
    **limits: Any,
) -> Health:
    """Return the evaluation of these facts. It does no I/O.

    :param only: evaluate only these databases, and the rules that concern each of them.
    :param limits: limits that replace those in ``HEALTH``.
    """
    health = get_settings().health
    now = now or clock.now()
    shown = [each for each in facts.parts if is_judged(each.database, health)]
    if only:
        shown = [each for each in shown if each.database in only]
    ignored = SiteLimits.of(health).ignore
    parts = [_judge_part(each, {**health, **limits}, limits, now, ignored) for each in shown]
    site = Site(
        facts=facts,
        limits=SiteLimits.of(health),
        health={**health, **limits},
        now=now,
        cron_line=cron_line(),
    )
    found = [each for rule in SITE_RULES for each in rule(site) if not _is_ignored(each, ignored)]
    if only:
        found = [each for each in found if each.rule in OF_THE_SITE or each.subject in only]
    findings = _by_gravity([*found, *(each for part in parts for each in part.findings)])
    level = worst(each.level for each in findings) if parts or findings else Level.UNKNOWN
    sentence, detail, hint = _headline(facts, level, parts, found)
    return Health(
        level=level,
        sentence=sentence,
        detail=detail,
        hint=hint,
        facts=facts,
        databases=[each for each in parts if each.kind != "media"],
        media=next((each for each in parts if each.kind == "media"), None),
        findings=findings,
    )


def unknown(facts: SiteFacts) -> Health:
    """Return the health of a site that was never looked at."""
    finding = Finding(
        rule=Rule.NO_ANSWER,
        level=Level.UNKNOWN,
        sentence=_("The backups have not been evaluated yet."),
        hint=_("Run “manage.py checkbackups”, and have it or “manage.py runschedules” run regularly."),
    )
    return Health(
        level=Level.UNKNOWN,
        sentence=_("Not known."),
        is_known=False,
        detail=finding.sentence,
        hint=finding.hint,
        facts=facts,
        findings=[finding],
        databases=[
            DatabaseHealth(level=Level.UNKNOWN, reason=finding.sentence, facts=each) for each in facts.parts
        ],
    )


def _judge_part(
    part: PartFacts, health: dict[str, Any], limits: dict[str, Any], now: datetime, ignored: Sequence[str]
) -> DatabaseHealth:
    own = health.get(part.database)
    health = {**health, part.database: {**own, **limits} if isinstance(own, dict) else limits}
    case = Case(part=part, limits=Limits.of(part.database, health), now=now)
    found = [finding for rule in PART_RULES if (finding := rule(case)) and not _is_ignored(finding, ignored)]
    findings = _by_gravity(found)
    return DatabaseHealth(
        level=worst(each.level for each in findings),
        reason=findings[0].sentence if findings else "",
        facts=part,
        limits=case.limits,
        findings=findings,
    )


def _is_ignored(finding: Finding, ignored: Sequence[str]) -> bool:
    return finding.rule in ignored or finding.key in ignored


def _by_gravity(findings: Sequence[Finding]) -> list[Finding]:
    """Return the gravest first; within a level, keep the order of the rules."""
    return sorted(findings, key=lambda each: -each.level.gravity)


def _headline(
    facts: SiteFacts, level: Level, parts: Sequence[DatabaseHealth], found: Sequence[Finding]
) -> tuple[str, str, str]:
    """Return the overall sentence, detail and hint."""
    if facts.trouble and any(each.rule in (Rule.UNREACHABLE, Rule.NO_RCLONE) for each in found):
        missing = facts.trouble.is_rclone_missing
        sentence = _("rclone is not installed.") if missing else _("The remote does not answer.")
        return sentence, facts.trouble.sentence, facts.trouble.hint
    if level is Level.OK:
        return _("Protected."), _all_is_well(parts), ""
    if not parts and not found:
        return _("There is no database to back up."), "", ""
    bad = [each for each in parts if each.level is not Level.OK]
    # A warning about the site does not hide databases at risk.
    of_site = [each for each in found if each.level.gravity >= level.gravity]
    alike: dict[str, list[str]] = {}
    for each in bad:
        alike.setdefault(each.reason, []).append(each.name)
    detail = [f"{', '.join(names)}: {reason}" for reason, names in alike.items()]
    detail += [each.sentence for each in of_site]
    sentence = {Level.CRITICAL: _("Action needed."), Level.UNKNOWN: _("Not known.")}.get(
        level, _("Check the warnings.")
    )
    return sentence, " ".join(detail), of_site[0].hint if of_site and not bad else ""


def _all_is_well(parts: Sequence[DatabaseHealth]) -> str:
    taken = [each.last.taken_at for each in parts if each.last]
    if not taken:
        return ""
    databases = sum(each.kind == "database" for each in parts)
    count = ngettext("%(count)d database", "%(count)d databases", databases) % {"count": databases}
    if databases < len(parts):
        count = _("%(databases)s and the media files") % {"databases": count}
    return ngettext(
        "%(parts)s, backed up less than %(time)s ago.",
        "%(parts)s, each backed up less than %(time)s ago.",
        len(parts),
    ) % {"parts": count, "time": wording.within(min(taken))}
