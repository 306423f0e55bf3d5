"""Private folders, for what has to be in a file for a while."""

from __future__ import annotations

import contextlib
import os
import shutil
import tempfile
from pathlib import Path

PREFIX = "django-rclone-admin-"


def private_folder() -> Path:
    """Create a folder that only we can read, and sweep those that a killed process of ours left behind."""
    base = Path(tempfile.gettempdir())
    for left in base.glob(f"{PREFIX}[0-9]*-*"):
        pid = left.name.removeprefix(PREFIX).split("-")[0]
        with contextlib.suppress(OSError):  # another process sweeps, too
            is_ours = left.stat(follow_symlinks=False).st_uid == os.getuid()
            if pid.isdigit() and is_ours and not _is_alive(int(pid)):
                shutil.rmtree(left)
    return Path(tempfile.mkdtemp(prefix=f"{PREFIX}{os.getpid()}-"))


def _is_alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True
