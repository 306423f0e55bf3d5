"""The health as JSON, in the format of the draft "Health Check Response Format for HTTP APIs" (draft-inadarei)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from .. import clock

if TYPE_CHECKING:
    from ..api import DatabaseHealth, Health

STATUS = {"ok": "pass", "warning": "warn", "critical": "fail", "unknown": "fail"}
CONTENT_TYPE = "application/health+json"


def health_document(health: Health) -> dict[str, Any]:
    """Return the document. An unknown state is a failure, so that silence is not taken for health."""
    checks = {f"{each.database}:age": [_age(each, health)] for each in health.parts}
    for each in health.findings:
        checks.setdefault(f"{each.subject or 'site'}:{each.rule}", []).append(
            {
                "componentType": "datastore" if each.subject else "system",
                "status": STATUS[each.level.slug],
                "time": health.gathered_at.isoformat(),
                "output": f"{each.sentence} {each.hint}".strip(),
            }
        )
    return {
        "status": STATUS[health.level.slug],
        "level": health.level.slug,
        "description": "Backups of this site",
        "output": " ".join(filter(None, (health.sentence, health.detail))),
        "time": health.gathered_at.isoformat(),
        "age": max(0, int((clock.now() - health.gathered_at).total_seconds())),
        "findings": [
            {
                "rule": str(each.rule),
                "level": each.level.slug,
                "subject": each.subject,
                "sentence": each.sentence,
                "hint": each.hint,
            }
            for each in health.findings
        ],
        "checks": checks,
    }


def _age(part: DatabaseHealth, health: Health) -> dict[str, Any]:
    last = part.last
    return {
        "componentId": part.database,
        "componentType": "datastore",
        "observedValue": max(0, int((clock.now() - last.taken_at).total_seconds())) if last else None,
        "observedUnit": "s",
        "status": STATUS[part.level.slug],
        "time": health.gathered_at.isoformat(),
        "output": part.reason,
        "size": last.total_size if last else None,
        "taken_at": last.taken_at.isoformat() if last else None,
    }
