"""What an examination found: a verdict, a sentence, and what to do."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

from ..exceptions import BackupError, gettext_noop


class Outcome(StrEnum):
    """How one check ended. Nothing passes because nothing was looked at."""

    PASSED = gettext_noop("passed")
    WARNING = gettext_noop("warning")
    FAILED = gettext_noop("failed")
    UNCHECKED = gettext_noop("not checked")

    @property
    def slug(self) -> str:
        """The name, for style sheets."""
        return self.name.lower()


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """The result of one check, in templates as those of errors; see :mod:`django_rclone_admin.exceptions`."""

    outcome: Outcome
    template: str
    hint: str = ""
    """What to do about it; may use the same placeholders."""
    params: dict[str, Any] = field(default_factory=dict)
    """The values; they must never hold a secret."""
    subject: str = ""
    """What it is about where the check looks at several: the alias of a database, a folder of the remote."""
    is_gap: bool = False
    """Whether it was not checked although it should have been."""


def passed(template: str, /, *, subject: str = "", **params: Any) -> Finding:
    """Return that all is well."""
    return Finding(outcome=Outcome.PASSED, template=template, params=params, subject=subject)


def warning(template: str, /, *, hint: str, subject: str = "", **params: Any) -> Finding:
    """Return that backups work, with a drawback."""
    return Finding(outcome=Outcome.WARNING, template=template, hint=hint, params=params, subject=subject)


def failed(template: str, /, *, hint: str, subject: str = "", **params: Any) -> Finding:
    """Return that something will not work."""
    return Finding(outcome=Outcome.FAILED, template=template, hint=hint, params=params, subject=subject)


def unchecked(template: str, /, *, hint: str = "", is_gap: bool = False, **params: Any) -> Finding:
    """Return that nothing is known, and why."""
    return Finding(outcome=Outcome.UNCHECKED, template=template, hint=hint, params=params, is_gap=is_gap)


def of_error(
    error: BackupError, outcome: Outcome = Outcome.FAILED, *, subject: str = "", hint: str = ""
) -> Finding:
    """Return what an error says, as a finding.

    :param hint: what to do, where that is known better than by who raised the error.
    """
    return Finding(
        outcome=outcome,
        template=error.template,
        hint=hint or error.hint_template,
        params=dict(error.params),
        subject=subject,
    )
