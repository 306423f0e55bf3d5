"""How much room a file has to grow."""

from __future__ import annotations

import os
from pathlib import Path

IN_MEMORY = frozenset({"tmpfs", "ramfs"})
"""File systems whose room is the machine's memory."""
MOUNTS = Path("/proc/self/mountinfo")


def room(descriptor: int) -> int:
    """Return the free bytes beside an open file; none where its file system is in memory, or the system can't tell."""
    try:
        found = os.fstatvfs(descriptor)
        return 0 if _is_in_memory(os.fstat(descriptor).st_dev) else found.f_bavail * found.f_frsize
    except OSError:
        return 0


def _is_in_memory(device: int) -> bool:
    try:
        lines = MOUNTS.read_text(errors="replace").splitlines()
    except FileNotFoundError:  # not Linux; there, the folder for temporary files is on a disk
        return False
    wanted = f"{os.major(device)}:{os.minor(device)}"
    # Such a line says, among others, the device and, after a dash, the kind: 36 35 0:31 / /tmp rw shared:1 - tmpfs tmpfs rw
    kinds = {line.split()[2]: line.partition(" - ")[2].split(" ")[0] for line in lines}
    return kinds.get(wanted) in IN_MEMORY
