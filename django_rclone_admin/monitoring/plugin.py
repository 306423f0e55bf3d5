"""The output of monitoring plugins: one line with the state and performance data, then a line for each finding.

See the development guidelines of the Monitoring Plugins project.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from .. import clock, wording

if TYPE_CHECKING:
    from ..api import DatabaseHealth, Health

NAME = "BACKUPS"


def plugin_output(health: Health) -> str:
    """Return the output of a monitoring plugin."""
    summary = " ".join(filter(None, (health.sentence, health.detail)))
    first = f"{first_words(health.level.name, summary)} | {' '.join(_performance(health))}".rstrip(" |")
    lines = [
        _fit(
            f"{each.level.name} {each.rule}{f' ({each.subject})' if each.subject else ''}: {each.sentence} {each.hint}"
        )
        for each in health.findings
    ]
    return "\n".join([first, *lines])


def first_words(state: str, text: str) -> str:
    """Return the state and a sentence, in the form that monitors expect at the beginning."""
    return f"{NAME} {state} - {_fit(text)}"


def _fit(text: str) -> str:
    """Return a text on one line, without the separator of performance data."""
    return " ".join(wording.lines(text).split()).replace("|", "/")


def _performance(health: Health) -> list[str]:
    found = [each for part in health.parts for each in _of_part(part)]
    if health.free is not None:
        found.append(f"'free'={health.free}B;;;0")
    return found


def _of_part(part: DatabaseHealth) -> list[str]:
    name, last = part.database.replace("'", "''").replace("=", "_"), part.last
    limit = part.limits.max_age_hours
    critical = "" if limit is None else f"{limit * 3600:g}"
    if last is None:
        return [f"'{name}_age'=U", f"'{name}_size'=U"]
    age = max(0, int((clock.now() - last.taken_at).total_seconds()))
    return [f"'{name}_age'={age}s;;{critical};0", f"'{name}_size'={last.total_size}B;;;0"]
