"""System checks; each id is explained in the reference."""

from __future__ import annotations

from typing import Any

from django.conf import settings
from django.core.checks import CheckMessage, Error, register

from .conf import NAME, problems


@register("django_rclone_admin")
def check_settings(**kwargs: Any) -> list[CheckMessage]:
    """E001: an unknown key, a wrong type or an impossible value in ``DJANGO_RCLONE``."""
    found = problems(getattr(settings, NAME, None))
    return [Error(sentence, hint=hint, id="django_rclone_admin.E001") for sentence, hint in found]
