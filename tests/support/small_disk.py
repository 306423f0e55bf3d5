"""A disk of a few megabytes, which can be filled up."""

import errno
import os
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

from tests.support.servers import missing


@dataclass(frozen=True, kw_only=True)
class SmallDisk:
    """A mounted disk."""

    folder: Path

    def fill(self, *, but: int) -> None:
        """Leave only so many bytes free on it."""
        with (self.folder / "filler").open("wb", buffering=0) as file:
            while (free := shutil.disk_usage(self.folder).free) > but:
                try:
                    os.posix_fallocate(file.fileno(), 0, free - but)
                except OSError as error:
                    if error.errno != errno.ENOSPC:
                        raise
                    continue  # a server has taken room meanwhile
                return


@contextmanager
def small_disk(megabytes: int) -> Iterator[SmallDisk]:
    """Mount a disk that database servers may use, which needs to be root."""
    with TemporaryDirectory(prefix="disk-") as folder:
        Path(folder).chmod(0o755)
        options = f"size={megabytes}m,mode=0777"
        done = subprocess.run(
            ["mount", "-t", "tmpfs", "-o", options, "tmpfs", folder], capture_output=True, text=True
        )
        if done.returncode:
            missing(f"a disk can't be mounted here: {done.stderr}")
        try:
            yield SmallDisk(folder=Path(folder))
        finally:
            subprocess.run(["umount", folder], check=True)
