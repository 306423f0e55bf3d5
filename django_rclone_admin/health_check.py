"""A check for django-health-check 4: name ``django_rclone_admin.health_check.Backups`` among the checks of its view.

It judges what the last look has found: one small query, no rclone.
"""

from __future__ import annotations

import dataclasses
import threading

from django.db import connections
from health_check.base import HealthCheck
from health_check.exceptions import ServiceUnavailable, ServiceWarning

from . import api


@dataclasses.dataclass
class Backups(HealthCheck):
    """Fails where the backups are at risk or nothing is known of them, warns where they need attention."""

    def run(self) -> None:
        """Judge.

        :raises ServiceWarning: a rule warns.
        :raises ServiceUnavailable: the judgement is critical or unknown.
        """
        try:
            found = api.last_health()
        finally:
            if threading.current_thread() is not threading.main_thread():
                connections.close_all()  # the thread is one of the view's, and nobody else closes what it opens
        if found.level == 0:
            return
        error = ServiceWarning if found.level == 1 else ServiceUnavailable
        raise error(f"{found.sentence} {found.detail}".strip())
