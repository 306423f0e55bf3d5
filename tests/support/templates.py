"""Makes what many tests begin with once for all processes of a test run; each test then copies it."""

import fcntl
from collections.abc import Callable
from pathlib import Path


def made_once(folder: Path, name: str, make: Callable[[], Path]) -> Path:
    """Return what was made under this name, by whichever process needed it first.

    :param folder: one that all processes of the run share.
    :param make: makes it, and returns its path.
    """
    found = folder / f"{name}.template"
    with (folder / f"{name}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # until the file is closed, or this process is gone
        if not found.exists():
            found.symlink_to(make())
    return found.resolve()
