"""The link of a run's page for whoever started it: signed, and good for a while without a session.

A restore may replace the sessions, and with them the one of the person who waits for its end. The link then says how it
ended, and nothing more.
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
"""How long a link is good while its run is at work: a large restore takes hours."""
AFTERWARDS = timedelta(hours=1)
"""How long after the end of the run."""


def key_of(run: BackupRun) -> str:
    """Return what makes the address of a run's page a link that needs no session."""
    return signing.dumps(str(run.pk), salt=SALT, compress=False)


def run_of_key(request: HttpRequest, run_id: Any) -> BackupRun | None:
    """Return the run that a request may see by its key; ``None`` without a good one."""
    try:
        pk = signing.loads(request.GET.get("key", ""), salt=SALT, max_age=WHILE_AT_WORK)
    except signing.BadSignature:
        return None
    run = BackupRun.objects.filter(pk=run_id).first() if pk == str(run_id) else None
    if run is None or (run.finished_at and clock.now() - run.finished_at > AFTERWARDS):
        return None
    return run


def is_logged_in(site: AdminSite, request: HttpRequest) -> bool:
    """Whether somebody of the staff asks. What was restored may have no table of sessions or of users."""
    try:
        return site.has_permission(request)
    except DatabaseError:
        return False


def anonymous_context(site: AdminSite, request: HttpRequest) -> dict[str, Any]:
    """Return the context of an admin page for somebody whose session may be in no table any more."""
    request.user = AnonymousUser()
    return {**site.each_context(request), "is_nav_sidebar_enabled": False, "available_apps": []}
