"""The result of one examination: an outcome, a message and a hint."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

from ..exceptions import BackupError, gettext_noop


class Outcome(StrEnum):
    """The outcome of one check. A check that looked at nothing never passes."""

    PASSED = gettext_noop("passed")
    WARNING = gettext_noop("warning")
    FAILED = gettext_noop("failed")
    UNCHECKED = gettext_noop("not checked")

    @property
    def slug(self) -> str:
        """The name in style sheets."""
        return self.name.lower()


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """The result of one check. Texts are templates as in :mod:`django_rclone_admin.exceptions`."""

    outcome: Outcome
    template: str
    hint: str = ""
    """The suggested action; may use the same placeholders."""
    params: dict[str, Any] = field(default_factory=dict)
    """Values of the placeholders; they must never contain a secret."""
    subject: str = ""
    """The examined part where a check covers several: the alias of a database, a folder of the remote."""
    is_gap: bool = False
    """Whether the check was skipped although it should have run."""


def passed(template: str, /, *, subject: str = "", **params: Any) -> Finding:
    """Return a finding that the check passed."""
    return Finding(outcome=Outcome.PASSED, template=template, params=params, subject=subject)


def warning(template: str, /, *, hint: str, subject: str = "", **params: Any) -> Finding:
    """Return a finding that backups work, with a drawback."""
    return Finding(outcome=Outcome.WARNING, template=template, hint=hint, params=params, subject=subject)


def failed(template: str, /, *, hint: str, subject: str = "", **params: Any) -> Finding:
    """Return a finding that something will not work."""
    return Finding(outcome=Outcome.FAILED, template=template, hint=hint, params=params, subject=subject)


def unchecked(template: str, /, *, hint: str = "", is_gap: bool = False, **params: Any) -> Finding:
    """Return a finding that the check was skipped, with the reason."""
    return Finding(outcome=Outcome.UNCHECKED, template=template, hint=hint, params=params, is_gap=is_gap)


def of_error(
    error: BackupError, outcome: Outcome = Outcome.FAILED, *, subject: str = "", hint: str = ""
) -> Finding:
    """Return an error as a finding.

    :param hint: replaces the hint of the error where the caller knows a better one.
    """
    return Finding(
        outcome=outcome,
        template=error.template,
        hint=hint or error.hint_template,
        params=dict(error.params),
        subject=subject,
    )
