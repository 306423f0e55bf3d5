"""What the setting ``NOTIFY`` chooses. Imports nothing that sends: most sites choose nothing."""

from __future__ import annotations

from ..conf import get_settings
from ..notify_options import NotifyOptions


def options() -> NotifyOptions:
    """Return the options in ``NOTIFY``."""
    return NotifyOptions.of(get_settings().notify)


def is_configured() -> bool:
    """Whether any channel is set."""
    try:
        chosen = options()
    except Exception:  # noqa: BLE001  (wrong settings are reported where they are used)
        return False
    return chosen.is_set
