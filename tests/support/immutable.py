"""Files and folders that not even root may change, until the block is left."""

import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.support.servers import missing


@contextmanager
def immutable(*paths: Path) -> Iterator[None]:
    """Have the file system refuse every change of these files, and of which files these folders have."""
    names = [str(path) for path in paths]
    done = subprocess.run(["chattr", "+i", *names], capture_output=True, text=True)
    if done.returncode:
        missing(f"files can't be made immutable here: {done.stderr}")
    try:
        yield
    finally:
        subprocess.run(["chattr", "-i", *names], check=True)
