"""The health of the site: evaluated from the remote now, or from the facts of the last look."""

from __future__ import annotations

from collections.abc import Iterable

from django.utils.crypto import constant_time_compare

from ..conf import get_settings
from ..connectors.registry import is_database, no_database
from ..core.naming import MEDIA
from ..health import kept
from ..health.verdict import Health
from ..notifications import events


def health(databases: Iterable[str] = (), *, max_age_hours: float | None = None) -> Health:
    """Look at the remote and the run history, and evaluate the health of the site.

    A remote that does not answer is part of the result. The facts are stored for :func:`last_health`.

    :param databases: only these, such as ``["default", "media"]``; by default all.
    :param max_age_hours: replaces the limit in ``HEALTH``.
    :raises UsageError: a database is not configured.
    """
    limits = {} if max_age_hours is None else {"max_age_hours": max_age_hours}
    found = kept.check(only=_chosen(databases), **limits)
    events.look_again()
    return found


def last_health(databases: Iterable[str] = ()) -> Health:
    """Evaluate the facts of the last look. It calls no rclone and makes one small query.

    :param databases: as in :func:`health`.
    :raises UsageError: a database is not configured.
    """
    return kept.last_known(_chosen(databases))


def is_monitor(authorization: str) -> bool:
    """Whether an ``Authorization`` header contains the token in ``HEALTH``. Without a token, always false."""
    scheme, _space, given = authorization.partition(" ")
    token = (
        get_settings().health.get("token", "").strip()
    )  # a secret that was read from a file ends with a line break
    is_same = constant_time_compare(given.strip(), token)
    return bool(token) and scheme.lower() == "bearer" and is_same


def _chosen(databases: Iterable[str]) -> list[str]:
    chosen = list(databases)
    for each in chosen:
        if each != MEDIA and not is_database(each):
            raise no_database(each, [MEDIA])
    return chosen
