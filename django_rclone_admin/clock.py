"""The current time. Inside this package every time is aware, whatever ``USE_TZ`` says."""

from __future__ import annotations

from datetime import UTC, datetime


def now() -> datetime:
    """Return the current time, aware, in UTC.

    ``django.utils.timezone.now`` is naive where ``USE_TZ`` is off, and then can't be compared with times of the remote.
    """
    return datetime.now(UTC)
