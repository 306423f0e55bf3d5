"""Words for people: errors and sizes, translated."""

from __future__ import annotations

from django.template.defaultfilters import filesizeformat
from django.utils.translation import gettext

from .exceptions import BackupError


def describe(error: BaseException) -> tuple[str, str]:
    """Return the sentence and the hint of an error, translated. An error that is not ours speaks for itself."""
    if isinstance(error, BackupError):
        return _translate(error.template, error.params), _translate(error.hint_template, error.params)
    return str(error) or type(error).__name__, ""


def _translate(template: str, params: dict[str, object]) -> str:
    translated = gettext(template) if template else ""
    return translated % params if params else translated


def size(count: int | None) -> str:
    """Return a number of bytes as people read it."""
    return "–" if count is None else filesizeformat(count).replace("\xa0", " ")
