"""The line of a crontab that runs the schedules."""

from __future__ import annotations

import shlex

from django.conf import settings as django_settings

from ..core.interpreter import find_python

LINE = "* * * * *  cd {folder} && {python} manage.py runschedules --verbosity 0"


def cron_line() -> str:
    """Return the line, as far as this process knows its parts."""
    folder = str(getattr(django_settings, "BASE_DIR", "") or "/path/to/your/site")
    parts = {"folder": folder, "python": find_python() or "python3"}
    quoted = {name: shlex.quote(each) for name, each in parts.items()}
    return LINE.format(**quoted).replace("%", r"\%")  # to cron, a percent sign ends the command
