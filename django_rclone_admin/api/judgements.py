"""The health of the site: looked at anew, or as it was at the last look."""

from __future__ import annotations

from collections.abc import Iterable

from django.utils.crypto import constant_time_compare

from ..conf import get_settings
from ..connectors.registry import is_database, no_database
from ..core.file_lists import NAME as MEDIA
from ..health import kept
from ..health.verdict import Health
from ..notifications import worker


def health(databases: Iterable[str] = (), *, max_age_hours: float | None = None) -> Health:
    """Look at the remote and at the run history, and say whether the site is safe.

    A remote that does not answer is part of the answer. What was found is kept for :func:`last_health`.

    :param databases: judge these alone, such as ``["default", "media"]``; all of them without.
    :param max_age_hours: takes the place of the limit in ``HEALTH``.
    :raises UsageError: there is no such database.
    """
    limits = {} if max_age_hours is None else {"max_age_hours": max_age_hours}
    found = kept.check(only=_chosen(databases), **limits)
    worker.look_again()
    return found


def last_health(databases: Iterable[str] = ()) -> Health:
    """Judge what the last look has found. It calls no rclone and makes one small query.

    :param databases: as in :func:`health`.
    :raises UsageError: there is no such database.
    """
    return kept.last_known(_chosen(databases))


def is_monitor(authorization: str) -> bool:
    """Whether an ``Authorization`` header has the token in ``HEALTH``. Without a token, none has."""
    scheme, _space, given = authorization.partition(" ")
    token = get_settings().health.get("token", "")
    is_same = constant_time_compare(given.strip(), token)
    return bool(token) and scheme.lower() == "bearer" and is_same


def _chosen(databases: Iterable[str]) -> list[str]:
    chosen = list(databases)
    for each in chosen:
        if each != MEDIA and not is_database(each):
            raise no_database(each, [MEDIA])
    return chosen
