"""A check for django-health-check 4: add ``django_rclone_admin.health_check.Backups`` to the checks of its view.

It evaluates the facts of the last look: one small query, no rclone.
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
    """Fails if the backups are at risk or their state is unknown, warns if they need attention."""

    def run(self) -> None:
        """Evaluate the health.

        :raises ServiceWarning: a rule warns.
        :raises ServiceUnavailable: the health is critical or unknown.
        """
        try:
            found = api.last_health()
        finally:
            if threading.current_thread() is not threading.main_thread():
                connections.close_all()  # a thread of the view, which does not close our connections
        if found.level == 0:
            return
        error = ServiceWarning if found.level == 1 else ServiceUnavailable
        raise error(f"{found.sentence} {found.detail}".strip())
