"""The health as OpenMetrics, for Prometheus and its like. A value of 0 means never."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from datetime import datetime
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ..api import DatabaseHealth, Health


CONTENT_TYPE = "application/openmetrics-text; version=1.0.0; charset=utf-8"
Value = int | float

OF_PARTS: Mapping[str, tuple[str, Callable[[DatabaseHealth], Value]]] = {
    "last_success_timestamp_seconds": (
        "When the last good backup was taken; 0 where there is none.",
        lambda part: _stamp(part.last.taken_at if part.last else None),
    ),
    "last_size_bytes": (
        "Size of the last good backup.",
        lambda part: part.last.total_size if part.last else 0,
    ),
    "last_duration_seconds": (
        "How long the last backup that succeeded took.",
        lambda part: part.facts.seconds or 0,
    ),
    "last_proven_timestamp_seconds": (
        "When a backup was last checked with success; 0 where none was.",
        lambda part: _stamp(part.facts.proven_at),
    ),
    "next_run_timestamp_seconds": (
        "When the next schedule backs it up; 0 where none does.",
        lambda part: _stamp(part.facts.next_run_at),
    ),
    "stored_bytes": ("Bytes of all its backups, as they are listed.", lambda part: part.facts.stored),
    "stored_count": ("How many backups of it there are.", lambda part: part.facts.count),
    "failed_runs": (
        "How many of its last runs failed in a row.",
        lambda part: part.facts.failure.count if part.facts.failure else 0,
    ),
    "level": (
        "The health: 0 ok, 1 warning, 2 critical, 3 unknown.",
        lambda part: int(part.level),
    ),
}
UNITS = ("seconds", "bytes")


def metrics_text(health: Health) -> str:
    """Return the metrics."""
    return "\n".join([*_lines(health), "# EOF", ""])


def _lines(health: Health) -> Iterator[str]:
    for name, (explanation, value) in OF_PARTS.items():
        samples = {_labels(database=each.database, kind=each.kind): value(each) for each in health.parts}
        yield from _family(name, explanation, samples)
    yield from _family("site_level", "The health of the whole site.", {"": int(health.level)})
    yield from _family(
        "answer_timestamp_seconds",
        "When the backups were last looked at; 0 if never.",
        {"": _stamp(health.gathered_at) if health.is_known else 0},
    )
    is_up = health.is_known and health.facts.trouble is None
    yield from _family("remote_up", "Whether the remote answered at the last look.", {"": int(is_up)})
    if health.free is not None:
        yield from _family("remote_free_bytes", "Free space on the remote.", {"": health.free})
    problems = {
        _labels(rule=str(each.rule), subject=each.subject, level=each.level.slug): 1
        for each in health.findings
    }
    yield from _family("problem", "1 for each rule that has found a problem.", problems)


def _family(name: str, explanation: str, samples: Mapping[str, Value]) -> Iterator[str]:
    full = f"django_backup_{name}"
    yield f"# TYPE {full} gauge"
    unit = name.rpartition("_")[2]
    if unit in UNITS:
        yield f"# UNIT {full} {unit}"
    yield f"# HELP {full} {explanation}"
    for labels, value in samples.items():
        yield f"{full}{labels} {value}"


def _labels(**labels: str) -> str:
    return "{" + ",".join(f'{name}="{_escape(value)}"' for name, value in labels.items()) + "}"


def _escape(value: str) -> str:
    return value.replace("\\", r"\\").replace('"', r"\"").replace("\n", r"\n")


def _stamp(time: datetime | None) -> Value:
    return time.timestamp() if time else 0
