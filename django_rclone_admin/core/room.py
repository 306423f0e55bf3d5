"""Determines how many bytes a file can grow."""

from __future__ import annotations

import os
from pathlib import Path

IN_MEMORY = frozenset({"tmpfs", "ramfs"})
"""File systems that store files in memory."""
MOUNTS = Path("/proc/self/mountinfo")


def room(descriptor: int) -> int:
    """Return the free bytes for an open file; 0 if its file system is in memory, or if the number is unknown."""
    try:
        found = os.fstatvfs(descriptor)
        return 0 if _is_in_memory(os.fstat(descriptor).st_dev) else found.f_bavail * found.f_frsize
    except OSError:
        return 0


def _is_in_memory(device: int) -> bool:
    try:
        lines = MOUNTS.read_text(errors="replace").splitlines()
    except FileNotFoundError:  # not Linux, where the folder for temporary files is on a disk
        return False
    wanted = f"{os.major(device)}:{os.minor(device)}"
    # A line contains the device and, after a dash, the kind: 36 35 0:31 / /tmp rw shared:1 - tmpfs tmpfs rw
    kinds = {line.split()[2]: line.partition(" - ")[2].split(" ")[0] for line in lines}
    return kinds.get(wanted) in IN_MEMORY
