"""The public functions: commands, admin, schedules and integrators all call these.

Each ``verb_noun`` does its work before it returns, and raises :class:`~django_rclone_admin.exceptions.BackupError` if
it fails; each ``start_verb_noun`` queues the run with the executor and returns it at once.
"""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .public import *  # noqa: F403


def __getattr__(name: str) -> Any:
    # Imported at the first use of a name, so that a site that uses none starts faster.
    from .public import __all__ as names

    if name == "__all__":
        return names
    if name not in names:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}", name=name)
    return getattr(sys.modules[f"{__name__}.public"], name)


def __dir__() -> list[str]:
    from .public import __all__ as names

    return names
