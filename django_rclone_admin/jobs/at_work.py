"""What is at work in this process. Every process of a site imports this, for the signals that end it: it imports nothing."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ..core.control import Control
    from ..exceptions import BackupError

running: dict[str, Control] = {}
"""The controls of the runs of this process, by run id."""
waiting: set[str] = set()
"""The ids of the runs that wait in this process for a free thread."""
ending: list[BackupError] = []
"""Why the command that works in this process has to end; empty otherwise. No further run may begin."""


def stop_all(error: BackupError) -> bool:
    """Stop every run of this process with this error; false when there is none. Safe in a signal handler."""
    controls = list(running.values())
    for control in controls:
        control.stop(error)
    return bool(controls)


# In a forked process: what runs is the parent's, and its threads are not here.
os.register_at_fork(after_in_child=running.clear)
