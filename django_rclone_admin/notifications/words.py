"""The texts of messages: the verdict in the subject, then the problems, the remedies, and the state of each
database."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta

from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from .. import wording
from ..health.levels import Level
from ..health.verdict import DatabaseHealth, Health
from ..models.runs import BackupRun
from .channels import Message
from .claims import Over, Problem

VERDICTS = {
    Level.OK: gettext_lazy("protected"),
    Level.WARNING: gettext_lazy("need attention"),
    Level.CRITICAL: gettext_lazy("at risk"),
    Level.UNKNOWN: gettext_lazy("not known"),
}
OF_ONE = {**VERDICTS, Level.WARNING: gettext_lazy("needs attention")}
"""The verdict on one database or the media files."""


def about_changes(problems: Sequence[Problem], over: Sequence[Over], health: Health | None) -> Message:
    """Return the message about new and solved problems."""
    parts = []
    if problems:
        parts.append(_("New:") + "\n" + "\n".join(_problem(each) for each in problems))
    if over:
        parts.append(_("Over:") + "\n" + "\n".join(_over(each) for each in over))
    first = (problems or over)[0]
    event = first.sentence if problems else _("over: %(what)s") % {"what": first.sentence}
    return Message(
        subject=f"{_verdict(health, problems)} – {_where(first.subject)}{event}",
        body="\n\n".join([*parts, *_state(health)]),
    )


def about_success(run: BackupRun, health: Health | None) -> Message:
    """Return the message about a successful backup."""
    what = _("%(kind)s succeeded") % {"kind": run.get_kind_display()}
    return Message(
        subject=f"{_verdict(health, [])} – {_name(run.database or 'media')}: {what}",
        body="\n\n".join([run.message, *_state(health)]),
    )


def digest(health: Health) -> Message:
    """Return the daily message."""
    findings = [
        _problem(
            Problem(
                key=each.key, level=each.level, subject=each.subject, sentence=each.sentence, hint=each.hint
            )
        )
        for each in health.findings
    ]
    return Message(
        subject=f"{_verdict(health, [])} – {health.detail or health.sentence}",
        body="\n\n".join(filter(None, ["\n".join(findings), *_state(health)])),
    )


def test_message() -> Message:
    """Return the message of ``rclonedoctor --notify``."""
    return Message(
        subject=_("Backups: a test message"),
        body=_("This is a test. Messages about backups will reach you this way."),
    )


def _verdict(health: Health | None, problems: Sequence[Problem]) -> str:
    level = health.level if health else max((each.level for each in problems), default=Level.UNKNOWN)
    return _("Backups %(verdict)s") % {"verdict": VERDICTS[level]}


def _name(subject: str) -> str:
    return _("media files") if subject == "media" else subject


def _where(subject: str) -> str:
    return f"{_name(subject)}: " if subject else ""


def _over(over: Over) -> str:
    what = f"{_where(over.subject)}{over.sentence}"
    return wording.lines(_("- %(what)s (since %(time)s)") % {"what": what, "time": wording.time(over.since)})


def _problem(problem: Problem) -> str:
    lines = [f"- {_where(problem.subject)}{problem.sentence}"]
    if problem.hint:
        lines.append(_("  What to do: %(hint)s") % {"hint": problem.hint})
    return wording.lines("\n".join(lines))


def _state(health: Health | None) -> list[str]:
    """Return a paragraph for each database, and one for the media files."""
    if health is None:
        return [_("The state of the other backups is unknown: the run history can't be read.")]
    return [wording.lines("\n".join(_part(each))) for each in health.parts]


def _part(part: DatabaseHealth) -> list[str]:
    facts, last = part.facts, part.last
    size = "–"
    if last:
        size = wording.size(last.total_size) + _change(last.total_size, facts.size_before)
    taken = f"{wording.time(last.taken_at)} ({wording.ago(last.taken_at)})" if last else _("none")
    seconds = facts.seconds
    proven = _("never")
    if facts.proven_at:
        proven = f"{wording.time(facts.proven_at)} ({facts.proven_level})".replace(" ()", "")
    rows = [
        (_("Last good backup"), taken),
        (_("Size"), size),
        (_("Duration"), "–" if seconds is None else wording.duration(timedelta(seconds=seconds))),
        (_("Proven"), proven),
        (_("Next"), wording.time(facts.next_run_at) if facts.next_run_at else _("not scheduled")),
        (_("What to do"), part.findings[0].hint if part.findings else _("nothing")),
    ]
    title = f"{part.name}{f' ({part.vendor})' if part.vendor else ''}: {OF_ONE[part.level]}"
    reasons = [each.sentence for each in part.findings]
    return [title, *(f"  {reason}" for reason in reasons), *(f"  {name}: {value}" for name, value in rows)]


def _change(size: int, before: int | None) -> str:
    if not before:
        return ""
    return _(" (%(change)+.0f %% against the previous one)") % {"change": (size / before - 1) * 100}
