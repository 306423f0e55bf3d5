"""The link to a run's page for the person who started it: signed, and valid for a while without a session.

A restore may replace the sessions, including that of the person who waits for it. The link then shows the outcome,
and nothing else.
"""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from django.contrib.admin import AdminSite
from django.contrib.auth.models import AnonymousUser
from django.core import signing
from django.db import DatabaseError
from django.http import HttpRequest

from .. import clock
from ..models import BackupRun

SALT = "django_rclone_admin.run"
WHILE_AT_WORK = timedelta(days=2)
"""How long a link is valid while its run is active: a large restore takes hours."""
AFTERWARDS = timedelta(hours=1)
"""How long it is valid after the end of the run."""


def key_of(run: BackupRun) -> str:
    """Return the key that makes the URL of a run's page valid without a session."""
    return signing.dumps(str(run.pk), salt=SALT, compress=False)


def run_of_key(request: HttpRequest, run_id: Any) -> BackupRun | None:
    """Return the run whose key is in the request; ``None`` without a valid key."""
    try:
        pk = signing.loads(request.GET.get("key", ""), salt=SALT, max_age=WHILE_AT_WORK)
    except signing.BadSignature:
        return None
    run = BackupRun.objects.filter(pk=run_id).first() if pk == str(run_id) else None
    if run is None or (run.finished_at and clock.now() - run.finished_at > AFTERWARDS):
        return None
    return run


def is_logged_in(site: AdminSite, request: HttpRequest) -> bool:
    """Whether the request comes from a logged-in staff member. Restored data may lack the tables of sessions or
    users."""
    try:
        return site.has_permission(request)
    except DatabaseError:
        return False


def anonymous_context(site: AdminSite, request: HttpRequest) -> dict[str, Any]:
    """Return the context of an admin page for a visitor whose session may no longer exist."""
    request.user = AnonymousUser()
    return {**site.each_context(request), "is_nav_sidebar_enabled": False, "available_apps": []}
