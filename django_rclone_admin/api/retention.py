"""The retention rules."""

from __future__ import annotations

from ..conf import get_settings


def retention_rules() -> dict[str, float]:
    """Return the rules by which backups are cleaned up: those of the settings that apply, by name."""
    settings = get_settings()
    return {"last": settings.db_cleanup_keep, **settings.retention}
